#!/usr/bin/env python3
"""Runs under faults. They check that memory and descriptors stay flat, that users are not affected,
and that every lost trace is counted.

soak      mixed traffic at half load, into a sink that accepts all of it
overload  twice the load that the sink accepts: bodies are dropped before traces
drops     an unavailable sink and no spool: bodies are dropped, then the newest traces; every drop is
          counted, and memory stays below the bound printed by `offpath validate`
p99       a sink that hangs, with capture on and off, interleaved, with an A/A control
window    the time from the end of an exchange until it is on disk, with `spool.when: always`

`soak`, `overload` and `drops` can be interrupted. The next run continues after the last full minute.
The samples are in `target/faults/`, the result and its plot in `results/`.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import tempfile
import time
import urllib.request

from harness import build, faulty, plot, procs, report, requests

CONFIG = """listeners: [{{address: "127.0.0.1:{port}"}}]
upstreams: {{model: {{endpoints: ["{model}"]}}}}
routes: [{{name: bench, match: {{path_prefix: /}}, upstream: model, {capture}}}]
limits: {{connections: 1000, capture_bytes: 64MiB}}
export:
  sinks: {{stub: {{type: otlp, endpoint: "{sink}", compression: none}}}}
  queue: {{max_traces: 1000, max_bytes: 16MiB}}
  batch: {{max_traces: 50, max_bytes: 4MiB, max_trace: 8MiB, linger: 200ms}}
  {spool}
