"""Tables on stdout, and the same figures as JSON in `results/`."""

import datetime
import json
import os
import pathlib
import shlex
import statistics
import sys

BENCHES = pathlib.Path(__file__).resolve().parents[2]
RESULTS = BENCHES / "results"


def machine():
    """The properties of this machine that figures depend on."""
    with open("/proc/cpuinfo") as info:
        models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    return {
        "cpu": models[0] if models else "unknown",
        "cores": os.cpu_count(),
        "kernel": os.uname().release.split("-")[0],
        "load_average": round(os.getloadavg()[0], 1),
    }


def command():
    arguments = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
    return "benches/scripts/" + shlex.join(arguments)


def write(what, figures):
    """Writes `results/<date>-<what>.json`. A second run on the same day replaces the first."""
    date = datetime.date.today().isoformat()
    found = {"what": what, "date": date, "command": command(), "machine": machine(), **figures}
    path = RESULTS / f"{date}-{what}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\nwritten: benches/results/{path.name}")


def table(head, rows):
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for index, row in enumerate(cells):
        first, rest = row[0].ljust(widths[0]), [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("  ".join([first, *rest]))
        if index == 0:
            print("  ".join("-" * width for width in widths))


def spread(values, digits=1):
    """Formats median, minimum and maximum as a cell."""
    middle, *ends = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({'..'.join(ends)})"
