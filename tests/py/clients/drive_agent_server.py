"""Drives MLflow's server of agents: `drive_agent_server.py URL`, with a plan as `plan.py` has it.

`/responses` is asked by OpenAI's client, `/invocations` by requests, which leaves the stream at `[DONE]`.
"""

import json
import sys

import openai
import requests

from plan import QUESTION, Said, follow

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
INPUT = [{"role": "user", "content": QUESTION}]


def take(said, event):
    """Adds an event. Whether the client leaves now."""
    if event["type"] == "response.output_text.delta":
        said.add(event["delta"])
    elif event["type"] == "response.output_item.done":
        item = event["item"]
        if item["type"] == "function_call":
            said.calls.append([item["name"], item["arguments"]])
        said.is_over = item["type"] == "message"
    return said.has_all_but_the_end()


def take_whole(said, answer):
    for item in answer["output"]:
        if item["type"] == "message":
            said.add("".join(part["text"] for part in item["content"]))
        elif item["type"] == "function_call":
            said.calls.append([item["name"], item["arguments"]])
    return said


def responses(headers, leaves):
    said = Said(leaves)
    stream = client.responses.create(model="agent", input=INPUT, stream=True, extra_headers=headers)
    for event in stream:
        if take(said, event.to_dict()):
            stream.close()
            break
    return said


def responses_whole(headers, _):
    answer = client.responses.create(model="agent", input=INPUT, extra_headers=headers)
    return take_whole(Said(), answer.to_dict())


def invocations(headers, leaves):
    said = Said(leaves)
    asked = {"input": INPUT, "stream": True}
    with requests.post(sys.argv[1] + "/invocations", json=asked, headers=headers, stream=True) as answer:
        for line in answer.iter_lines():
            if line == b"data: [DONE]" or (line and take(said, json.loads(line.removeprefix(b"data: ")))):
                return said
    raise ConnectionError("the stream ended without its last word")


def invocations_whole(headers, _):
    answer = requests.post(sys.argv[1] + "/invocations", json={"input": INPUT}, headers=headers)
    return take_whole(Said(), answer.json())


follow({"responses": responses, "responses_whole": responses_whole, "invocations": invocations,
        "invocations_whole": invocations_whole})
