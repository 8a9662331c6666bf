"""Release binaries, built by cargo."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def release(*packages):
    """Builds the packages and returns the folder of their binaries. If `OFFPATH_BENCH_BIN` is set,
    returns that folder instead, for example to measure an older build."""
    ready = os.environ.get("OFFPATH_BENCH_BIN")
    if ready:
        return pathlib.Path(ready)
    flags = [flag for package in packages for flag in ("-p", package)]
    subprocess.run(["cargo", "build", "--release", "--quiet", *flags], cwd=ROOT, check=True)
    return TARGET / "release"
