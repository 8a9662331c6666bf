"""Drives OpenAI's synchronous client: `drive_openai.py URL`, with a plan as `plan.py` has it."""

import sys

import openai

from plan import MODEL, QUESTION, Said, follow

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)
MESSAGES = [{"role": "user", "content": QUESTION}]
# A real model would go on.
TOKENS = 8
CHAT = {"model": MODEL, "messages": MESSAGES, "max_tokens": TOKENS}
WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def of_usage(said, usage):
    if usage:
        said.count(usage.prompt_tokens, usage.completion_tokens)
        # It comes alone, after all choices.
        said.is_over = True


def chat(headers, leaves):
    said = Said(leaves)
    stream = client.chat.completions.create(**CHAT, **WITH_USAGE, extra_headers=headers)
    for chunk in stream:
        for choice in chunk.choices:
            said.add(choice.delta.content)
            said.finish = choice.finish_reason or said.finish
        of_usage(said, chunk.usage)
        if said.has_all_but_the_end():
            stream.close()
            break
    return said


def completion(headers, leaves):
    said = Said(leaves)
    stream = client.completions.create(model=MODEL, prompt=QUESTION, max_tokens=TOKENS, **WITH_USAGE,
                                       extra_headers=headers)
    for chunk in stream:
        for choice in chunk.choices:
            said.add(choice.text)
            said.finish = choice.finish_reason or said.finish
        of_usage(said, chunk.usage)
        if said.has_all_but_the_end():
            stream.close()
            break
    return said


def responses(headers, leaves):
    said = Said(leaves)
    stream = client.responses.create(model=MODEL, input=QUESTION, max_output_tokens=TOKENS, stream=True,
                                     extra_headers=headers)
    for event in stream:
        if event.type == "response.output_text.delta":
            said.add(event.delta)
        said.is_over |= event.type == "response.output_item.done"
        if event.type == "response.completed":
            said.count(event.response.usage.input_tokens, event.response.usage.output_tokens)
        if said.has_all_but_the_end():
            stream.close()
            break
    return said


def chat_whole(headers, leaves):
    said = Said()
    if leaves:
        with client.chat.completions.with_streaming_response.create(**CHAT, extra_headers=headers) as answer:
            next(answer.iter_bytes())
        return said
    answer = client.chat.completions.create(**CHAT, extra_headers=headers)
    said.add(answer.choices[0].message.content)
    said.finish = answer.choices[0].finish_reason
    of_usage(said, answer.usage)
    return said


def embedding(headers, leaves):
    said = Said()
    asked = {"model": MODEL, "input": QUESTION, "encoding_format": "float", "extra_headers": headers}
    if leaves:
        with client.embeddings.with_streaming_response.create(**asked) as answer:
            next(answer.iter_bytes())
        return said
    answer = client.embeddings.create(**asked)
    said.vector = answer.data[0].embedding
    return said


follow({"chat": chat, "completion": completion, "responses": responses, "chat_whole": chat_whole,
        "embedding": embedding})
