"""Drives Triton: `drive_triton.py URL`, with a plan as `plan.py` has it.

Its streams have no last word: they are over when the body is, and a client that leaves does so before the last piece.
"""

import json
import sys

import numpy
import requests
import tritonclient.http

from plan import PIECES_OF_TEXT, QUESTION, Said, follow

client = tritonclient.http.InferenceServerClient(sys.argv[1].removeprefix("http://"))


def generate_stream(headers, leaves):
    said = Said()
    url = sys.argv[1] + "/v2/models/words/generate_stream"
    asked = {"text_input": QUESTION, "stream": True}
    with requests.post(url, json=asked, headers=headers, stream=True) as answer:
        for line in answer.iter_lines():
            if line:
                said.add(json.loads(line.removeprefix(b"data: "))["text_output"])
            if leaves and said.pieces == len(PIECES_OF_TEXT) - 1:
                break
    return said


def generate(headers, _):
    said = Said()
    url = sys.argv[1] + "/v2/models/words/generate"
    said.add(requests.post(url, json={"text_input": QUESTION}, headers=headers).json()["text_output"])
    return said


def infer(headers, _):
    said = Said()
    asked = tritonclient.http.InferInput("n", [1, 2], "INT64")
    asked.set_data_from_numpy(numpy.array([[-(2**40), 7]]), binary_data=False)
    wanted = tritonclient.http.InferRequestedOutput("n_out", binary_data=False)
    answer = client.infer("echo", [asked], outputs=[wanted], headers=headers)
    said.vector = answer.as_numpy("n_out").flatten().tolist()
    return said


follow({"generate_stream": generate_stream, "generate": generate, "infer": infer})
