//! A real MLflow that goes away under load and comes back.
