"""Drives OpenAI's Agents SDK: `drive_agents.py URL`, with a plan as `plan.py` has it.

An agent calls a tool and then answers, in two exchanges; one that leaves has no tool, and so one exchange.
"""

import sys

import openai
from agents import (Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner,
                    function_tool, set_tracing_disabled)

from plan import MODEL, QUESTION, Said, follow

# Else it sends traces of its own to OpenAI.
set_tracing_disabled(True)
client = openai.AsyncOpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)
RESPONSES = OpenAIResponsesModel(MODEL, client)
CHAT = OpenAIChatCompletionsModel(MODEL, client)


@function_tool
def find_parcel(number: str) -> str:
    """Finds a parcel by its number."""
    return f"{number}: Köln"


def agent(model, headers, is_whole):
    settings = ModelSettings(extra_headers=headers, include_usage=True)
    return Agent(name="parcels", model=model, model_settings=settings, tools=[find_parcel] if is_whole else [])


def of_run(result):
    """What the agent saw of each exchange."""
    return [of_response(response) for response in result.raw_responses]


def of_response(response):
    said = Said()
    for item in response.output:
        if item.type == "message":
            said.add("".join(part.text for part in item.content))
        elif item.type == "function_call":
            said.calls.append([item.name, item.arguments])
    said.count(response.usage.input_tokens, response.usage.output_tokens)
    return said


def whole(model):
    async def call(headers, _):
        return of_run(await Runner.run(agent(model, headers, True), QUESTION))

    return call


def streamed(model):
    async def call(headers, leaves):
        # Where the upstream cuts it is the first exchange that ends.
        said = Said(leaves)
        result = Runner.run_streamed(agent(model, headers, not leaves), QUESTION)
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                said.add(event.data.delta)
            if said.has_all_text():
                result.cancel()
        return said if leaves else of_run(result)

    return call


follow({"responses": streamed(RESPONSES), "responses_whole": whole(RESPONSES),
        "chat": streamed(CHAT), "chat_whole": whole(CHAT)})
