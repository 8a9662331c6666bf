"""A proxy that records exchanges, one per line, in the format of `trace/tests/cassette`.

Heads are recorded except for secrets, framing, and fields that differ in every run. Chunk boundaries are
not recorded: a replay tries several.
"""

import base64
import contextlib
import http.client
import http.server
import json
import pathlib
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVERS = ROOT / "trace" / "tests" / "data" / "servers"
FRAMING = {"connection", "content-length", "date", "host", "keep-alive", "transfer-encoding"}
SECRET = {"authorization", "cookie", "set-cookie", "x-api-key"}
KINDS = {"text/event-stream": "sse", "application/x-ndjson": "ndjson", "application/json": "json",
         "application/grpc": "grpc"}


class Recording:
    """The recorded exchanges with one server. Requests are sent to `port`."""

    def __init__(self, server, port):
        self.path = SERVERS / f"{server}.jsonl"
        self.lines = []
        self.name = self.wire = None
        self.statuses = None
        handler = type("Handler", (Forward,), {"recording": self, "upstream": port})
        self.listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port = self.listener.server_port
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    @contextlib.contextmanager
    def of(self, name, wire, statuses=range(600)):
        """Records the exchange within the block under `name`, if its status is among `statuses`."""
        self.name, self.wire, self.statuses = name, wire, statuses
        before = len(self.lines)
        yield
        self.name = None
        if len(self.lines) != before + 1:
            raise SystemExit(f"{name}: {len(self.lines) - before} exchanges instead of one")
        print(f"{self.lines[-1]['status']} {name}")

    def keep(self, *, method, path, request, status, response, trailers=()):
        """Records an exchange; `request` and `response` are pairs of header fields and a body."""
        if self.name is None or status not in self.statuses:
            return
        types = [value for key, value in response[0] if key.lower() == "content-type"]
        line = {"id": self.name, "wire": self.wire, "method": method, "host": "models.example",
                "path": path, "status": status,
                "kind": KINDS.get(types[0].split(";")[0] if types else "", "binary")}
        for side, (fields, body) in (("req", request), ("resp", response)):
            line[f"{side}_headers"] = [
                [key, value] for key, value in fields
                if key.lower() not in FRAMING | SECRET and not key.lower().startswith("x-stainless")]
            try:
                line[f"{side}_body"] = body.decode()
            except UnicodeDecodeError:
                line[f"{side}_body_b64"] = base64.b64encode(body).decode()
        if trailers:
            line["resp_trailers"] = [list(pair) for pair in trailers]
        self.lines.append(line)

    def write(self):
        SERVERS.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines))
        print(f"{self.path.relative_to(ROOT)}: {len(self.lines)} exchanges, "
              f"{self.path.stat().st_size} bytes")


class Forward(http.server.BaseHTTPRequestHandler):
    """Forwards a request and returns its complete response."""

    protocol_version = "HTTP/1.1"
    recording = upstream = None

    def do_GET(self):
        self.forward()

    def do_POST(self):
        self.forward()

    def forward(self):
        body = self.body()
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=300)
        upstream.putrequest(self.command, self.path, skip_accept_encoding=True)
        asked = [pair for pair in self.headers.items() if pair[0].lower() not in FRAMING]
        for key, value in asked:
            upstream.putheader(key, value)
        upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders(body)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        answered = [pair for pair in answer.getheaders() if pair[0].lower() not in FRAMING]
        self.recording.keep(method=self.command, path=self.path, request=(asked, body),
                            status=answer.status, response=(answered, content))
        self.send_response_only(answer.status, answer.reason)
        for key, value in answered:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_):
        pass


def ask(port, path, body=None, **fields):
    """Sends a POST request, or GET without a body. Returns the status and the response body."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    fields = {key.replace("_", "-"): value for key, value in fields.items()}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body,
                                     headers={"content-type": "application/json", **fields})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


@contextlib.contextmanager
def running(command, port, ready, **options):
    """Starts a server, waits until the path `ready` responds, and stops it after the block."""
    log = open(f"{options.get('cwd', '/tmp')}/server.log", "wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **options)
    try:
        deadline = time.monotonic() + 180
        while not answers(port, ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start:\n{open(log.name).read()[-3000:]}")
            time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def answers(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
