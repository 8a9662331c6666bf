"""Attaches feedback to a trace by its id, as an application does: `feedback.py URI TRACE_ID`."""

import json
import sys

import mlflow

mlflow.set_tracking_uri(sys.argv[1])
mlflow.log_feedback(trace_id=sys.argv[2], name="helpful", value=True)
found = mlflow.get_trace(sys.argv[2]).info.assessments
print(json.dumps([[each.name, each.value] for each in found]))
