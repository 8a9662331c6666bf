"""Two chats through the real OpenAI client, plain and streamed: `chat.py BASE_URL`.

Prints what the client made of the answers, for the test to compare with what was recorded.
"""

import json
import sys

from openai import OpenAI

client = OpenAI(
    base_url=sys.argv[1],
    api_key="sk-not-a-secret",
    max_retries=0,
    default_headers={"x-user-id": "user-7", "x-session-id": "session-9", "x-tenant": "acme"},
)
messages = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where is my parcel?"},
]

plain = client.chat.completions.create(model="gpt-4o-mini", messages=messages, temperature=0.5)
stream = client.chat.completions.create(
    model="gpt-4o-mini", messages=messages, stream=True, stream_options={"include_usage": True}
)
text, usage = "", None
for event in stream:
    for choice in event.choices:
        text += choice.delta.content or ""
    usage = event.usage or usage


def tokens(usage):
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


print(
    json.dumps(
        {
            "plain": {"text": plain.choices[0].message.content, "usage": tokens(plain.usage)},
            "streamed": {"text": text, "usage": tokens(usage)},
        }
    )
)
