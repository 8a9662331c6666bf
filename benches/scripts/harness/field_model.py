"""The field report's model: one scikit-learn model, traced with the method named by `FIELD_TRACING`.

`python field_model.py FOLDER` trains it and writes it as an MLflow model.
"""

import os
import sys

import mlflow


class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        import joblib

        self.model = joblib.load(context.artifacts["model"])
        self.scored = {
            "none": self.score,
            "decorator": mlflow.trace(self.score, name="predict"),
            "records": self.with_records,
            "attributes": self.with_attributes,
        }[os.environ.get("FIELD_TRACING", "none")]

    def predict(self, context, model_input, params=None):
        return self.scored(model_input)

    def score(self, frame):
        return self.model.predict(frame)

    def with_records(self, frame):
        """Records all rows."""
        with mlflow.start_span("predict") as span:
            span.set_inputs(frame.to_dict("records"))
            predictions = self.score(frame)
            span.set_outputs(predictions.tolist())
            return predictions

    def with_attributes(self, frame):
        """Records only the shape of the DataFrame, as the vendor's workaround does."""
        with mlflow.start_span("predict") as span:
            span.set_attributes({"rows": len(frame), "columns": len(frame.columns)})
            return self.score(frame)


def train(folder):
    import joblib
    import numpy
    import pandas
    from sklearn.linear_model import LinearRegression

    rng = numpy.random.default_rng(1)
    columns = [f"c{index}" for index in range(20)]
    frame = pandas.DataFrame(rng.uniform(-1000, 1000, (5000, 20)), columns=columns)
    model = LinearRegression().fit(frame, frame.sum(axis=1))
    joblib.dump(model, f"{folder}/model.joblib")
    artifacts = {"model": f"{folder}/model.joblib"}
    mlflow.pyfunc.save_model(f"{folder}/model", python_model=__file__, artifacts=artifacts)


if __name__ == "__main__":
    train(sys.argv[1])
else:
    mlflow.models.set_model(Model())
