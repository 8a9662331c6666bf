#!/usr/bin/env python3
"""Measures the accuracy of the load tester on this machine.

- percentiles: a scripted latency distribution; aim: accurate to 2 %
- wrk: closed loops of `wrk` and `loadtest` on one server, in turns; aim: within 20 %
- aa: `compare` with one target under two names, 20 times; aim: at most 2 false claims at 95 %, and a
  half width of the interval at p50 of at most 15 us or 10 %
- spin: 200 us of work before the response; aim: measured to within 20 %

Without arguments all checks run. The second one needs Debian's `wrk`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

from harness import build, peers, procs, report, requests, wrk

# The distribution has plateaus, so that p50, p90 and p99 are exactly known. The latencies are long
# compared with the round trip, which is measured but not scripted.
SCRIPT = "quantiles:0=50ms,70=50ms,70.001=100ms,95=100ms,95.001=400ms,100=400ms"
SCRIPTED_US = {"p50": 50_000, "p90": 100_000, "p99": 400_000}


def loadtest(binaries, *arguments):
    """Runs one command and returns its JSON."""
    with tempfile.NamedTemporaryFile() as file:
        command = [binaries / "loadtest", *arguments, "--json", file.name]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{done.stderr}{done.stdout}")
        return json.load(file)


def percentiles(binaries, options):
    with procs.model(binaries, "--latency", SCRIPT) as model:
        summary = loadtest(binaries, "run", f"{model.uri}/echo", "--method", "POST", "--rate",
                           "200", "--arrivals", "poisson", "--duration", f"{options.seconds * 5}s",
                           "--connections", "512")
    found = next(f["us"] for f in summary["figures"] if f["name"] == "latency from send")
    errors = {name: found[name] / us - 1 for name, us in SCRIPTED_US.items()}
    print(f"percentiles of {found['count']} scripted latencies (aim: within 2 %)\n")
    report.table(["", "scripted, us", "measured, us", "error"],
                 [[name, us, found[name], f"{errors[name]:+.2%}"]
                  for name, us in SCRIPTED_US.items()])
    return {"scripted_us": SCRIPTED_US, "found_us": found, "errors": errors,
            "aim_met": all(abs(error) <= 0.02 for error in errors.values())}


def beside_wrk(binaries, options):
    rates = {"wrk": [], "loadtest": []}
    # The server and the clients have a core each, so that both clients measure the server.
    cores = sorted(os.sched_getaffinity(0))
    with procs.model(binaries, prefix=["taskset", "-c", cores[0]]) as model:
        url = f"{model.uri}/echo?spin-us=100"
        client = ["taskset", "-c", str(cores[-1])]
        for turn in range(options.rounds + 1):
            for name in sorted(rates, reverse=turn % 2):
                rate = (wrk_rate if name == "wrk" else own_rate)(binaries, client, url, options)
                # The first turn is a warm-up.
                if turn:
                    rates[name].append(rate)
    ratios = [own / other for own, other in zip(rates["loadtest"], rates["wrk"])]
    ratio = statistics.median(ratios)
    print("closed loop of 16 on one server, requests per second (aim: within 20 %)\n")
    report.table(["", "median (minimum..maximum)"],
                 [[name, report.spread(found)] for name, found in rates.items()])
    print(f"\nloadtest / wrk: {ratio:.3f}, median of {len(ratios)} turns")
    return {"per_second": rates, "ratios": ratios, "ratio": ratio,
            "aim_met": abs(ratio - 1) <= 0.2}


BODY = requests.SIZES["1 KB"][1]


def wrk_rate(_, client, url, options):
    return wrk.rate(peers.program("wrk", "wrk"), url, BODY, 16, options.seconds, client)


def own_rate(binaries, client, url, options):
    with tempfile.NamedTemporaryFile() as body, tempfile.NamedTemporaryFile() as file:
        body.write(BODY)
        body.flush()
        command = [*client, binaries / "loadtest", "run", url, "--closed-loop", 16, "--threads", 1,
                   "--duration", f"{options.seconds}s", "--body", body.name, "--json", file.name]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE)
        return json.load(file)["rate"]["achieved"]


def compared(binaries, seed, baseline, other, *more):
    return loadtest(binaries, "compare", f"a={baseline}", f"b={other}", "--case", "chat:140",
                    "--rounds", 40, "--seed", seed, *more)["cases"][0]


def added(case, lane, metric, quantile="p50"):
    found = [d for d in case["differences"] if d["lane"] == lane and d["metric"] == metric]
    return found[0]["added"][quantile]


def aa(binaries, options):
    claims, runs = 0, []
    with procs.model(binaries) as model:
        url = f"{model.uri}/v1/chat/completions?tokens=150"
        for seed in range(options.runs):
            case = compared(binaries, seed, url, url, "--rate", 500, "--block", "200ms",
                            "--no-control")
            found = added(case, "b", "latency")
            latency = next(d for d in case["differences"] if d["metric"] == "latency")
            is_claim = any(q and q["differs"] for q in latency["added"].values())
            claims += is_claim
            runs.append({"p50_us": case["lanes"][0]["us"]["latency"]["p50"], "added_p50": found,
                         "half_width_us": (found["high"] - found["low"]) / 2, "claim": is_claim})
    half_widths = [run["half_width_us"] for run in runs]
    half, p50 = statistics.median(half_widths), statistics.median(run["p50_us"] for run in runs)
    print(f"{claims} of {options.runs} A/A runs claim a difference at 95 % (aim: at most 2)")
    print(f"half width of the interval at p50: {report.spread(half_widths)} us of a latency of "
          f"{p50:.0f} us (aim: 15 us or 10 %)")
    allowed = max(2 * options.runs // 20, 1)
    return {"claims": claims, "runs": runs, "half_width_us": half, "p50_us": p50,
            "aim_met": claims <= allowed and half <= max(15, 0.1 * p50)}


def spin(binaries, options):
    with procs.model(binaries) as model:
        url = f"{model.uri}/v1/chat/completions?tokens=150"
        # The rate is low enough that no request waits for another's spin, which would be measured.
        case = compared(binaries, 1, url, f"{url}&spin-us=200", "--rate", 200, "--block", "500ms")
    found = {metric: added(case, "b", metric) for metric in ("latency", "head")}
    print("an injected spin of 200 us (aim: measured to within 20 %), and the control\n")
    cells = [[metric, *(f"{added(case, lane, metric)['us']:+.1f} "
                        f"[{added(case, lane, metric)['low']:+.1f}, "
                        f"{added(case, lane, metric)['high']:+.1f}]" for lane in ("b", "control"))]
             for metric in found]
    report.table(["added p50, us", "spin", "A/A"], cells)
    control = {metric: added(case, "control", metric) for metric in found}
    return {"added_p50": found, "control_p50": control,
            "aim_met": abs(found["latency"]["us"] / 200 - 1) <= 0.2}


CHECKS = {"percentiles": percentiles, "wrk": beside_wrk, "aa": aa, "spin": spin}


def main():
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("checks", nargs="*", help="checks to run [default: all]")
    arguments.add_argument("--runs", type=int, default=20, help="number of A/A comparisons")
    arguments.add_argument("--rounds", type=int, default=5, help="turns with wrk")
    arguments.add_argument("--seconds", type=int, default=3, help="seconds of load in a turn")
    options = arguments.parse_args()
    binaries = build.release("offpath-loadtest")
    found = {}
    for name in options.checks or CHECKS:
        found[name] = CHECKS[name](binaries, options)
        found[name]["load_average"] = round(os.getloadavg()[0], 1)
        print(f"\naim {'met' if found[name]['aim_met'] else 'MISSED'}; "
              f"load average {found[name]['load_average']}\n")
    report.write("accuracy", found)
    if not all(check["aim_met"] for check in found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
