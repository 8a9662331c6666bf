#!/usr/bin/env python3
"""CPU time per request of the proxy's threads in an open loop, with capture on and off.

Each round starts three processes one after another in rotating order (off, full, and off again as the
A/A control), at about half the rate at which `off` is saturated, and reads the CPU time of their threads
from the kernel. A difference is meaningful only if it exceeds that of the two `off`. `--background`
measures the CPU time of the background threads per kept exchange instead, into a sink that accepts
everything at once.
"""

import argparse
import json
import statistics
import subprocess
import tempfile

from harness import build, procs, report, requests

AIMS_US = {"chat_1k": 10, "chat_20k": 40, "stream_200": None, "frame_1m": 1000}
# Exchanges per second, and the number of exchanges.
PACES = {"chat_1k": (1000, 5000), "chat_20k": (500, 2500), "stream_200": (500, 2500),
         "frame_1m": (30, 150)}
NAMES = ("off", "full", "off again")


class Bench:
    def __init__(self, binaries, seconds):
        self.binaries, self.seconds = binaries, seconds
        self.folder = tempfile.TemporaryDirectory()

    def load(self, port, size, *how):
        """Runs `loadtest run` and returns its summary."""
        path, body = requests.SIZES[size]
        body_file, json_file = f"{self.folder.name}/body.json", f"{self.folder.name}/summary"
        with open(body_file, "wb") as file:
            file.write(body)
        command = [self.binaries / "loadtest", "run", f"http://127.0.0.1:{port}{path}", "--body",
                   body_file, "--json", json_file, "--threads", "1", *how]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE)
        with open(json_file) as file:
            return json.load(file)

    def saturation(self, size):
        """Requests per second of `off` in closed loop."""
        with procs.sink(self.binaries) as sink, procs.model(self.binaries) as model:
            with procs.Gateway(self.binaries, "off", model.uri, sink.uri) as gateway:
                self.load(gateway.port, size, "--closed-loop", "16", "--duration", "1s")
                summary = self.load(gateway.port, size, "--closed-loop", "16", "--duration", "3s")
        return answered(summary) / 3

    def turn(self, name, size, rate):
        """Starts one process and returns its CPU microseconds per request."""
        level = name.split()[0]
        with procs.sink(self.binaries) as sink, procs.model(self.binaries) as model:
            with procs.Gateway(self.binaries, level, model.uri, sink.uri, backlog=True) as gateway:
                how = ["--rate", f"{rate:.0f}", "--duration"]
                self.load(gateway.port, size, *how, "1s")
                before = gateway.cpu_seconds("offpath-proxy")
                summary = self.load(gateway.port, size, *how, f"{self.seconds}s")
                spent = gateway.cpu_seconds("offpath-proxy") - before
                account = gateway.settle()
        count = answered(summary)
        if level == "full" and account["kept"] < count:
            raise SystemExit(f"{count} exchanges should be kept: {account}")
        return spent * 1e6 / count


def answered(summary):
    if summary["errors"] or set(summary["statuses"]) != {"200"}:
        raise SystemExit(f"not every request was answered: {summary['first_error']}")
    return summary["requests"]


def proxy(options, binaries):
    bench = Bench(binaries, options.seconds)
    rows = []
    for size in requests.SIZES:
        rate = options.share * bench.saturation(size)
        figures = {name: [] for name in NAMES}
        for turn in range(options.rounds):
            shift = turn % len(NAMES)
            for name in NAMES[shift:] + NAMES[:shift]:
                figures[name].append(bench.turn(name, size, rate))
        off, full, again = (statistics.median(figures[name]) for name in NAMES)
        rows.append({"size": size, "rate": round(rate), "cpu_us": figures, "full_to_off": full / off,
                     "off_to_off": again / off})
    print("CPU microseconds per request of the proxy's threads: median (minimum..maximum)\n")
    report.table(["body", "rate/s", *NAMES, "full/off", "off/off"],
                 [[r["size"], r["rate"], *(report.spread(r["cpu_us"][name]) for name in NAMES),
                   f"{r['full_to_off']:.3f}", f"{r['off_to_off']:.3f}"] for r in rows])
    report.write("overhead", {"rounds": options.rounds, "seconds": options.seconds, "rows": rows})


def background(options, binaries):
    rows = {traffic: [] for traffic in PACES}
    for _ in range(options.rounds):
        for traffic, (rate, count) in PACES.items():
            command = [binaries / "offpath-benches", "background", "--traffic", traffic,
                       "--rate", rate, "--count", count]
            found = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE)
            rows[traffic].append(json.loads(found.stdout))
    print("CPU microseconds per kept exchange of the background threads: median (minimum..maximum)\n")
    cells = []
    for traffic, runs in rows.items():
        encoder, exporter = ([run[key] for run in runs] for key in ("encoder_us", "exporter_us"))
        both = [sum(pair) for pair in zip(encoder, exporter)]
        cells.append([traffic, runs[0]["body_bytes"], *map(report.spread, (encoder, exporter, both)),
                      AIMS_US[traffic] or ""])
    report.table(["exchange", "bodies", "encoder", "exporter", "both", "aim"], cells)
    report.write("background", {"rounds": options.rounds, "paces": PACES, "runs": rows})


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--background", action="store_true", help="measure the background threads")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=5, help="seconds of load in a turn")
    arguments.add_argument("--share", type=float, default=0.5, help="fraction of the saturated rate")
    options = arguments.parse_args()
    binaries = build.release("offpath", "offpath-loadtest", "offpath-benches")
    (background if options.background else proxy)(options, binaries)


if __name__ == "__main__":
    main()
