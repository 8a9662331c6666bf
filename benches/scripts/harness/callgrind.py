"""Instruction counts by Valgrind's Callgrind.

Plain Valgrind rather than a crate around it: the same tool counts a function of a small
binary and the threads of the real one, nothing has to match a crate's version, and the result
is one number that is read from the tool's own output.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


def require():
    if shutil.which("valgrind") is None:
        sys.exit("Valgrind is needed, and is not here (Debian: apt-get install valgrind)")


def function(command, pattern):
    """Instructions inside the functions whose names match, in a run of a command."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "out")
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                f"--toggle-collect={pattern}"]
        done = subprocess.run([*tool, *command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{command[0]} failed under Valgrind:\n{done.stderr[-2000:]}")
        return total(out)


def thread_command(folder):
    """The tool in front of a command whose threads are counted one by one, into a folder."""
    return ["valgrind", "--tool=callgrind", "--separate-threads=yes",
            f"--callgrind-out-file={folder}/out"]


def threads(folder, mark):
    """Instructions of the threads that ran functions whose names contain the mark."""
    files = sorted(pathlib.Path(folder).glob("out*-*"))
    return sum(total(file) for file in files if mark in file.read_text(errors="replace"))


def total(file):
    with open(file, errors="replace") as lines:
        found = [m for m in map(re.compile(r"(?:totals|summary): (\d+)").match, lines) if m]
    return int(found[-1].group(1)) if found else 0
