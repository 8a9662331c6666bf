"""A scikit-learn model behind `mlflow models serve`."""

import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request

from . import procs


def train(venv, folder):
    """Trains the model of `field_model.py` and writes it into a folder."""
    code = folder / "field_model.py"
    shutil.copy(pathlib.Path(__file__).parent / code.name, code)
    subprocess.run([venv / "bin" / "python", code, folder], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Served(procs.Process):
    """The served model with one worker; `name` is the name of its log."""

    def __init__(self, venv, folder, name, environment, prefix=()):
        self.port = procs.free_port()
        self.uri = f"http://127.0.0.1:{self.port}/invocations"
        environment = {**os.environ, "PATH": f"{venv / 'bin'}:{os.environ['PATH']}", **environment}
        self.log = folder / f"{name}.log"
        with open(self.log, "w") as log:
            super().__init__([*prefix, venv / "bin" / "mlflow", "models", "serve", "--env-manager",
                              "local", "-m", folder / "model", "-h", "127.0.0.1", "-p", self.port,
                              "-w", "1"], stdout=log, stderr=log, env=environment,
                             start_new_session=True)

    def wait(self):
        """Waits until the server responds. Returns the id of the process that listens."""
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=5).close()
                return procs.listener(self.port)
            except OSError:
                if self.child.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"the model did not start:\n{self.log.read_text()[-2000:]}")
                time.sleep(0.3)

    def stop(self):
        procs.stop_session(self.child)
