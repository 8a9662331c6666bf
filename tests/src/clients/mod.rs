//! Real clients from PyPI before the gateway: what each made of every answer, beside its trace.
//!
//! A client is driven by a program of `py/clients`. Each of its calls is tried with every end that an
//! answer can have ([`Ending`](crate::Ending)): a last chunk that comes late, a client that leaves one
//! event earlier, an upstream that closes one event earlier.

mod drive;
mod record;
mod trial;
mod verdict;

pub use drive::{Report, Step, drive, installation, program};
pub use trial::{Call, Client, by_request, two_routes};
pub use verdict::Wrong;
