"""KServe's server with a model of irises and both of its protocols: `serve_kserve.py PORT`."""

import sys

import fastapi
import kserve
import uvicorn
from kserve.utils.utils import get_predict_input, get_predict_response
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


class Local(uvicorn.Config):
    """Makes KServe listen on 127.0.0.1 only instead of on every address."""

    def __init__(self, *positional, **named):
        super().__init__(*positional, **{**named, "host": "127.0.0.1"})


class Iris(kserve.Model):
    def load(self):
        self.classifier = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        features = get_predict_input(payload)
        return get_predict_response(payload, self.classifier.predict(features), self.name)


class Busy(Iris):
    def predict(self, payload, headers=None, response_headers=None):
        raise fastapi.HTTPException(429, "too many requests", headers={"retry-after": "2"})


uvicorn.Config = Local
models = [Iris("iris"), Busy("busy")]
for model in models:
    model.load()
kserve.ModelServer(http_port=int(sys.argv[1]), enable_grpc=False).start(models)
