//! Whole configurations: examples, faults with their lines, precedence, bounds, schema.

mod bounds;
mod docs;
mod environment;
mod examples;
mod faults;
mod fixture;
mod properties;
mod schema;
