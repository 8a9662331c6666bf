"""An agent behind MLflow's own server of agents: `serve_agent.py PORT`, on 127.0.0.1.

It finds the parcel by a tool of its own and then answers, whole or in pieces. MLflow gives the result of a
tool no id, and ends a stream by `[DONE]` alone, without OpenAI's `response.completed`.
"""

import sys

import mlflow
import uvicorn
from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.types import responses

from plan import PIECES_OF_TEXT

# The agent's own traces are not what is looked at here.
mlflow.tracing.disable()
ARGUMENTS = '{"number": "17"}'


def items():
    """What it puts out, in order."""
    return [
        responses.create_function_call_item("fc_1", "call_1", "find_parcel", ARGUMENTS),
        responses.create_function_call_output_item("call_1", "17: Köln"),
        responses.create_text_output_item("".join(PIECES_OF_TEXT), "msg_1"),
    ]


@invoke()
async def answer(_):
    return {"output": items()}


@stream()
async def answer_in_pieces(_):
    *tools, message = items()
    for item in tools:
        yield {"type": "response.output_item.done", "item": item}
    for piece in PIECES_OF_TEXT:
        yield responses.create_text_delta(piece, "msg_1")
    yield {"type": "response.output_item.done", "item": message}


uvicorn.run(AgentServer("ResponsesAgent").app, host="127.0.0.1", port=int(sys.argv[1]))
