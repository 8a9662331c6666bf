//! The request path: routing, sampling, the tee and the figures.
