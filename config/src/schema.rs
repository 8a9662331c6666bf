//! The JSON Schema of the YAML, for editors. It is kept by hand in `schema.json`; a test holds it
//! against the keys that are read.
//!
//! It is a first check only: what needs the environment, files or several keys at once is left to
//! [`Config::parse`](crate::Config::parse).

/// The JSON Schema (draft 2020-12) of the YAML, as JSON text.
pub fn schema() -> &'static str {
    include_str!("../schema.json")
}
