"""Processes that a bench starts and stops by their ids."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

# On SIGTERM a bench runs its `finally` blocks, which stop the processes it started.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """A child that ends with the `with` block."""

    def __init__(self, command, **options):
        self.child = subprocess.Popen([str(part) for part in command], **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(60)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode


def sink(binaries, prefix=()):
    """A sink that responds with 200 at once, with its address as `uri`."""
    process = Process([*prefix, binaries / "offpath-benches", "stub-sink"], stdout=subprocess.PIPE)
    process.uri = process.child.stdout.readline().decode().strip()
    return process


def model(binaries, *options, prefix=()):
    """A model endpoint with its address as `uri`; `prefix` is a command such as `taskset`."""
    port = free_port()
    listen = ["upstream", "--listen", f"127.0.0.1:{port}", *options]
    process = Process([*prefix, binaries / "loadtest", *listen], stdout=subprocess.PIPE)
    process.child.stdout.readline()
    process.uri = f"http://127.0.0.1:{port}"
    return process


# How a route is traced: not at all; all, none or a tenth of its exchanges; all, with a higher limit on
# bodies.
CAPTURE = {"off": "capture: {level: off}", "full": "capture: {level: full}",
           "not kept": "sampling: {ratio: 0}",
           "tenth": "sampling: {ratio: 0.1}",
           "large": "capture: {level: full, max_body: 64MiB}"}
CONFIG = """listeners: [{{address: "127.0.0.1:{port}"}}]
upstreams: {{model: {{endpoints: ["{model}"]}}}}
routes: [{{name: bench, match: {{path_prefix: /}}, upstream: model, {capture}}}]
limits: {{capture_bytes: {held}}}
export: {{queue: {{max_traces: {traces}, max_bytes: {queued}}}, sinks: {{stub: {{type: mlflow, tracking_uri: "{sink}"}}}}}}
telemetry: {{address: "127.0.0.1:{telemetry}"}}
admin: {{address: "127.0.0.1:{admin}"}}
log: {{level: warn}}
"""


class Gateway(Process):
    """offpath with one route that captures at a level; `prefix` is a command such as `taskset` or
    `valgrind`. With `backlog` the queue is large enough that nothing is dropped while the background
    threads do not run."""

    def __init__(self, binaries, level, model, sink, prefix=(), backlog=False):
        held, traces, queued = ("8GiB", 2_000_000, "8GiB") if backlog else ("256MiB", 10_000, "1GiB")
        self.port, self.telemetry, self.admin = free_port(), free_port(), free_port()
        self.folder = tempfile.TemporaryDirectory()
        config = pathlib.Path(self.folder.name, "offpath.yaml")
        config.write_text(CONFIG.format(port=self.port, telemetry=self.telemetry, admin=self.admin,
                                        capture=CAPTURE[level], model=model, sink=sink,
                                        held=held, traces=traces, queued=queued))
        self.log = open(pathlib.Path(self.folder.name, "log"), "w+")
        super().__init__([*prefix, binaries / "offpath", "run", "--config", config],
                         stdout=self.log, stderr=self.log)
        self.wait(lambda: urllib.request.urlopen(f"http://127.0.0.1:{self.telemetry}/readyz", timeout=5))
        # offpath may report that it is ready just before the listener accepts connections.
        self.wait(lambda: socket.create_connection(("127.0.0.1", self.port), 5))

    def wait(self, connect):
        deadline = time.monotonic() + 120
        while True:
            try:
                return connect().close()
            except OSError:
                if self.child.poll() is not None or time.monotonic() > deadline:
                    self.log.seek(0)
                    raise SystemExit(f"offpath did not start:\n{self.log.read()[-2000:]}")
                time.sleep(0.05)

    def account(self):
        """Kept, exported, dropped and pending, over all routes and sinks."""
        status = urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/status", timeout=30)
        sums = {"kept": 0, "exported": 0, "dropped": 0, "pending": 0}
        status = json.load(status)
        for route in status.get("export", status)["routes"]:
            for sink in route["sinks"]:
                sums["kept"] += sink["kept"]
                sums["exported"] += sink["exported"]
                sums["dropped"] += sum(sink["dropped"].values())
                sums["pending"] += sum(sink["pending"].values())
        return sums

    def settle(self, every=0.05):
        """Waits until nothing is pending, and polls every `every` seconds, because responding to a poll
        is work of the proxy's threads, too. Fails if a trace was lost: a dropped trace costs less than
        an exported one."""
        deadline = time.monotonic() + 120
        while (account := self.account())["pending"] and time.monotonic() < deadline:
            time.sleep(every)
        if account["pending"] or account["dropped"]:
            raise SystemExit(f"not every exchange was exported: {account}")
        return account

    def cpu_seconds(self, name):
        """CPU time of the threads with this name."""
        return cpu_seconds([self.child.pid], name)


def cpu_seconds(pids, name=""):
    """CPU time of the threads of these processes, or only of those with a name. The kernel truncates
    names to 15 bytes."""
    nanos = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                if (task / "comm").read_text().strip().startswith(name[:15]):
                    nanos += int((task / "schedstat").read_text().split()[0])
            except FileNotFoundError:
                continue
    return nanos / 1e9


def listener(port):
    """Returns the id of the process that listens on a port of 127.0.0.1."""
    local = f"0100007F:{port:04X}"
    with open("/proc/net/tcp") as table:
        inodes = {line.split()[9] for line in table if line.split()[1:4:2] == [local, "0A"]}
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(entry) in sockets for entry in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    raise SystemExit(f"no process listens on port {port}")


def stop_session(child):
    """Stops a child that leads a session, and all processes of the session."""
    try:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    except ProcessLookupError:
        child.wait()


@contextlib.contextmanager
def together(processes):
    """Enters several context managers and leaves them together."""
    try:
        yield processes
    finally:
        for process in processes:
            process.stop()
