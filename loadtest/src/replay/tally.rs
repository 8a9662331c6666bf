//! The outcome of comparing responses: counts, and the first mismatches.

use std::collections::BTreeMap;

use serde::Serialize;

use super::checks::{CheckKind, Checked, Mismatch};

/// Maximum number of mismatches with a description.
const MISMATCHES_MAX: usize = 20;

/// The outcome of comparing the responses with the recorded ones.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Number of responses for which something could be compared.
    pub compared: u64,
    /// Number of responses with a mismatch.
    pub differing: u64,
    /// Counts by kind of check.
    pub kinds: BTreeMap<CheckKind, Counts>,
    /// The first mismatches.
    pub first: Vec<ExchangeMismatch>,
}

/// The counts of one kind of check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Number of responses compared.
    pub compared: u64,
    /// Number of responses that differ.
    pub differing: u64,
}

/// A mismatch and the exchange it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExchangeMismatch {
    /// Index among the selected exchanges.
    pub exchange: usize,
    /// The check that failed.
    pub kind: CheckKind,
    /// Description with the recorded and the new value.
    pub detail: String,
}

impl Tally {
    /// Adds the checks of the exchange at this index.
    pub(super) fn add(&mut self, exchange: usize, checked: Checked) {
        self.compared += u64::from(!checked.kinds.is_empty());
        self.differing += u64::from(!checked.mismatches.is_empty());
        for kind in checked.kinds {
            self.kinds.entry(kind).or_default().compared += 1;
        }
        for Mismatch { kind, detail } in checked.mismatches {
            self.kinds.entry(kind).or_default().differing += 1;
            if self.first.len() < MISMATCHES_MAX {
                self.first.push(ExchangeMismatch {
                    exchange,
                    kind,
                    detail,
                });
            }
        }
    }
}
