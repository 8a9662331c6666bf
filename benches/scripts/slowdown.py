#!/usr/bin/env python3
"""How much capturing slows down the model itself if offpath shares its cores.

A scikit-learn model behind `mlflow models serve` (one worker) and offpath run on one core, at half the
rate at which that core is saturated. The client and a sink that accepts everything at once run on the
other core. Capture is off, full, and off again (A/A), in turns. The added latency is the slowdown of the
model, because everything else on the path is the same.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from harness import build, procs, report, served, tracking

COLUMNS = 20
ROWS = (100, 1_000, 10_000)


def loadtest(binaries, core, *arguments):
    with tempfile.NamedTemporaryFile() as file:
        command = ["taskset", "-c", core, binaries / "loadtest", *arguments, "--json", file.name]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.stdout)
        return json.load(file)


def case(rows):
    return ["--case", f"rows=dataframe:{rows}x{COLUMNS}"]


def saturated(binaries, core, target, rows):
    """Requests per second in a closed loop."""
    targets = [f"a={target}", f"b={target}", "--no-control"]
    found = loadtest(binaries, core, "compare", *targets, *case(rows), "--closed-loop", 2,
                     "--rounds", 8, "--block", "1s", "--timeout", "1m")
    lanes = found["cases"][0]["lanes"]
    return sum(lane["requests"] for lane in lanes) / (8 * len(lanes))


def measure(binaries, core, targets, pids, rows, options):
    rate = options.share * saturated(binaries, core, targets["off"], rows)
    # The block is long enough for some tens of requests.
    block = max(1, round(40 / rate))
    found = loadtest(binaries, core, "compare", *(f"{name}={uri}" for name, uri in targets.items()),
                     *case(rows), "--rate", f"{rate:.1f}", "--rounds", options.rounds, "--block",
                     f"{block}s", "--timeout", "1m",
                     *(part for name, pid in pids.items() for part in ("--pid", f"{name}={pid}")))
    figures = found["cases"][0]
    rows_found = []
    for lane in figures["lanes"]:
        added = next((d["added"] for d in figures["differences"]
                      if d["lane"] == lane["name"] and d["metric"] == "latency"), {})
        cpu = {process["name"]: used["cpu_us_per_request"] for process in found["processes"]
               for used in process["used"] if used["lane"] == lane["name"]}
        rows_found.append({"rows": rows, "rate": rate, "name": lane["name"], "added_us": added,
                           "requests": lane["requests"], "us": lane["us"]["latency"],
                           "model_cpu_us": cpu.get("model"), "offpath_cpu_us": cpu.get(lane["name"])})
    return rows_found


def cells(found):
    def milliseconds(us, sign=""):
        return "-" if us is None else f"{us / 1000:{sign}.2f}"

    def interval(value):
        if not value:
            return "-"
        low, high = (milliseconds(value[key], "+") for key in ("low", "high"))
        return f"{milliseconds(value['us'], '+')} [{low}, {high}]"

    return [f"{found['rows']:,}", f"{found['rate']:.1f}", found["name"], found["requests"],
            milliseconds(found["us"]["p50"]), *(interval(found["added_us"].get(quantile))
                                                for quantile in ("p50", "p90", "p99")),
            milliseconds(found["model_cpu_us"]), milliseconds(found["offpath_cpu_us"])]


def main():
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--venv", help="a virtual environment with MLflow and scikit-learn")
    arguments.add_argument("--rows", type=lambda text: [int(rows) for rows in text.split(",")],
                           default=ROWS)
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--share", type=float, default=0.5, help="fraction of the saturated rate")
    options = arguments.parse_args()
    binaries = build.release("offpath", "offpath-loadtest", "offpath-benches")
    venv = tracking.installation(options.venv, "scikit-learn")
    mine, theirs = (str(core) for core in sorted(os.sched_getaffinity(0))[:2])
    pinned, found = ["taskset", "-c", mine], []
    with tempfile.TemporaryDirectory() as data:
        folder = pathlib.Path(data)
        served.train(venv, folder)
        model = served.Served(venv, folder, "model", {}, pinned)
        with model, procs.sink(binaries, ["taskset", "-c", theirs]) as sink:
            pids = {"model": model.wait()}
            address = f"http://127.0.0.1:{model.port}"
            gateways = {"off": procs.Gateway(binaries, "off", address, sink.uri, pinned),
                        "full": procs.Gateway(binaries, "large", address, sink.uri, pinned)}
            with procs.together(list(gateways.values())):
                pids.update((name, gateway.child.pid) for name, gateway in gateways.items())
                targets = {name: f"http://127.0.0.1:{gateway.port}/invocations"
                           for name, gateway in gateways.items()}
                for rows in options.rows:
                    found += measure(binaries, theirs, targets, pids, rows, options)
                    gateways["full"].settle()
    print("Milliseconds; latency added to capture off with 95 % confidence intervals; CPU per request\n")
    report.table(["rows", "rate/s", "capture", "requests", "p50", "added p50", "added p90",
                  "added p99", "model CPU", "offpath CPU"], [cells(one) for one in found])
    report.write("slowdown", {"mlflow": tracking.PACKAGE, "rounds": options.rounds,
                              "share": options.share, "figures": found})


if __name__ == "__main__":
    main()
