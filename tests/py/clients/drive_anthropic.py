"""Drives Anthropic's clients: `drive_anthropic.py URL`, with a plan as `plan.py` has it."""

import sys

import anthropic

from plan import MODEL, QUESTION, Said, follow

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="none", max_retries=0)
async_client = anthropic.AsyncAnthropic(base_url=sys.argv[1], api_key="none", max_retries=0)
ASKED = {"model": MODEL, "max_tokens": 8, "messages": [{"role": "user", "content": QUESTION}]}


def take(said, event):
    """Adds an event of the wire. Whether the client leaves now."""
    if event.type == "message_start":
        said.count(event.message.usage.input_tokens, event.message.usage.output_tokens)
    elif event.type == "content_block_delta":
        said.add(event.delta.text)
    elif event.type == "message_delta":
        said.finish = event.delta.stop_reason
        said.count(said.usage[0], event.usage.output_tokens)
        said.is_over = True
    return said.has_all_but_the_end()


def messages(headers, leaves):
    said = Said(leaves)
    stream = client.messages.create(**ASKED, stream=True, extra_headers=headers)
    for event in stream:
        if take(said, event):
            stream.close()
            break
    return said


def messages_helper(headers, leaves):
    said = Said(leaves)
    with client.messages.stream(**ASKED, extra_headers=headers) as stream:
        for text in stream.text_stream:
            said.add(text)
            if said.has_all_text():
                return said
        message = stream.get_final_message()
    said.finish = message.stop_reason
    said.count(message.usage.input_tokens, message.usage.output_tokens)
    return said


async def messages_async(headers, leaves):
    said = Said(leaves)
    stream = await async_client.messages.create(**ASKED, stream=True, extra_headers=headers)
    async for event in stream:
        if take(said, event):
            await stream.close()
            break
    return said


def messages_whole(headers, leaves):
    said = Said()
    if leaves:
        with client.messages.with_streaming_response.create(**ASKED, extra_headers=headers) as answer:
            next(answer.iter_bytes())
        return said
    answer = client.messages.create(**ASKED, extra_headers=headers)
    said.add(answer.content[0].text)
    said.finish = answer.stop_reason
    said.count(answer.usage.input_tokens, answer.usage.output_tokens)
    return said


follow({"messages": messages, "messages_helper": messages_helper, "messages_async": messages_async,
        "messages_whole": messages_whole})
