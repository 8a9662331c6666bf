"""Reads traces through MLflow's own client: one JSON question a line, one JSON answer a line.

{"experiment": NAME, "filter": STRING or absent} is answered with the traces found, oldest first.
Ends with its standard input.
"""

import json
import sys

import mlflow
from mlflow import MlflowClient


def span(span):
    return {
        "id": span.span_id,
        "parent": span.parent_id,
        "name": span.name,
        "type": span.span_type,
        "status": span.status.status_code.value,
        "message": span.status.description,
        "inputs": span.inputs,
        "outputs": span.outputs,
        "attributes": dict(span.attributes),
    }


def trace(trace):
    info = trace.info
    return {
        "id": info.trace_id,
        "state": info.state.value,
        "request_preview": info.request_preview,
        "response_preview": info.response_preview,
        "execution_time_ms": info.execution_duration,
        "token_usage": info.token_usage,
        "tags": dict(info.tags),
        "metadata": dict(info.trace_metadata),
        "client_request_id": info.client_request_id,
        "spans": [span(each) for each in trace.data.spans],
    }


def answer(question):
    experiment = MlflowClient().get_experiment_by_name(question["experiment"])
    if experiment is None:
        return []
    found = mlflow.search_traces(
        locations=[experiment.experiment_id],
        filter_string=question.get("filter"),
        order_by=["timestamp_ms ASC"],
        max_results=1000,
        return_type="list",
    )
    return [trace(each) for each in found]


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line)), default=str), flush=True)
