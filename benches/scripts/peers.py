#!/usr/bin/env python3
"""Compares offpath with other proxies: the latency that each adds to a direct call, and its resource use.

One model endpoint is called directly; through offpath with capture off, with 10 % and with all of the
exchanges kept (into a sink that accepts everything at once); and through nginx, haproxy, Envoy, and
Envoy with its tap filter writing every exchange to a file in memory. There is one `loadtest compare` per
body size, with all targets on the same schedule in blocks of random order, and a direct A/A control.

`--litellm` compares LiteLLM with its MLflow callback into a real MLflow instead, at a rate that it can
sustain, with offpath at the same rate. Missing programs are installed from Debian's and Python's
registries, or reported.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from harness import build, peers, plot, procs, report, requests, tracking

# Name: path and query, body, requests per second.
CASES = {
    "1 KB": (*requests.SIZES["1 KB"], 400),
    "20 KB": (*requests.SIZES["20 KB"], 300),
    "1 MB": (*requests.SIZES["1 MB"], 40),
    "stream": ("/v1/chat/completions?tokens=200&gap-us=1000",
               requests.chat(1_000).replace(b'{"model"', b'{"stream": true, "model"', 1), 40),
}
# LiteLLM does not forward the query.
SLOW = {"1 KB": ("/v1/chat/completions", CASES["1 KB"][1], 10),
        "stream": ("/v1/chat/completions", CASES["stream"][1], 10)}
OFFPATH = {"offpath-off": "off", "offpath-10%": "tenth", "offpath-100%": "full"}
SHARED_MEMORY = pathlib.Path("/dev/shm")


def start(binaries, model, sink, folder, wanted):
    """Addresses, processes and versions by name, and the reasons why others are missing."""
    running, missing = {}, {}
    for name, level in OFFPATH.items():
        gateway = procs.Gateway(binaries, level, model.uri, sink.uri)
        gateway.version = peers.version([binaries / "offpath", "--version"], r"(\d+\.\d+\.\d+)")
        gateway.pids = lambda pid=gateway.child.pid: [pid]
        running[name] = gateway
    for name in wanted:
        try:
            running[name] = peers.PEERS[name](folder, int(model.uri.rsplit(":", 1)[1]))
        except peers.Missing as reason:
            missing[name] = str(reason)
    return running, missing


def compare(binaries, model, running, case, options, folder):
    path, body, rate = (SLOW if options.litellm else CASES)[case]
    rate = options.rate or rate
    body_file, json_file = pathlib.Path(folder, "body.json"), pathlib.Path(folder, "found.json")
    body_file.write_bytes(body)
    targets = [f"direct={model.uri}{path}"]
    targets += [f"{name.replace('%', '')}=http://127.0.0.1:{peer.port}{path}"
                for name, peer in running.items()]
    command = [binaries / "loadtest", "compare", *targets, "--case", f"{key(case)}=file:{body_file}",
               "--rate", rate, "--rounds", options.rounds, "--block", options.block,
               "--settle", "50ms", "--json", json_file]
    for name, peer in running.items():
        for index, pid in enumerate(peer.pids()):
            command += ["--pid", f"{name.replace('%', '')}.{index}={pid}"]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stdout)
    return json.loads(json_file.read_text())


def key(case):
    return case.replace(" ", "")


def measure(binaries, model, running, options, folder):
    rows = []
    with procs.together(list(running.values())):
        versions = {name: peer.version for name, peer in running.items()}
        for case in SLOW if options.litellm else CASES:
            if key(case) not in options.cases.split(","):
                continue
            found = compare(binaries, model, running, case, options, folder)
            rows += [row(found, case, name) for name in [*running, "control"]]
            running["offpath-100%"].settle()
            for tap in pathlib.Path(folder).glob("tap*"):
                tap.unlink()
    return rows, versions


def row(found, case, name):
    figures = found["cases"][0]
    lane = name.replace("%", "")
    added = {d["metric"]: d["added"] for d in figures["differences"] if d["lane"] == lane}
    mine = [process for process in found["processes"] if process["name"].split(".")[0] == lane]
    used = [used for process in mine for used in process["used"] if used["lane"] == lane]
    memory = sum(process["memory"]["peak_bytes"] for process in mine if process["memory"])
    return {"case": case, "name": name, "added_us": added,
            "cpu_us": sum(one["cpu_us_per_request"] for one in used) if used else None,
            "faults": sum(one["minor_faults_per_request"] for one in used) if used else None,
            "peak_mib": round(memory / 2**20) if memory else None,
            "audit": next((a for a in figures["audits"] if a["lane"] == lane), None),
            "degraded": found["degraded"]}


def cells(found):
    def interval(metric, quantile):
        value = found["added_us"].get(metric, {}).get(quantile)
        if not value:
            return "-"
        return f"{value['us']:+.0f} [{value['low']:+.0f}, {value['high']:+.0f}]"

    def number(value, digits=0):
        return "-" if value is None else f"{value:.{digits}f}"

    return [found["case"], found["name"],
            *(interval("latency", quantile) for quantile in ("p50", "p99", "p99.9")),
            interval("ttft", "p50"), interval("itl", "p99"), number(found["cpu_us"]),
            number(found["faults"], 1), number(found["peak_mib"])]


def panel(rows, case):
    """The metric to report: for a stream, the time to the first chunk."""
    metric = "ttft" if case == "stream" else "latency"
    bars = [(one["name"], one["added_us"][metric]["p50"]) for one in rows if one["case"] == case]
    title = "stream, first chunk" if case == "stream" else case
    return title, [(name, p50["us"], p50["low"], p50["high"]) for name, p50 in bars if p50]


def audit_cells(found):
    def interval(value):
        if not value:
            return "-"
        return f"{value['us']:+.0f} [{value['low']:+.0f}, {value['high']:+.0f}]"

    audit = found["audit"]
    return [found["case"], found["name"], f"{audit['claimed_us']['p50']:.0f}",
            interval(audit["head_residual"]["p50"]), interval(audit["latency_residual"]["p50"])]


def main():
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--cases", default=",".join(map(key, CASES)))
    arguments.add_argument("--peers", default=",".join(peers.PEERS))
    arguments.add_argument("--rounds", type=int, default=40)
    arguments.add_argument("--block", default="250ms")
    arguments.add_argument("--rate", type=int, help="requests per second in every case")
    arguments.add_argument("--litellm", action="store_true", help="compare LiteLLM, at a rate that it sustains")
    arguments.add_argument("--venv", help="a virtual environment with MLflow, for --litellm")
    options = arguments.parse_args()
    if options.litellm and options.block == "250ms":
        options.block = "2s"
    binaries = build.release("offpath", "offpath-loadtest", "offpath-benches")
    stored = None
    wanted = [name for name in options.peers.split(",") if name]
    # Envoy's tap writes to memory, so that the disk does not affect the result.
    memory = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        with procs.model(binaries) as model, procs.sink(binaries) as sink:
            if options.litellm:
                venv = tracking.installation(options.venv)
                with tracking.server(venv, pathlib.Path(folder), 1) as mlflow:
                    running, missing = start(binaries, model, mlflow, folder, [])
                    try:
                        port = int(model.uri.rsplit(":", 1)[1])
                        running["litellm"] = peers.litellm(folder, port, mlflow.uri)
                    except peers.Missing as reason:
                        missing["litellm"] = str(reason)
                    rows, versions = measure(binaries, model, running, options, folder)
                    stored = {name: tracking.count(mlflow.uri, tracking.experiment(mlflow.uri, name))
                              for name in ("litellm", "Default")}
                    print(f"traces in MLflow: {stored['litellm']} of LiteLLM's, "
                          f"{stored['Default']} of offpath's\n")
            else:
                running, missing = start(binaries, model, sink, folder, wanted)
                rows, versions = measure(binaries, model, running, options, folder)
    print("Added to a direct call, us, with 95 % confidence intervals; CPU and page faults per request\n")
    report.table(["body", "", "added p50", "p99", "p99.9", "first chunk p50", "chunk gap p99",
                  "CPU us", "faults", "peak MiB"], [cells(one) for one in rows])
    print("\nx-offpath-overhead-us at p50, and the added latency beyond it, us\n")
    report.table(["body", "", "claimed", "head, beyond it", "latency, beyond it"],
                 [audit_cells(one) for one in rows if one["audit"]])
    if not options.litellm and not options.rate:
        plot.bars([panel(rows, case) for case in dict.fromkeys(one["case"] for one in rows)],
                  report.RESULTS / "peers.svg", "added to a direct call, p50, µs, with 95 % intervals")
    for name, reason in missing.items():
        print(f"\nmissing: {name}: {reason}")
    for reason in sorted({reason for one in rows for reason in one["degraded"]}):
        print(f"\ndegraded: {reason}")
    what = "peers_litellm" if options.litellm else "peers"
    report.write(f"{what}_{options.rate}" if options.rate else what,
                 {"versions": versions, "missing": missing, "rounds": options.rounds,
                  "block": options.block, "figures": rows, "stored": stored})


if __name__ == "__main__":
    main()
