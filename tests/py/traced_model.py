"""A model that traces itself with MLflow's own client: `traced_model.py PORT EXPERIMENT URI ASYNC`.

Answers each POST with the name of its span, which hangs under the caller's by `traceparent`.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ["MLFLOW_TRACKING_URI"] = sys.argv[3]
os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = sys.argv[4]

import mlflow  # noqa: E402, as it reads its environment when it is imported
from mlflow.tracing import set_tracing_context_from_http_request_headers  # noqa: E402


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with set_tracing_context_from_http_request_headers(headers):
            with mlflow.start_span("predict") as span:
                span.set_inputs({"asked": 1})
                span.set_outputs({"answered": 2})
        self.answer(b"predict")

    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


mlflow.set_experiment(sys.argv[2])
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Model).serve_forever()
