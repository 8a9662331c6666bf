"""Records KServe's Python server with versions 1 and 2 of its protocol."""

import pathlib
import sys
import tempfile

import numpy
from kserve import InferInput, InferRequest

from recording import Recording, ask, free_port, running

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [5.9, 3.0, 4.2, 1.5]]


def main():
    port = free_port()
    server = [sys.executable, str(pathlib.Path(__file__).with_name("serve_kserve.py")), str(port)]
    with tempfile.TemporaryDirectory() as folder, running(server, port, "/v2/health/ready", cwd=folder):
        recording = Recording("kserve", port)
        version_1(recording)
        version_2(recording)
        recording.write()


def version_1(recording):
    def predict(name, body, model="iris"):
        with recording.of(name, "kserve.v1"):
            ask(recording.port, f"/v1/models/{model}:predict", body)

    predict("v1", {"instances": ROWS})
    predict("v1_bad_row", {"instances": [[1.0, 2.0]]})
    predict("v1_missing_value", {"instances": [[None, 3.5, 1.4, 0.2]]})
    predict("v1_no_instances", {"rows": ROWS})
    predict("v1_not_json", b'{"instances": [')
    predict("v1_unknown_model", {"instances": ROWS}, model="nosuch")
    predict("v1_too_many_requests", {"instances": ROWS}, model="busy")


def version_2(recording):
    def infer(name, body, model="iris", **fields):
        with recording.of(name, "open_inference"):
            ask(recording.port, f"/v2/models/{model}/infer", body, **fields)

    def tensor(values, binary):
        asked = InferInput("features", list(values.shape), {"float16": "FP16", "float32": "FP32"}[values.dtype.name])
        asked.set_data_from_numpy(values, binary_data=binary)
        return InferRequest("iris", [asked], request_id="r-7", request_outputs=[]).to_rest()[0]

    rows = numpy.array(ROWS, numpy.float32)
    infer("v2", tensor(rows, False))
    for name, values in ("v2_binary", rows), ("v2_binary_half", rows.astype(numpy.float16)):
        body = tensor(values, True)
        infer(name, body, inference_header_content_length=str(len(body) - values.nbytes),
              content_type="application/octet-stream")
    bad = {"inputs": [{"name": "features", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}]}
    infer("v2_bad_shape", bad)
    infer("v2_no_inputs", {"rows": ROWS})
    infer("v2_unknown_model", tensor(rows, False), model="nosuch")
    infer("v2_too_many_requests", tensor(rows, False), model="busy")


if __name__ == "__main__":
    main()
