"""What a driver of a client is asked to do, and what it reports.

A driver is started with the base URL of offpath. On its standard input is a list of steps,
`{"id", "call", "leaves", "headers"}`: make this call with these headers, and where `leaves`, leave the
stream before its last word. For each it prints `{"id", "said"}`, where `said` is a
list with what the client made of each exchange, or `{"id", "error"}` with the client's exception.
"""

import asyncio
import inspect
import json
import sys

MODEL = "parcel-1"
QUESTION = "Where is my parcel?"
# What each answer says, in the pieces that it is streamed in.
PIECES_OF_TEXT = ["Your", " parcel", " is", " in", " Köln."]
# Where MCP's server looks for a parcel.
PLACES = ["depot", "van", "hall", "door", "cellar"]


class Said:
    """What a client saw of one answer."""

    def __init__(self, leaves=False):
        self.leaves = leaves
        self.is_over = False
        self.text = ""
        self.pieces = 0
        self.calls = []
        self.finish = None
        self.usage = None
        self.vector = None

    def add(self, text):
        """Adds a piece of text."""
        if text:
            self.text += text
            self.pieces += 1

    def has_all_text(self):
        """Whether the client leaves now, where it sees no event between the text and the last word."""
        return self.leaves and self.pieces == len(PIECES_OF_TEXT)

    def has_all_but_the_end(self):
        """Whether the client leaves now, where only its API's last word is still to come."""
        return self.leaves and self.is_over

    def count(self, input_tokens, output_tokens):
        self.usage = [input_tokens, output_tokens]

    def row(self):
        return {"text": self.text, "calls": self.calls, "finish": self.finish, "usage": self.usage,
                "vector": self.vector}


def follow(calls):
    """Makes the calls of the plan, by their names; each takes the headers, and whether to leave."""
    asyncio.run(_follow(calls))


async def _follow(calls):
    # The standard output is the report's alone, whatever a library prints.
    report, sys.stdout = sys.stdout, sys.stderr
    for step in json.load(sys.stdin):
        try:
            said = calls[step["call"]](step["headers"], step["leaves"])
            said = await said if inspect.isawaitable(said) else said
            rows = [one.row() for one in (said if isinstance(said, list) else [said])]
            line = {"id": step["id"], "said": rows}
        except Exception as error:
            line = {"id": step["id"], "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(line), file=report, flush=True)
