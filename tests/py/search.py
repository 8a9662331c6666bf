"""What MLflow's own client finds: `search.py QUESTION`, a JSON object.

{"experiment": NAME, "filters": [FILTER, ...]} is answered with a list per filter: what is known of
each trace found, on all pages, without its spans.
"""

import json
import sys

import mlflow
from mlflow import MlflowClient

question = json.loads(sys.argv[1])
mlflow.set_tracking_uri(question["uri"])
experiment = MlflowClient().get_experiment_by_name(question["experiment"])


def trace(info):
    return {
        "id": info.trace_id,
        "state": info.state.value,
        "execution_time_ms": info.execution_duration,
        "token_usage": info.token_usage or {},
        "tags": dict(info.tags),
        "metadata": dict(info.trace_metadata),
    }


def search(filter_string):
    found = mlflow.search_traces(
        locations=[experiment.experiment_id],
        filter_string=filter_string or None,
        include_spans=False,
        max_results=100_000,
        return_type="list",
    )
    return [trace(each.info) for each in found]


print(json.dumps([search(each) for each in question["filters"]]))
