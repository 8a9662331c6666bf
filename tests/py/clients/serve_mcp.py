"""A server of tools over MCP's streamable HTTP, by the official SDK: `serve_mcp.py PORT`, on 127.0.0.1."""

import sys

from mcp.server.mcpserver import Context, MCPServer
from starlette.responses import PlainTextResponse

from plan import PLACES

server = MCPServer("parcels", log_level="WARNING")


@server.tool()
def find_parcel(number: str) -> str:
    """Finds a parcel by its number."""
    return f"parcel {number} is in Bonn"


@server.tool()
async def search(ctx: Context) -> str:
    """Looks everywhere, and reports on the way."""
    for step, place in enumerate(PLACES):
        await ctx.report_progress(step, len(PLACES), place)
    return "it is nowhere"


@server.tool()
def lose_parcel() -> str:
    """Fails."""
    raise ValueError("it is lost already")


@server.custom_route("/health", methods=["GET"])
async def health(_):
    return PlainTextResponse("well")


server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
