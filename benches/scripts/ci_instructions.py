#!/usr/bin/env python3
"""Fails if the request path takes more instructions than the checked-in baseline allows.

Instruction counts do not depend on other work on the machine. `--update` writes a new baseline: commit it
with the change that explains it. The command needs Valgrind. Page faults and peak memory come from a run
without Valgrind and are only informative.
"""

import argparse
import json
import os
import subprocess
import sys

from harness import build, callgrind, report

TOLERANCE = 0.03
COUNT = 200
# Exchanges of the run that measures memory.
LONG = 5_000
# The subject, the traffic, and the function that is counted.
SUBJECTS = [
    ("route", "chat_1k", "*counted_route*"),
    ("not-kept", "chat_1k", "*counted_pass*"),
    ("kept", "chat_1k", "*counted_pass*"),
    ("kept", "chat_20k", "*counted_pass*"),
    ("not-kept", "frame_1m", "*counted_pass*"),
    ("kept", "frame_1m", "*counted_pass*"),
    ("offer", "chat_1k", "*counted_offer*"),
]
BASELINE = report.BENCHES / "instructions.baseline.json"


def command(binaries, subject, traffic, count):
    return [str(binaries / "offpath-benches"), "path", subject, "--traffic", traffic,
            "--count", str(count)]


def measure(binaries):
    found = {}
    for subject, traffic, pattern in SUBJECTS:
        counted = callgrind.function(command(binaries, subject, traffic, COUNT), pattern)
        found[f"{subject} {traffic}"] = round(counted / COUNT, 1)
    return found


def memory(binaries, name):
    """Minor page faults per exchange, and peak resident memory of a long run in MiB."""
    def run(count):
        child = subprocess.Popen(command(binaries, *name.split(), count), stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f"{child.args} failed")
        return used

    few, many = run(COUNT), run(COUNT + LONG)
    faults = (many.ru_minflt - few.ru_minflt) / LONG
    return f"{faults:.2f}", f"{many.ru_maxrss / 1024:.0f}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--update", action="store_true", help="write a new baseline")
    options = arguments.parse_args()
    callgrind.require()
    binaries = build.release("offpath-benches")
    found = measure(binaries)
    if options.update:
        BASELINE.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written: benches/{BASELINE.name}")
        return
    baseline = json.loads(BASELINE.read_text())
    rows, worse = [], []
    for name, count in found.items():
        allowed = baseline.get(name)
        change = count / allowed - 1 if allowed else float("inf")
        rows.append([name, allowed, count, f"{change:+.2%}", *memory(binaries, name)])
        if change > TOLERANCE:
            worse.append(name)
    report.table(["instructions per exchange", "baseline", "now", "change", "page faults", "peak MiB"], rows)
    if unmeasured := baseline.keys() - found.keys():
        sys.exit(f"\nin the baseline, but not measured: {', '.join(sorted(unmeasured))}")
    if worse:
        sys.exit(f"\nmore than {TOLERANCE:.0%} over the baseline: {', '.join(worse)}")


if __name__ == "__main__":
    main()
