"""A model of Triton's Python backend that answers in words, one response each where it is asked to stream."""

import numpy
import triton_python_backend_utils as backend

WORDS = ["Your", " parcel", " is", " in", " Köln."]


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            stream = backend.get_input_tensor_by_name(request, "stream")
            pieces = WORDS if stream is not None and stream.as_numpy()[0] else ["".join(WORDS)]
            sender = request.get_response_sender()
            for piece in pieces:
                text = numpy.array([piece.encode()], numpy.object_)
                sender.send(backend.InferenceResponse([backend.Tensor("text_output", text)]))
            sender.send(flags=backend.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
