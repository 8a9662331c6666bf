"""Drives MCP's client over streamable HTTP: `drive_mcp.py URL`, with a plan as `plan.py` has it.

A call is a session, of which the results of the tools are reported: `session_2025` speaks the protocol that begins with
`initialize` and has a standing GET for messages of the server, `session_2026` the one of 2026-07-28, which has neither.
"""

import sys

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from plan import PLACES, Said, follow


def session(mode):
    async def call(headers, leaves):
        said = []
        plain = {name: value for name, value in headers.items() if name != "x-ending"}
        is_tail = headers["x-ending"].isdigit()
        async with httpx2.AsyncClient(headers=headers if is_tail else plain, timeout=20) as http:
            transport = streamable_http_client(sys.argv[1] + "/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                tools = await client.list_tools()
                assert [tool.name for tool in tools.tools] == ["find_parcel", "search", "lose_parcel"], tools
                for name, arguments in ("find_parcel", {"number": "17"}), ("lose_parcel", {}):
                    said.append(of_result(await client.call_tool(name, arguments)))
                http.headers.update(headers)
                said.append(await (leave if leaves else search)(client))
                http.headers.pop("x-ending")
                # What the client sends of its own accord when it gives up has been sent once this is answered.
                said.append(of_result(await client.call_tool("find_parcel", {"number": "18"})))
        return said

    return call


async def search(client):
    """Calls a tool that reports its progress."""

    async def on_progress(*_):
        pass

    return of_result(await client.call_tool("search", progress_callback=on_progress))


async def leave(client):
    """The same, and gives up when its last report has come."""
    with anyio.CancelScope() as scope:
        reports = []

        async def on_progress(_, total, message):
            reports.append(message)
            if len(reports) == total:
                scope.cancel()

        await client.call_tool("search", progress_callback=on_progress)
    assert reports == PLACES, reports
    return of_text("")


def of_result(result):
    return of_text(result.content[0].text)


def of_text(text):
    said = Said()
    said.add(text)
    return said


follow({"session_2025": session("legacy"), "session_2026": session("auto")})
