//! A reverse proxy that traces model serving to MLflow, off the critical path.
