"""Makes a small scikit-learn model for `mlflow models serve`: `train.py FOLDER`."""

import sys

import mlflow
import numpy
from sklearn.linear_model import LinearRegression

generator = numpy.random.default_rng(7)
rows = generator.random((100, 4))
model = LinearRegression().fit(rows, rows @ [1.0, 2.0, 3.0, 4.0])
mlflow.sklearn.save_model(model, sys.argv[1])
