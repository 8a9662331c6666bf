#!/usr/bin/env python3
"""Reproduces the field report: the latency that tracing a DataFrame model adds for its users.

One scikit-learn model runs behind `mlflow models serve` with DataFrames of 20 columns. The sink of all
variants is one real MLflow 3.17.2 at idle priority. One client sends requests in a closed loop, to all
variants in turns of random order:

- bare, and bare again (A/A); through offpath with capture off, and with everything captured; the
  latter also into a sink that accepts everything at once, as if MLflow had its own machine
- `@mlflow.trace` on the model, synchronous and asynchronous
- all rows recorded by the model, synchronous and asynchronous
- the vendor's workaround, a span with attributes only

The columns are the latency added to bare at p50, p90 and p99 (each if enough requests lie beyond it),
the model's CPU time per request, and the fraction of the numbers of requests and responses that can be
read back.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from harness import build, procs, report, served, tracking

COLUMNS = 20
# Name: the tracing method of the model, and whether the client logs asynchronously.
MODELS = {
    "bare": ("none", True),
    "decorator-sync": ("decorator", False),
    "decorator-async": ("decorator", True),
    "records-sync": ("records", False),
    "records-async": ("records", True),
    "attributes": ("attributes", True),
}
# Seconds for which one target is loaded before the next, by number of rows.
BLOCKS = {1_000: 2, 10_000: 4, 50_000: 15}


def environment(name, uri):
    how, is_async = MODELS[name]
    return {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": name, "FIELD_TRACING": how,
            "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": str(is_async).lower()}


def compare(binaries, targets, pids, rows, options):
    block = options.block or BLOCKS.get(rows, 10)
    with tempfile.NamedTemporaryFile() as file:
        command = [binaries / "loadtest", "compare", *(f"{n}={u}" for n, u in targets.items()),
                   "--case", f"rows={f'dataframe:{rows}x{COLUMNS}'}", "--closed-loop", 1,
                   "--rounds", options.rounds, "--block", f"{block}s", "--settle", "500ms",
                   "--timeout", "10m", "--json", file.name]
        for name, pid in pids.items():
            command += ["--pid", f"{name}={pid}"]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.stdout)
        return json.load(file)


def patient(gateway):
    """Waits for traces that MLflow has not accepted yet. Lost ones show in the read-back columns."""
    deadline = time.monotonic() + 300
    while gateway.account()["pending"] and time.monotonic() < deadline:
        time.sleep(1)


def kept(uri, name, rows):
    """The fractions of a request's and a response's numbers that the newest trace contains."""
    number = tracking.experiment(uri, name)
    # The newest trace may not be complete yet.
    for trace in tracking.traces(uri, number):
        try:
            inputs, outputs = tracking.numbers(uri, trace)
        except OSError:
            continue
        return inputs / (rows * COLUMNS), outputs / rows
    return 0.0, 0.0


def row(found, name, rows, keeps):
    case = found["cases"][0]
    lane = next(lane for lane in case["lanes"] if lane["name"] == name)
    added = {}
    for difference in case["differences"]:
        if difference["lane"] == name and difference["metric"] == "latency":
            added = difference["added"]
    model = name if name in MODELS else "bare"
    p50 = lane["us"]["latency"]["p50"]
    cpu = {process["name"]: used["cpu_us_per_request"] / 1000 for process in found["processes"]
           for used in process["used"] if used["lane"] == name}
    return {"rows": rows, "name": name, "requests": lane["requests"], "bytes": case["request_bytes"],
            "p50_ms": p50 and p50 / 1000, "added_us": added,
            "model_cpu_ms": cpu.get(model),
            "offpath_cpu_ms": cpu.get(name) if name.startswith("offpath") else None,
            "request_kept": keeps and keeps[0], "answer_kept": keeps and keeps[1]}


def cells(found):
    def number(value):
        return "-" if value is None else f"{value:.1f}"

    def share(value):
        return "-" if value is None else f"{value:.0%}"

    def milliseconds(interval):
        if not interval:
            return "-"
        us, low, high = (interval[key] / 1000 for key in ("us", "low", "high"))
        return f"{us:+.2f} [{low:+.2f}, {high:+.2f}]"

    added = [milliseconds(found["added_us"].get(quantile)) for quantile in ("p50", "p90", "p99")]
    return [f"{found['rows']:,}", found["name"], found["requests"], number(found["p50_ms"]), *added,
            number(found["model_cpu_ms"]), number(found["offpath_cpu_ms"]),
            share(found["request_kept"]), share(found["answer_kept"])]


def measure(binaries, venv, folder, uri, stub, options):
    rows_found = []
    with procs.together([served.Served(venv, folder, name, environment(name, uri))
                         for name in MODELS]) as models:
        pids = {name: model.wait() for name, model in zip(MODELS, models)}
        model = f"http://127.0.0.1:{models[0].port}"
        gateways = {"offpath-off": procs.Gateway(binaries, "off", model, uri),
                    "offpath-full": procs.Gateway(binaries, "large", model, uri),
                    "offpath-elsewhere": procs.Gateway(binaries, "large", model, stub)}
        with procs.together(list(gateways.values())):
            targets = {"bare": models[0].uri}
            for name, gateway in gateways.items():
                targets[name] = f"http://127.0.0.1:{gateway.port}/invocations"
                pids[name] = gateway.child.pid
            targets.update((name, one.uri) for name, one in zip(MODELS, models) if name != "bare")
            for rows in options.rows:
                found = compare(binaries, targets, pids, rows, options)
                patient(gateways["offpath-full"])
                gateways["offpath-elsewhere"].settle()
                # offpath's only route writes to the default experiment.
                experiments = {**dict.fromkeys(MODELS), "offpath-full": "Default"}
                for name in [*targets, "control"]:
                    experiment = experiments.get(name, None) or name
                    keeps = (0.0, 0.0)
                    if name.endswith("elsewhere"):
                        keeps = None
                    elif name not in ("bare", "control", "offpath-off"):
                        keeps = kept(uri, experiment, rows)
                    rows_found.append(row(found, name, rows, keeps))
                # A size takes minutes, so each result is written before the next size.
                tell(rows_found, options)


def main():
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--venv", help="a virtual environment with MLflow and scikit-learn")
    arguments.add_argument("--rows", type=lambda text: [int(rows) for rows in text.split(",")],
                           default=[1_000, 10_000, 50_000])
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--block", type=int, help="seconds for which one target is loaded before the next")
    options = arguments.parse_args()
    binaries = build.release("offpath", "offpath-loadtest", "offpath-benches")
    venv = tracking.installation(options.venv, "scikit-learn")
    with tempfile.TemporaryDirectory() as data:
        folder = pathlib.Path(data)
        served.train(venv, folder)
        (folder / "tracking").mkdir()
        # In production MLflow runs elsewhere. Here it gets only idle CPU time: a thread at nice 19
        # could still delay one that wakes up by some milliseconds.
        idle = ["chrt", "--idle", "0"]
        with (tracking.server(venv, folder / "tracking", 1, idle) as server,
              procs.sink(binaries, idle) as stub):
            for name in MODELS:
                tracking.experiment(server.uri, name)
            measure(binaries, venv, folder, server.uri, stub.uri, options)


def tell(found, options):
    print("Milliseconds; latency added to bare with 95 % confidence intervals; CPU per request\n")
    report.table(["rows", "", "requests", "p50", "added p50", "added p90", "added p99",
                  "model CPU", "offpath CPU", "request kept", "answer kept"],
                 [cells(one) for one in found])
    report.write("field_report", {"mlflow": tracking.PACKAGE, "rounds": options.rounds,
                                  "columns": COLUMNS, "figures": found})


if __name__ == "__main__":
    main()
