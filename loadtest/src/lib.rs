//! Open-loop load and a model endpoint: a stranger on the wire.
