"""A sink with a limited rate or an error status, and a monitor of a process."""

import http.server
import json
import pathlib
import threading
import time


class Sink:
    """Responds to each batch after a pause, which limits the rate because there is one request in
    flight per destination. `status` can be changed while it runs."""

    def __init__(self, pause=0.0, status=200):
        self.pause, self.status, self.batches = pause, status, 0
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                time.sleep(sink.pause)
                sink.batches += 1
                self.send_response(sink.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()


class Monitor:
    """Samples a process every second and appends the samples to a file of JSON lines."""

    def __init__(self, gateway, path, began):
        self.gateway, self.path, self.began = gateway, pathlib.Path(path), began
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def run(self):
        start = time.monotonic()
        while not self.stopping.wait(1):
            sample = self.sample()
            sample["second"] = round(self.began + time.monotonic() - start, 1)
            with self.path.open("a") as file:
                file.write(json.dumps(sample) + "\n")

    def sample(self):
        process = pathlib.Path(f"/proc/{self.gateway.child.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return {
            "rss_mib": round(int(status["VmRSS"].split()[0]) / 1024, 1),
            "descriptors": len(list((process / "fd").iterdir())),
            **self.gateway.account(),
        }
