"""Instruction counts by Valgrind's Callgrind.

Valgrind is called directly instead of through a crate: the same tool counts a function of a small binary
and the threads of the real one, no version has to match a crate's, and the result is one number that is
read from the tool's output.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


def require():
    if shutil.which("valgrind") is None:
        sys.exit("Valgrind is required (Debian: apt-get install valgrind)")


def function(command, pattern):
    """Runs a command and returns the instructions inside the functions whose names match."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "out")
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                f"--toggle-collect={pattern}"]
        done = subprocess.run([*tool, *command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{command[0]} failed under Valgrind:\n{done.stderr[-2000:]}")
        return counted(total(out), f"no function matches {pattern}")


def thread_command(folder):
    """The prefix of a command whose threads are counted separately, with results in a folder."""
    return ["valgrind", "--tool=callgrind", "--separate-threads=yes",
            f"--callgrind-out-file={folder}/out"]


def threads(folder, mark):
    """Instructions of the threads that ran a function whose name contains the mark."""
    files = sorted(pathlib.Path(folder).glob("out*-*"))
    count = sum(total(file) for file in files if mark in file.read_text(errors="replace"))
    return counted(count, f"no thread ran a function whose name contains {mark}")


def counted(count, otherwise):
    """The count. None at all is not a small one: a renamed or inlined function would pass every gate."""
    if not count:
        sys.exit(f"Callgrind counted nothing: {otherwise}")
    return count


def total(file):
    with open(file, errors="replace") as lines:
        found = [m for m in map(re.compile(r"(?:totals|summary): (\d+)").match, lines) if m]
    return int(found[-1].group(1)) if found else 0
