#!/usr/bin/env python3
"""Traces per second into one real MLflow 3.17.2 on SQLite, of a bare client and of offpath.

Both send batches of 100 with one in flight, in turns. The bare client only posts bodies that offpath's
exporter produced before, so the ratio shows the cost of the exporter. Aim: 0.95.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

from harness import build, report, tracking

AIM = 0.95


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--venv", help="a virtual environment with MLflow in it")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--batches", type=int, default=10, help="batches of 100 traces in a turn")
    arguments.add_argument("--workers", type=int, default=1, help="workers of the server")
    options = arguments.parse_args()
    binaries = build.release("offpath-benches")
    venv = tracking.installation(options.venv)
    rows = []
    with tempfile.TemporaryDirectory() as data:
        with tracking.server(venv, pathlib.Path(data), options.workers) as mlflow:
            for traffic in ("chat_1k", "chat_20k"):
                command = [binaries / "offpath-benches", "mlflow-rate", "--traffic", traffic,
                           "--tracking-uri", mlflow.uri, "--rounds", options.rounds,
                           "--batches", options.batches]
                done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE)
                rows.append(json.loads(done.stdout))
    for row in rows:
        pairs = zip(row["offpath_per_second"], row["bare_per_second"])
        row["ratios"] = [offpath / bare for offpath, bare in pairs]
        row["ratio"] = statistics.median(row["ratios"])
    print("Traces per second: median (minimum..maximum), and the median of the rounds' ratios\n")
    report.table(["exchange", "bare client", "offpath", "ratio", "aim"],
                 [[r["traffic"], report.spread(r["bare_per_second"]),
                   report.spread(r["offpath_per_second"]), f"{r['ratio']:.3f}", AIM]
                  for r in rows])
    report.write("mlflow_rate", {"mlflow": tracking.PACKAGE, "workers": options.workers, "rows": rows})


if __name__ == "__main__":
    main()
