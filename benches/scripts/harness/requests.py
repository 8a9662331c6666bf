"""Requests of the sizes that figures are reported for, and a client that sends them."""

import json
import socket

SENTENCE = 'The customer said "late" and asked for a refund of the parcel\'s price.\n'


def chat(size):
    """A chat request whose body has this many bytes."""
    def body(content):
        messages = [{"role": "system", "content": "You are a helpful assistant."},
                    {"role": "user", "content": content}]
        return json.dumps({"model": "bench", "messages": messages}).encode()

    content = SENTENCE * (size // len(SENTENCE) + 1)
    while len(body(content)) > size:
        content = content[: -max(1, (len(body(content)) - size) // 2)]
    return body(content)


def frame(size):
    """A `dataframe_split` request of about this many bytes, with 20 columns of numbers."""
    rows, state, length = [], 1, 0
    while length < size:
        row = []
        for _ in range(20):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            row.append(round((state >> 40) / 1e4 - 800.0, 4))
        rows.append(row)
        length += len(json.dumps(row, separators=(",", ":"))) + 1
    columns = [f"c{index}" for index in range(20)]
    return json.dumps({"dataframe_split": {"columns": columns, "data": rows}},
                      separators=(",", ":")).encode()


# Name: path and query (`tokens` is the length of the model's response), body.
SIZES = {
    "1 KB": ("/v1/chat/completions?tokens=150", chat(1_000)),
    "20 KB": ("/v1/chat/completions?tokens=350", chat(20_000)),
    "1 MB": ("/invocations", frame(1_000_000)),
}


def send(port, size, count):
    """Sends `count` requests one after another on one connection. Returns the length of the last
    response body."""
    path, body = SIZES[size]
    head = (f"POST {path} HTTP/1.1\r\nhost: llm.example.com\r\ncontent-type: application/json\r\n"
            f"user-agent: OpenAI/Python 2.0.0\r\naccept: application/json\r\n"
            f"authorization: Bearer sk-none\r\ncontent-length: {len(body)}\r\n\r\n").encode()
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = stream.makefile("rb", buffering=1 << 18)
        length = 0
        for _ in range(count):
            stream.sendall(head + body)
            length = answer(reader)
    return length


def answer(reader):
    status = reader.readline()
    if b" 200 " not in status:
        raise SystemExit(f"offpath responded with {status!r}")
    length = 0
    while (line := reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if len(reader.read(length)) != length:
        raise SystemExit("a response was truncated")
    return length
