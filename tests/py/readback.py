"""Reads every trace of an experiment in each of MLflow's ways, and compares it with what a collector got.

readback.py URI EXPERIMENT FILE: each line of the file is a span as an OTLP collector received it,
{"trace_id", "id", "attributes"}. Prints what was carried as text, as JSON; exits with 1 and the
differences where a trace cannot be read or a value is another.
"""

import json
import math
import sys

import mlflow
from mlflow import MlflowClient

JSON = {
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "mlflow.chat.tools",
    "mlflow.chat.tokenUsage",
    "mlflow.llm.cost",
    "offpath.input.shape",
    "offpath.input.statistics",
    "offpath.output.shape",
    "offpath.output.statistics",
}
ADDED = {"too_deep", "wide_integer", "nul"}
# A container is three messages of MLflow's protocol or two; no more than these are in each other.
MESSAGES = {dict: 3, list: 2}
MESSAGES_MAX = 93


class Different(Exception):
    pass


def compare(got, expected, around=0, carried=None):
    """Raises where `got` is not `expected`, or it without need as text."""
    messages = around + MESSAGES.get(type(expected), 0)
    if isinstance(expected, (dict, list)) and isinstance(got, str):
        if messages <= MESSAGES_MAX:
            raise Different(f"text in place of a container at {messages} messages")
        compare_whole(json.loads(got), expected)
        carried.add("too_deep")
    elif isinstance(expected, int) and not isinstance(expected, bool) and isinstance(got, str):
        if -(2**63) <= expected < 2**63:
            raise Different(f"text in place of {expected}")
        if got != str(expected):
            raise Different(f"{got!r} in place of {expected}")
        carried.add("wide_integer")
    elif type(got) is not type(expected):
        raise Different(f"{got!r:.80} in place of {expected!r:.80}")
    elif isinstance(expected, dict):
        expected = {key.replace("\0", "\ufffd"): value for key, value in expected.items()}
        if list(got) != list(expected):
            raise Different(f"other keys: {list(got)!r:.200}")
        for key, value in expected.items():
            compare(got[key], value, messages, carried)
    elif isinstance(expected, list):
        if len(got) != len(expected):
            raise Different("a list of another length")
        for one, other in zip(got, expected):
            compare(one, other, messages, carried)
    elif isinstance(expected, float) and math.isnan(expected):
        if not math.isnan(got):
            raise Different(f"{got} in place of NaN")
    elif isinstance(expected, str) and "\0" in expected:
        if got != expected.replace("\0", "\ufffd"):
            raise Different(f"{got!r:.80} in place of {expected!r:.80}")
        carried.add("nul")
    elif got != expected:
        raise Different(f"{got!r:.80} in place of {expected!r:.80}")


def compare_whole(got, expected):
    if repr(got) != repr(expected):
        raise Different("another text of what is deep")


def value(key, sent):
    """An attribute as MLflow should show it."""
    if key in JSON and isinstance(sent, str):
        try:
            read = json.loads(sent)
        except ValueError:
            return sent
        return read if isinstance(read, (dict, list, str)) else sent
    return sent


def check_span(span, sent):
    carried = set()
    for key, expected in sent["attributes"].items():
        if key == "offpath.defects":
            continue
        got = span.attributes.get(key)
        try:
            compare(got, value(key, expected), 0, carried)
        except Different as different:
            raise Different(f"{key}: {different}: {expected!r:.300}") from None
    return carried


def check(trace, spans):
    info, data = trace.info, trace.data
    carried = set()
    by_id = {span.span_id: span for span in data.spans}
    for sent in spans:
        if sent["id"] not in by_id:
            raise Different(f"no span {sent['id']}")
        carried |= check_span(by_id[sent["id"]], sent)
    root = next(sent["attributes"] for sent in spans if "offpath.route" in sent["attributes"])
    defects = set(data.spans[0].attributes.get("offpath.defects") or [])
    noted = defects - set(root.get("offpath.defects", []))
    if noted - ADDED or carried - defects:
        raise Different(f"carried as text: {carried}, noted: {defects}")
    told = {
        "user": (root.get("user.id"), info.trace_metadata.get("mlflow.trace.user")),
        "session": (root.get("session.id"), info.trace_metadata.get("mlflow.trace.session")),
        "tenant": (root.get("mlflow.traceTag.tenant"), info.tags.get("tenant")),
    }
    for name, (sent, got) in told.items():
        if sent and sent != got:
            raise Different(f"{name}: {got!r:.80} in place of {sent!r:.80}")
    return carried


def main(uri, experiment, file):
    mlflow.set_tracking_uri(uri)
    spans = {}
    with open(file) as lines:
        for line in lines:
            sent = json.loads(line)
            spans.setdefault("tr-" + sent["trace_id"], []).append(sent)
    client = MlflowClient()
    experiment = client.get_experiment_by_name(experiment).experiment_id
    found = mlflow.search_traces(locations=[experiment], max_results=10_000, return_type="list")
    table = mlflow.search_traces(locations=[experiment], max_results=10_000)
    failures = []
    if {trace.info.trace_id for trace in found} != set(spans) or len(table) != len(spans):
        failures.append(f"{len(found)} and {len(table)} traces found of {len(spans)}")
    carried = {}
    for trace in found:
        name = trace.info.trace_id
        try:
            carried[name] = sorted(check(trace, spans.get(name, [])))
            alone = client.get_trace(name)
            check(alone, spans.get(name, []))
        except Exception as failure:
            failures.append(f"{name}: {type(failure).__name__}: {failure}")
    if failures:
        sys.exit("\n".join(failures[:20]))
    print(json.dumps(carried))


main(*sys.argv[1:])
