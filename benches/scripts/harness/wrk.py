"""Debian's `wrk`, a closed-loop client that uses little CPU time."""

import re
import subprocess
import tempfile


def rate(program, url, body, connections, seconds, prefix=()):
    """Posts a body repeatedly from one thread. Returns responses per second; all must be 200."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        escaped = "".join(f"\\{byte:03d}" for byte in body)
        script.write(f'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\n'
                     f'wrk.body = "{escaped}"\n')
        script.flush()
        command = [*prefix, program, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name,
                   url]
        said = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE,
                              text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(said)
    return float(re.search(r"Requests/sec: +([0-9.]+)", said).group(1))
