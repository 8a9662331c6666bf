//! The main job, visible within a minute: a model endpoint, offpath before it, traffic, MLflow.

pub mod mlflow;
