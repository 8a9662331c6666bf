//! JSON (RFC 8259) read where it lies: checked, measured and looked into, never built up.
//!
//! No recursion and no allocation per value, so neither depth nor size of a hostile body costs
//! more than one pass over it. Works on bytes; whoever holds text has checked that it is UTF-8.

mod fitted;
mod hint;
mod number;
mod outline;
mod raw;
mod rows;
mod scan;
mod token;
mod walk;
mod write;

pub(crate) use fitted::fitted;
pub(crate) use outline::{Member, Outline};
pub(crate) use raw::{Cell, Kind, Raw};
#[cfg(test)]
pub(crate) use scan::document;
pub(crate) use scan::{Fault, is_beginning, is_document, is_hard, is_harmless, seen};
pub(crate) use walk::{Node, Steps, Token, Word, is_key, string_at, strings, words};
pub(crate) use write::{mend_surrogates, push_quoted, quoted};
