#!/usr/bin/env python3
"""Fails when the request path takes more instructions than the checked-in baseline allows.

Counts, not times, so the verdict does not depend on what else the machine does. `--update`
writes a new baseline: commit it with the change that explains it. Valgrind is needed. Page
faults and peak memory, of a run without Valgrind, stand beside them and decide nothing.
"""

import argparse
import json
import os
import subprocess
import sys

from harness import build, callgrind, report

TOLERANCE = 0.03
COUNT = 200
# Of a run that shows memory.
LONG = 5_000
# What is counted: subject, traffic, function.
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
    """Minor page faults per exchange, and peak resident MiB of a long run."""
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
    if worse:
        sys.exit(f"\nmore than {TOLERANCE:.0%} over the baseline: {', '.join(worse)}")


if __name__ == "__main__":
    main()
