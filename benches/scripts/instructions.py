#!/usr/bin/env python3
"""Instructions per request, with capture on and off.

The first table has the filters alone: the functions that the gateway calls. The second table has the
proxy's threads: the real `offpath` binary under Callgrind with one worker thread and requests one after
another. A run with fewer requests is subtracted to exclude the start. `off` runs twice as the A/A
control.
"""

import argparse
import statistics
import subprocess
import tempfile

from harness import build, callgrind, procs, report, requests

# Requests in the short and in the long run.
COUNTS = {"1 KB": (100, 500), "20 KB": (100, 500), "1 MB": (20, 80)}
AIMS = {"1 KB": 1.05, "20 KB": 1.05, "1 MB": 1.10}
TRAFFIC = {"1 KB": "chat_1k", "20 KB": "chat_20k", "1 MB": "frame_1m"}
# A function that only the worker threads run.
PROXY_THREADS = "HttpProxy"
COUNT = 200


def filters(binaries):
    def count(subject, traffic, pattern):
        command = [binaries / "offpath-benches", "path", subject, "--traffic", traffic]
        return callgrind.function([*map(str, command), "--count", str(COUNT)], pattern) / COUNT

    rows = []
    for size, traffic in TRAFFIC.items():
        kept = count("kept", traffic, "*counted_pass*")
        not_kept = count("not-kept", traffic, "*counted_pass*")
        offer = count("offer", traffic, "*counted_offer*")
        rows.append({"size": size, "kept": kept, "not_kept": not_kept, "offer": offer})
    return rows


def run(binaries, level, size, requests_count):
    """Instructions of the proxy's threads in one run of the gateway."""
    with tempfile.TemporaryDirectory() as folder:
        with procs.sink(binaries) as sink, procs.model(binaries) as model:
            # One core means one worker thread, so that work stealing does not affect the counts.
            prefix = ["taskset", "-c", "0", *callgrind.thread_command(folder)]
            gateway = procs.Gateway(binaries, level, model.uri, sink.uri, prefix)
            with gateway:
                answered = requests.send(gateway.port, size, requests_count)
                account = gateway.settle(every=2)
        expected = requests_count if level == "full" else 0
        if account["exported"] != expected:
            raise SystemExit(f"{expected} exchanges should be exported: {account}")
        return callgrind.threads(folder, PROXY_THREADS), answered


def per_request(binaries, level, size):
    few, many = COUNTS[size]
    least, _ = run(binaries, level, size, few)
    most, answered = run(binaries, level, size, many)
    return (most - least) / (many - few), answered


def proxy(binaries, rounds):
    rows = []
    for size in COUNTS:
        figures = {"off": [], "not kept": [], "full": [], "off again": []}
        for _ in range(rounds):
            for name in figures:
                count, answered = per_request(binaries, name.removesuffix(" again"), size)
                figures[name].append(count)
        off, not_kept, full, again = (statistics.median(values) for values in figures.values())
        rows.append({"size": size, "request_bytes": len(requests.SIZES[size][1]),
                     "response_bytes": answered, "runs": figures, "off": off, "not_kept": not_kept,
                     "full": full, "ratio": full / off, "ratio_off_to_off": again / off, "aim": AIMS[size]})
    return rows


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3, help="runs of the real binary")
    options = arguments.parse_args()
    callgrind.require()
    binaries = build.release("offpath", "offpath-loadtest", "offpath-benches")
    own = filters(binaries)
    print("The filters' own work, instructions per exchange\n")
    report.table(["body", "not kept", "kept", "kept: hand-off"],
                 [[r["size"], round(r["not_kept"]), round(r["kept"]), round(r["offer"])]
                  for r in own])
    whole = proxy(binaries, options.rounds)
    print("\nThe proxy's threads, instructions per request\n")
    report.table(["body", "answer", "off", "not kept", "full", "full/off", "off/off", "aim"],
                 [[r["size"], r["response_bytes"], round(r["off"]), round(r["not_kept"]),
                   round(r["full"]),
                   f"{r['ratio']:.3f}", f"{r['ratio_off_to_off']:.3f}", r["aim"]] for r in whole])
    version = subprocess.run(["valgrind", "--version"], capture_output=True, text=True)
    report.write("instructions", {"valgrind": version.stdout.strip(), "filters": own,
                                  "proxy_threads": whole})


if __name__ == "__main__":
    main()
