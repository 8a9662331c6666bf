"""Drives LiteLLM: `drive_litellm.py URL`, with a plan as `plan.py` has it."""

import os
import sys

# Else it asks the internet for prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402, as it reads its environment when it is imported

from plan import MODEL, QUESTION, Said, follow  # noqa: E402

litellm.telemetry = False
MESSAGES = [{"role": "user", "content": QUESTION}]
OF_OPENAI = {"model": f"openai/{MODEL}", "api_base": sys.argv[1] + "/v1", "api_key": "none",
             "max_retries": 0, "max_tokens": 8, "stream_options": {"include_usage": True}}
OF_ANTHROPIC = {"model": f"anthropic/{MODEL}", "api_base": sys.argv[1], "api_key": "none",
                "max_tokens": 8, "max_retries": 0, "stream_options": {"include_usage": True}}


def take(said, chunk):
    for choice in chunk.choices:
        said.add(choice.delta.content)
        said.finish = choice.finish_reason or said.finish
    if usage := getattr(chunk, "usage", None):
        said.count(usage.prompt_tokens, usage.completion_tokens)
    return said.has_all_text()


def streamed(model):
    def call(headers, leaves):
        said = Said(leaves)
        stream = litellm.completion(**model, messages=MESSAGES, stream=True, extra_headers=headers)
        for chunk in stream:
            if take(said, chunk):
                stream.close()
                break
        return said

    return call


def streamed_async(model):
    async def call(headers, leaves):
        said = Said(leaves)
        stream = await litellm.acompletion(**model, messages=MESSAGES, stream=True, extra_headers=headers)
        async for chunk in stream:
            if take(said, chunk):
                await stream.aclose()
                break
        return said

    return call


def chat_whole(headers, _):
    said = Said()
    answer = litellm.completion(**{**OF_OPENAI, "stream_options": None}, messages=MESSAGES, extra_headers=headers)
    said.add(answer.choices[0].message.content)
    said.finish = answer.choices[0].finish_reason
    said.count(answer.usage.prompt_tokens, answer.usage.completion_tokens)
    return said


follow({"chat": streamed(OF_OPENAI), "chat_async": streamed_async(OF_OPENAI), "chat_whole": chat_whole,
        "messages": streamed(OF_ANTHROPIC), "messages_async": streamed_async(OF_ANTHROPIC)})