telemetry: {{address: "127.0.0.1:{telemetry}"}}
admin: {{address: "127.0.0.1:{admin}"}}
log: {{level: warn}}
"""
# Traces per second that the overloaded sink accepts: one batch of 50 each second.
TAKES = 50


def gateway(binaries, level, model, sink, spool, when="overflow"):
    """offpath with a spool in the folder `spool`."""
    line = f'spool: {{{{path: "{spool}", max_bytes: 32MiB, when: {when}}}}}'
    procs.CONFIG = CONFIG.replace("{spool}", line)
    return procs.Gateway(binaries, level, model, sink)


def load(binaries, folder, port, size, rate, seconds, *how):
    """Starts one `loadtest run`; returns the process and the path of its summary."""
    path, body = requests.SIZES[size]
    body_file, json_file = f"{folder}/body-{size}", f"{folder}/summary-{size}"
    pathlib.Path(body_file).write_bytes(body)
    # An earlier piece of the run wrote to the same place.
    pathlib.Path(json_file).unlink(missing_ok=True)
    command = [binaries / "loadtest", "run", f"http://127.0.0.1:{port}{path}", "--body", body_file,
               "-H", "content-type: application/json", "--json", json_file, "--threads", 1, "--rate", rate, "--duration", f"{seconds}s", *how]
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE), json_file


def finish(runs):
    summaries = []
    for process, json_file in runs:
        process.communicate()
        if process.returncode or not pathlib.Path(json_file).exists():
            raise SystemExit(f"the load generator failed: exit code {process.returncode}")
        summary = json.loads(pathlib.Path(json_file).read_text())
        if summary["errors"] or set(summary["statuses"]) != {"200"}:
            raise SystemExit(f"users saw errors: {summary['errors']} {summary['statuses']}")
        summaries.append(summary)
    return summaries


class Run:
    """The completed minutes of a run and their samples, in files that survive an interruption."""

    def __init__(self, what):
        folder = build.TARGET / "faults"
        folder.mkdir(parents=True, exist_ok=True)
        self.what, self.samples = what, folder / f"{what}.jsonl"
        self.done_file = folder / f"{what}.done"
        self.done = json.loads(self.done_file.read_text()) if self.done_file.exists() else []
        if not self.done:
            self.samples.unlink(missing_ok=True)

    def seconds(self):
        return sum(piece["seconds"] for piece in self.done)

    def add(self, piece):
        self.done.append(piece)
        self.done_file.write_text(json.dumps(self.done))

    def finish(self, figures, record):
        samples = [json.loads(line) for line in self.samples.read_text().splitlines()]
        half = samples[-1]["second"] / 2
        first = max(s["rss_mib"] for s in samples if s["second"] <= half)
        second = max(s["rss_mib"] for s in samples if s["second"] > half)
        # The number of requests in flight varies with the machine. The usual count shows whether
        # some descriptors are never closed.
        descriptors = [statistics.median(s["descriptors"] for s in samples
                                         if (s["second"] <= half) == early)
                       for early in (True, False)]
        result = {"seconds": self.seconds(), "rss_mib_max": [first, second],
                  "descriptors_median": descriptors, "pieces": self.done, **figures}
        if record:
            report.write(self.what, result)
            svg = report.BENCHES / "results" / f"{self.what}.svg"
            plot.over_time(samples, svg, f"{self.what}, {self.seconds()} s")
        self.done_file.unlink()
        print(f"resident at most {first} MiB in the first half, {second} in the second")
        print(f"descriptors usually {descriptors[0]} and {descriptors[1]}")
        if second > first * 1.1 + 8:
            raise SystemExit("memory grew")
        if descriptors[1] > descriptors[0] * 1.2 + 8:
            raise SystemExit("descriptors grew")
        return max(first, second)


def endure(options, binaries, what, pause, rates, when="overflow"):
    run = Run(what)
    with tempfile.TemporaryDirectory() as folder, procs.model(binaries) as model:
        with faulty.Sink(pause=pause) as sink, \
             gateway(binaries, "full", model.uri, sink.endpoint, f"{folder}/spool", when) as proxy:
            bound = bound_mib(binaries, proxy)
            while (left := options.seconds - run.seconds()) > 0:
                seconds = min(60, left)
                with faulty.Monitor(proxy, run.samples, run.seconds()):
                    finish([load(binaries, folder, proxy.port, size, rate, seconds)
                            for size, rate in rates.items()])
                run.add({"seconds": seconds, **proxy.account()})
            sink.pause = 0
            account = settle(proxy)
            degraded = metric(proxy, "offpath_degraded_total")
            dropped = metric(proxy, "offpath_traces_dropped_total")
        log = pathlib.Path(proxy.folder.name, "log").read_text()
    resident = run.finish({"account": account, "degraded": degraded, "dropped": dropped,
                           "bound_mib": bound, "rates": rates}, options.record)
    print(f"bound on its own buffers: {bound} MiB")
    if resident > bound:
        raise SystemExit(f"resident memory of {resident} MiB exceeds the bound of {bound} MiB")
    if "panicked" in log:
        raise SystemExit(f"offpath panicked:\n{log}")
    return account, degraded, dropped


def bound_mib(binaries, proxy):
    """The bound on memory that `offpath validate` prints."""
    command = [binaries / "offpath", "validate", "--config", f"{proxy.folder.name}/offpath.yaml"]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(re.search(r"memory: at most ([0-9.]+) MiB", said)[1])


def settle(proxy):
    """Waits until nothing is pending and returns the account. Fails if it does not balance."""
    deadline = time.monotonic() + 300
    while (account := proxy.account())["pending"] and time.monotonic() < deadline:
        time.sleep(0.2)
    if account["kept"] != account["exported"] + account["dropped"] or account["pending"]:
        raise SystemExit(f"the accounts do not balance: {account}")
    return account


def metric(proxy, name):
    page = urllib.request.urlopen(f"http://127.0.0.1:{proxy.telemetry}/metrics").read().decode()
    lines = (line for line in page.splitlines() if line.startswith(name + "{"))
    return {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines}


def soak(options, binaries):
    account, *_ = endure(options, binaries, "soak", 0.0, {"1 KB": 100, "20 KB": 50, "1 MB": 1})
    if account["dropped"]:
        raise SystemExit(f"something was lost: {account}")


def overload(options, binaries):
    account, degraded, _ = endure(options, binaries, "overload", 1.0, {"20 KB": 2 * TAKES})
    if not sum(degraded.values()):
        raise SystemExit(f"nothing was degraded: {account}")
    print(f"kept {account['kept']}, exported {account['exported']}, dropped {account['dropped']}, "
          f"without contents {sum(degraded.values()):.0f}")


def drops(options, binaries):
    account, degraded, dropped = endure(options, binaries, "drops", 3600.0, {"20 KB": 2 * TAKES}, "never")
    reasons = {re.search('reason="([^"]*)"', name)[1]: count for name, count in dropped.items() if count}
    if not sum(degraded.values()) or sum(reasons.values()) != account["dropped"] or not reasons:
        raise SystemExit(f"nothing was degraded, or a drop has no reason: {account} {degraded} {reasons}")
    print(f"kept {account['kept']}, exported {account['exported']}, dropped {reasons}, "
          f"without contents {sum(degraded.values()):.0f}")


def p99(options, binaries):
    """Latency of users while the sink hangs: off, full, and off again, in rotating order."""
    names = ("off", "full", "off again")
    figures = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder, procs.model(binaries) as model:
        for turn in range(options.rounds):
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                spool = f"{folder}/spool-{turn}-{name.replace(' ', '-')}"
                with faulty.Sink(pause=3600) as sink, \
                     gateway(binaries, name.split()[0], model.uri, sink.endpoint, spool) as proxy:
                    finish([load(binaries, folder, proxy.port, "20 KB", options.rate, 1)])
                    [summary] = finish([load(binaries, folder, proxy.port, "20 KB", options.rate,
                                             options.seconds)])
                    figures[name].append(latency(summary))
                    proxy.child.kill()
    off, full, again = (statistics.median(figures[name]) for name in names)
    report.table(["p99 us while the sink hangs", *names], [["20 KB", *(report.spread(figures[n]) for n in names)]])
    allowed = max(0.1 * off, 300, abs(again - off))
    report.write("faults-p99", {"rate": options.rate, "rounds": options.rounds, "p99_us": figures,
                                "difference_us": full - off, "control_us": again - off, "allowed_us": allowed})
    print(f"full - off {full - off:.0f} us, off again - off {again - off:.0f} us, allowed {allowed:.0f} us")
    if full - off > allowed:
        raise SystemExit("capture increases the users' p99 by more than is allowed")


def window(options, binaries):
    """Milliseconds from the end of a response until its trace is in a segment."""
    waits = []
    with tempfile.TemporaryDirectory() as folder, procs.model(binaries) as model:
        with faulty.Sink(pause=3600) as sink, \
             gateway(binaries, "full", model.uri, sink.endpoint, f"{folder}/spool", "always") as proxy:
            size = lambda: sum(file.stat().st_size for file in pathlib.Path(folder).glob("spool/*/*.seg"))
            for turn in range(200):
                # Covers every phase of the encoders' polling interval.
                time.sleep((turn * 37 % 100) / 1000)
                before = size()
                requests.send(proxy.port, "20 KB", 1)
                ended = time.monotonic()
                while size() == before:
                    time.sleep(0.0002)
                waits.append((time.monotonic() - ended) * 1000)
    waits.sort()
    quantile = lambda share: round(waits[int(share * (len(waits) - 1))], 1)
    figures = {"p50": quantile(0.5), "p90": quantile(0.9), "p99": quantile(0.99), "max": quantile(1)}
    report.table(["ms until on disk", *figures], [["20 KB", *figures.values()]])
    report.write("faults-window", {"exchanges": len(waits), "ms": figures})


def latency(summary):
    [figure] = [figure for figure in summary["figures"] if figure["name"] in ("latency", "total")]
    return figure["us"]["p99"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=["soak", "overload", "drops", "p99", "window"])
    arguments.add_argument("--no-record", dest="record", action="store_false",
                           help="for soak, overload and drops: check without writing a result")
    arguments.add_argument("--seconds", type=int, help="duration; default 1800 for soak, 600 for overload and drops, 8 per turn for p99")
    arguments.add_argument("--rounds", type=int, default=6, help="rounds of p99")
    arguments.add_argument("--rate", type=int, default=200, help="requests per second of p99")
    options = arguments.parse_args()
    options.seconds = options.seconds or {"soak": 1800, "overload": 600, "drops": 600, "p99": 8, "window": 0}[options.what]
    binaries = build.release("offpath", "offpath-loadtest")
    {"soak": soak, "overload": overload, "drops": drops, "p99": p99, "window": window}[options.what](options, binaries)


if __name__ == "__main__":
    main()
