"""Records Triton, called by NVIDIA's clients for HTTP and for gRPC."""

import pathlib
import sys
import tempfile

import ml_dtypes
import numpy
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from grpc_recording import Calls
from recording import Recording, ask, free_port, running
from serve_triton import TYPES

TENSORS = {
    "x": numpy.array([[1.5, -2.0], [numpy.nan, 4.0]], numpy.float32),
    "half": numpy.array([[0.5, 65504.0], [numpy.inf, -2.0**-24]], numpy.float16),
    "brain": numpy.array([[1.0, -3.140625], [3e38, 0.0]], ml_dtypes.bfloat16),
    "words": numpy.array([["Grüße", "from a tensor"]], numpy.object_),
    "n": numpy.array([[-(2**40), 7]], numpy.int64),
    "flags": numpy.array([[True, False, True]], numpy.bool_),
}


def main():
    with tempfile.TemporaryDirectory() as folder:
        port, calls = free_port(), free_port()
        server = pathlib.Path(__file__).with_name("serve_triton.py")
        command = [sys.executable, str(server), folder, str(port), str(calls)]
        with running(command, port, "/v2/health/ready", cwd=folder):
            recording = Recording("triton", port)
            over_http(recording)
            refusals(recording)
            over_grpc(recording, calls)
            recording.write()


def asked(client, names, **options):
    inputs = []
    for name in names:
        inputs.append(client.InferInput(name, TENSORS[name].shape, TYPES[name]))
        inputs[-1].set_data_from_numpy(TENSORS[name], **options)
    return inputs


def over_http(recording):
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{recording.port}")
    wire = "open_inference"

    def infer(name, tensors, binary, **options):
        inputs = asked(tritonclient.http, tensors, binary_data=binary)
        outputs = [tritonclient.http.InferRequestedOutput(f"{tensor}_out", binary_data=binary)
                   for tensor in tensors]
        with recording.of(name, wire):
            client.infer("echo", inputs, outputs=outputs, **options)

    infer("json", ["n", "words", "flags"], False, request_id="r-7")
    infer("binary", ["x", "n", "words", "flags"], True)
    infer("half_and_brain", ["half", "brain"], True, model_version="1")
    infer("gzip", ["x", "words"], True, request_compression_algorithm="gzip",
          response_compression_algorithm="gzip")
    infer("deflate", ["x", "half"], True, request_compression_algorithm="deflate",
          response_compression_algorithm="deflate")
    infer("gzip_json", ["n"], False, request_compression_algorithm="gzip",
          response_compression_algorithm="gzip")
    inputs = asked(tritonclient.http, ["n"], binary_data=False) + asked(tritonclient.http, ["half"], binary_data=True)
    with recording.of("json_and_binary", wire):
        client.infer("echo", inputs)
    with recording.of("metadata", "json"):
        client.get_model_metadata("echo")


def refusals(recording):
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{recording.port}")
    wire = "open_inference"

    def refused(name, model, inputs):
        with recording.of(name, wire):
            try:
                client.infer(model, inputs)
            except InferenceServerException as refusal:
                return refusal
            raise SystemExit(f"{name}: the request was not rejected")

    wide = tritonclient.http.InferInput("x", [2, 2, 1], "FP32")
    wide.set_data_from_numpy(TENSORS["x"].reshape(2, 2, 1))
    refused("bad_shape", "echo", [wide])
    refused("unknown_model", "nosuch", asked(tritonclient.http, ["x"]))
    wrong = tritonclient.http.InferInput("x", [2, 2], "INT64")
    wrong.set_data_from_numpy(numpy.ones((2, 2), numpy.int64))
    refused("wrong_type", "echo", [wrong])
    path = "/v2/models/echo/infer"
    with recording.of("short_data", wire):
        ask(recording.port, path, {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.0]}]})
    with recording.of("not_json", wire):
        ask(recording.port, path, b'{"inputs": [')


def over_grpc(recording, port):
    calls = Calls(recording, port)
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{calls.port}")
    with recording.of("grpc", "grpc"):
        client.infer("echo", asked(tritonclient.grpc, ["x", "words"]))
    with recording.of("grpc_unknown_model", "grpc"):
        try:
            client.infer("nosuch", asked(tritonclient.grpc, ["x"]))
        except InferenceServerException:
            pass
    calls.stop()


if __name__ == "__main__":
    main()
