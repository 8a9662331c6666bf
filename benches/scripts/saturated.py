#!/usr/bin/env python3
"""CPU time per request of offpath and of other proxies, each saturated and alone on a core.

Each proxy has one worker on one core. The model (nginx with a fixed response) and the client (`wrk` with
64 connections) run on the other core. The proxies run in turns of random order, with offpath's `off`
twice as the A/A control. offpath's traces go to a sink that accepts everything at once, and a turn ends
when nothing is pending, so the CPU time of the background threads is reported next to the proxy's. The
run fails if a trace is dropped.
"""

import argparse
import os
import pathlib
import random
import statistics
import tempfile

from harness import build, peers, plot, procs, report, requests, wrk

# Request body, and bytes of the response. The model responds before it has read a larger body.
SIZES = {"1 KB": (requests.SIZES["1 KB"][1], 1_000), "20 KB": (requests.SIZES["20 KB"][1], 2_000)}
OFFPATH = {"offpath-off": "off", "offpath-off again": "off", "offpath-10%": "tenth", "offpath-100%": "full"}
# Aims for the ratio of the total CPU time at 1 KB with everything kept.
AIMS = {"envoy": 0.75, "envoy-tap": 0.55}


def answering(folder, size, core):
    """nginx as the model: it responds to everything with a chat completion of about `size` bytes."""
    content = "a word " * (size // 7)
    answer = ('{"id":"1","object":"chat.completion","model":"bench","choices":[{"index":0,"message":'
              '{"role":"assistant","content":"%s"},"finish_reason":"stop"}],"usage":{"prompt_tokens":'
              '200,"completion_tokens":150,"total_tokens":350}}' % content)
    return peers.fixed_answer(folder, answer, prefix=["taskset", "-c", core])


def gateways(binaries, before, model, sink, core):
    """One offpath process for each level, on a core, and those of an older build if there is one."""
    running = {}
    wanted = [(name, binaries, level) for name, level in OFFPATH.items()]
    if before:
        wanted += [("before, off", before, "off"), ("before, 100%", before, "full")]
    for name, binaries, level in wanted:
        gateway = procs.Gateway(binaries, level, model, sink, ["taskset", "-c", core], backlog=True)
        gateway.version = peers.version([binaries / "offpath", "--version"], r"(\d+\.\d+\.\d+)")
        gateway.pids = lambda pid=gateway.child.pid: [pid]
        running[name] = gateway
    return running


def turn(program, peer, body, seconds, core):
    """Responses per second; CPU microseconds per request, in total and of the proxy's threads."""
    is_offpath = isinstance(peer, procs.Gateway)

    def spent(name=""):
        return procs.cpu_seconds(peer.pids(), name)

    before, proxy = spent(), spent("offpath-proxy") if is_offpath else 0
    rate = wrk.rate(program, f"http://127.0.0.1:{peer.port}/v1/chat/completions", body, 64, seconds,
                    ["taskset", "-c", core])
    count = rate * seconds
    own = (spent("offpath-proxy") - proxy) if is_offpath else (spent() - before)
    if is_offpath:
        peer.settle(0.5)
    return rate, (spent() - before) / count * 1e6, own / count * 1e6


def measure(program, running, body, options, core):
    found = {name: [] for name in running}
    order = random.Random(1)
    for number in range(options.rounds + 1):
        for name in order.sample(list(running), len(running)):
            figures = turn(program, running[name], body, options.seconds, core)
            # The first round warms up.
            if number:
                found[name].append(figures)
    return found


def row(size, name, turns, base):
    rates, whole, own = (list(column) for column in zip(*turns))
    ratio = statistics.median(whole) / statistics.median(one[1] for one in base)
    return {"size": size, "name": name, "per_second": rates, "cpu_us": whole, "proxy_cpu_us": own,
            "to_off": ratio}


def tell(rows, versions, missing, options):
    print("CPU microseconds per request, saturated: median (least..greatest)\n")
    report.table(["body", "", "requests/s", "proxy", "with its background", "to offpath-off"],
                 [[r["size"], r["name"], f"{statistics.median(r['per_second']):,.0f}",
                   report.spread(r["proxy_cpu_us"]), report.spread(r["cpu_us"]), f"{r['to_off']:.2f}"]
                  for r in rows])
    at = {r["name"]: r for r in rows if r["size"] == "1 KB"}
    print()
    for name, aim in AIMS.items():
        if name in at and "offpath-100%" in at:
            full, peer = at["offpath-100%"], at[name]["cpu_us"]
            # Ratios are taken round by round, because the machine's speed changes over minutes.
            own, whole = ([mine / theirs for mine, theirs in zip(full[key], peer)]
                          for key in ("proxy_cpu_us", "cpu_us"))
            print(f"offpath-100% / {name} at 1 KB: {report.spread(own, 2)}, with its background "
                  f"{report.spread(whole, 2)} (aim: at most {aim})")
    for name, reason in missing.items():
        print(f"missing: {name}: {reason}")
    panels = [(f"{size}, CPU µs per request",
               [(r["name"], statistics.median(r["cpu_us"]), min(r["cpu_us"]), max(r["cpu_us"]))
                for r in rows if r["size"] == size]) for size in dict.fromkeys(r["size"] for r in rows)]
    plot.bars(panels, report.RESULTS / "saturated.svg", "saturated, background included")
    report.write("saturated", {"versions": versions, "missing": missing, "rounds": options.rounds,
                               "seconds": options.seconds, "rows": rows})


def main():
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", default=",".join(SIZES))
    arguments.add_argument("--peers", default=",".join(peers.PEERS))
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=3, help="seconds of load in a turn")
    arguments.add_argument("--before", type=pathlib.Path, help="folder of an older `offpath` binary")
    options = arguments.parse_args()
    program = peers.program("wrk", "wrk")
    binaries = build.release("offpath", "offpath-benches")
    mine, theirs = (str(core) for core in sorted(os.sched_getaffinity(0))[:2])
    rows, versions, missing = [], {}, {}
    # Envoy's tap writes to memory, so that the disk does not affect the result.
    shared = pathlib.Path("/dev/shm")
    for size in options.sizes.split(","):
        body, answer = SIZES[size]
        with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
            with procs.sink(binaries) as sink, answering(folder, answer, theirs) as model:
                running = gateways(binaries, options.before, f"http://127.0.0.1:{model.port}", sink.uri, mine)
                for name in filter(None, options.peers.split(",")):
                    try:
                        running[name] = peers.PEERS[name](pathlib.Path(folder), model.port, threads=1,
                                                          prefix=["taskset", "-c", mine])
                    except peers.Missing as reason:
                        missing[name] = str(reason)
                with procs.together(list(running.values())):
                    versions.update((name, peer.version) for name, peer in running.items())
                    found = measure(program, running, body, options, theirs)
        rows += [row(size, name, turns, found["offpath-off"]) for name, turns in found.items()]
        # Each result is written before the next size.
        tell(rows, versions, missing, options)


if __name__ == "__main__":
    main()
