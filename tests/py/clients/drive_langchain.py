"""Drives LangChain's models of OpenAI: `drive_langchain.py URL`, with a plan as `plan.py` has it."""

import sys

from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from plan import MODEL, QUESTION, Said, follow

SERVER = {"model": MODEL, "base_url": sys.argv[1] + "/v1", "api_key": "none", "max_retries": 0}
model = ChatOpenAI(**SERVER, stream_usage=True, max_tokens=8)
responses_model = ChatOpenAI(**SERVER, use_responses_api=True)


def take(said, chunk):
    """Adds a chunk, or a whole message. Whether the client leaves now."""
    said.add(chunk.text)
    said.finish = chunk.response_metadata.get("finish_reason") or said.finish
    if chunk.usage_metadata:
        said.count(chunk.usage_metadata["input_tokens"], chunk.usage_metadata["output_tokens"])
    return said.has_all_text()


def streamed(model):
    def call(headers, leaves):
        said = Said(leaves)
        stream = model.stream(QUESTION, extra_headers=headers)
        for chunk in stream:
            if take(said, chunk):
                stream.close()
                break
        return said

    return call


async def chat_async(headers, leaves):
    said = Said(leaves)
    stream = model.astream(QUESTION, extra_headers=headers)
    async for chunk in stream:
        if take(said, chunk):
            await stream.aclose()
            break
    return said


def chat_whole(headers, _):
    said = Said()
    take(said, model.invoke(QUESTION, extra_headers=headers))
    return said


def embedding(headers, _):
    said = Said()
    asked = OpenAIEmbeddings(**SERVER, default_headers=headers, check_embedding_ctx_length=False)
    said.vector = asked.embed_query(QUESTION)
    return said


follow({"chat": streamed(model), "chat_async": chat_async, "responses": streamed(responses_model),
        "chat_whole": chat_whole, "embedding": embedding})
