"""Triton over two models of its Python backend: `serve_triton.py FOLDER HTTP_PORT GRPC_PORT`, on 127.0.0.1.

`echo` answers with the tensors that it was sent, `words` with a text, in one piece or in several
(`/v2/models/words/generate` and `/generate_stream`).
"""

import os
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).parent
TYPES = {"x": "FP32", "half": "FP16", "brain": "BF16", "words": "BYTES", "n": "INT64", "flags": "BOOL"}


def main():
    home, port, calls = pathlib.Path(sys.argv[1]), *sys.argv[2:]
    packages = next(pathlib.Path(folder) for folder in sys.path if (pathlib.Path(folder) / "pytriton").is_dir())
    inputs = [tensor(name, kind, "[-1, -1], optional: true") for name, kind in TYPES.items()]
    outputs = [tensor(f"{name}_out", kind, "[-1, -1]") for name, kind in TYPES.items()]
    model(home, "echo", inputs, outputs)
    model(home, "words", [tensor("text_input", "BYTES", "[1]"), tensor("stream", "BOOL", "[1], optional: true")],
          [tensor("text_output", "BYTES", "[1]")], "model_transaction_policy {decoupled: true}")
    bundle = packages / "pytriton" / "tritonserver"
    shutil.copytree(bundle / "backends", home / "backends")
    # The stub of this Python beside its backend.
    stub = f"{sys.version_info.major}.{sys.version_info.minor}/triton_python_backend_stub"
    shutil.copy(bundle / "python_backend_stubs" / stub, home / "backends" / "python")
    server = str(bundle / "bin" / "tritonserver")
    command = [server, f"--model-repository={home / 'models'}", f"--backend-directory={home / 'backends'}",
               "--allow-metrics=false", "--http-address=127.0.0.1", f"--http-port={port}",
               "--grpc-address=127.0.0.1", f"--grpc-port={calls}"]
    os.execve(server, command, {
        **os.environ, "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"), "PYTHONPATH": str(packages),
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"})


def model(home, name, inputs, outputs, more=""):
    folder = home / "models" / name
    (folder / "1").mkdir(parents=True)
    shutil.copy(HERE / f"triton_{name}.py", folder / "1" / "model.py")
    (folder / "config.pbtxt").write_text(
        f'backend: "python"\nmax_batch_size: 0\ninput [{", ".join(inputs)}]\noutput [{", ".join(outputs)}]\n'
        f"instance_group [{{kind: KIND_CPU, count: 1}}]\n{more}\n")


def tensor(name, kind, dims):
    kind = {"BYTES": "STRING"}.get(kind, kind)
    return f'{{name: "{name}", data_type: TYPE_{kind}, dims: {dims}}}'


if __name__ == "__main__":
    main()
