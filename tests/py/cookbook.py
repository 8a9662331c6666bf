"""A chat application that knows nothing of MLflow: `cookbook.py BASE_URL COUNT`.

It sends COUNT chats through the real OpenAI client, in two halves with a moment between them: whole
and streamed, for several users, sessions, tasks and environments; some fail, some are slow, some
break off. Who asks is in headers. Prints what it knows of each, one JSON object.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="sk-not-a-secret", max_retries=0)
count = int(sys.argv[2])
SLOW_MS = 5200


def plan(n):
    """What request n is, and which knobs of the model endpoint it turns."""
    request = {
        "user": f"user-{n % 25:04}",
        "session": f"s-{n % 50:04}",
        "task": "billing" if n % 3 == 0 else "faq",
        "environment": "staging" if n % 7 == 0 else "production",
        "stream": n % 4 == 0,
        "status": 503 if n % 19 == 0 else 400 if n % 41 == 0 else 200,
        "cut": n % 4 == 0 and n % 68 == 8,
        "delay_ms": SLOW_MS if n % 150 == 38 or n % 300 == 57 else n % 40,
    }
    headers = {
        "x-user-id": request["user"],
        "x-session-id": request["session"],
        "x-task": request["task"],
        "x-environment": request["environment"],
        "x-delay-us": str(request["delay_ms"] * 1000),
        "x-tokens": str(3 + n % 5),
        "x-gap-us": "100",
    }
    if request["status"] != 200:
        headers["x-status"] = str(request["status"])
    elif request["cut"]:
        headers["x-cut-after"] = "300"
    return request, headers


def send(n):
    request, headers = plan(n)
    stream = {"stream": True, "stream_options": {"include_usage": True}} if request["stream"] else {}
    begun = time.monotonic()
    usage, failed, answer = None, False, None
    try:
        answer = client.chat.completions.with_raw_response.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": f"Question {n}"}],
            extra_headers=headers,
            **stream,
        )
        if request["stream"]:
            for event in answer.parse():
                usage = event.usage or usage
        else:
            usage = answer.parse().usage
    except openai.APIStatusError as error:
        failed, answer = True, error.response
    except Exception:
        # The answer had begun, and broke off.
        failed = True
    took = (time.monotonic() - begun) * 1000
    return {
        **request,
        "id": answer.headers["x-offpath-trace-id"],
        "failed": failed,
        "took_ms": took,
        "input_tokens": usage.prompt_tokens if usage else 0,
        "output_tokens": usage.completion_tokens if usage else 0,
        "total_tokens": usage.total_tokens if usage else 0,
    }


with ThreadPoolExecutor(8) as pool:
    before = list(pool.map(send, range(count // 2)))
    time.sleep(0.02)
    between_ms = int(time.time() * 1000)
    time.sleep(0.02)
    after = list(pool.map(send, range(count // 2, count)))
for part, requests in ((0, before), (1, after)):
    for request in requests:
        request["part"] = part
print(json.dumps({"between_ms": between_ms, "requests": before + after}))
