"""The exchanges under trace/tests/data: asked of a gateway, and answered by an endpoint behind it."""

import http.client
import http.server
import json
import pathlib
import threading

DATA = pathlib.Path(__file__).resolve().parents[2] / "trace" / "tests" / "data"
HEADER = "x-exchange"


def read(name):
    """Method, path, fields and body; status, fields and body."""
    file = DATA / f"{name}.http"
    if not file.exists():
        return recorded(*name.split("/"))
    request, response = file.read_text().split("\n=====\n")
    head, _, body = request.partition("\n\n")
    target, _, fields = head.partition("\n")
    asked = (*target.split(" ", 1), pairs(fields), body.encode())
    head, _, body = response.partition("\n\n")
    status, _, fields = head.partition("\n")
    return asked, (int(status), pairs(fields), body.encode())


def recorded(server, name):
    """The same of a real server's."""
    lines = (DATA / "servers" / f"{server}.jsonl").read_text().splitlines()
    one = next(line for line in map(json.loads, lines) if line["id"] == name)
    return ((one["method"], one["path"], dict(one["req_headers"]), one["req_body"].encode()),
            (one["status"], dict(one["resp_headers"]), one["resp_body"].encode()))


def pairs(lines):
    return dict(line.split(": ", 1) for line in lines.splitlines())


def send(port, name):
    (method, path, fields, body), (status, _, expect) = read(name)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {**fields, HEADER: name})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (status, expect), name
    connection.close()


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Answers as the exchange has it that the request names."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        _, (status, fields, body) = read(self.headers[HEADER])
        self.send_response_only(status)
        for field in fields.items():
            self.send_header(*field)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def endpoint():
    """Its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
