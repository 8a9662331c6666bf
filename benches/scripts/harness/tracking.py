"""A real MLflow: its installation, its server, and reading traces from it."""

import json
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

from .build import TARGET
from .procs import Process, free_port

PACKAGE = "mlflow==3.17.2"


def installation(given, *more):
    """A virtual environment with MLflow and more packages: the given one, that of the tests (which has
    scikit-learn), or a new one."""
    tests = TARGET / "mlflow-venv"
    own = TARGET / "benches-mlflow-venv"
    for folder in filter(None, [given, tests if (tests / "offpath.installed").exists() else None]):
        return pathlib.Path(folder)
    if not (own / "bin" / "mlflow").exists():
        print(f"installing {PACKAGE} (once, a minute or two)")
        subprocess.run([sys.executable, "-m", "venv", own], check=True)
        subprocess.run([own / "bin" / "pip", "install", "--quiet", PACKAGE, *more], check=True)
    return own


def server(venv, data, workers, prefix=()):
    """A server that stores its data in a folder."""
    port = free_port()
    log = open(data / "log", "w+")
    options = ["server", "--host", "127.0.0.1", "--port", port, "--workers", workers,
               "--backend-store-uri", f"sqlite:///{data}/mlflow.db",
               "--artifacts-destination", data / "artifacts"]
    process = Process([*prefix, venv / "bin" / "mlflow", *options], stdout=log, stderr=log)
    process.uri = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(f"{process.uri}/health", timeout=5).close()
            return process
        except OSError:
            if process.child.poll() is not None or time.monotonic() > deadline:
                process.stop()
                log.seek(0)
                sys.exit(f"MLflow did not start:\n{log.read()[-2000:]}")
            time.sleep(0.2)


def ask(uri, path, body=None):
    """Calls MLflow's REST API and returns the parsed response."""
    body = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(uri + path, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def experiment(uri, name):
    """The id of an experiment, which is created if it does not exist."""
    try:
        found = ask(uri, f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}")
        return found["experiment"]["experiment_id"]
    except urllib.error.HTTPError:
        return ask(uri, "/api/2.0/mlflow/experiments/create", {"name": name})["experiment_id"]


def search(uri, number, most, **more):
    """One page of an experiment's traces, newest first."""
    where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": number}}
    return ask(uri, "/api/3.0/mlflow/traces/search",
               {"locations": [where], "max_results": most, "order_by": ["timestamp_ms DESC"], **more})


def traces(uri, number, most=50):
    """The ids of the newest traces of an experiment."""
    return [trace["trace_id"] for trace in search(uri, number, most).get("traces", [])]


def count(uri, number):
    """The number of traces in an experiment."""
    found = search(uri, number, 500)
    total = len(found.get("traces", []))
    while found.get("next_page_token"):
        found = search(uri, number, 500, page_token=found["next_page_token"])
        total += len(found.get("traces", []))
    return total


def numbers(uri, trace):
    """The number of numbers in a trace's inputs and outputs: each the maximum over its spans."""
    spans = ask(uri, f"/api/3.0/mlflow/traces/get?trace_id={trace}")["trace"]["spans"]
    most = {"mlflow.spanInputs": 0, "mlflow.spanOutputs": 0}
    for span in spans:
        for attribute in span.get("attributes", []):
            key = attribute["key"]
            if key in most:
                most[key] = max(most[key], leaves(attribute.get("value")))
    return tuple(most.values())


def leaves(value):
    if isinstance(value, dict):
        if "double_value" in value or "int_value" in value:
            return 1
        return sum(map(leaves, value.values()))
    return sum(map(leaves, value)) if isinstance(value, list) else 0
