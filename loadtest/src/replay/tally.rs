//! Counts of compared answers, and the first of those that differ.

use std::collections::BTreeMap;

use serde::Serialize;

use super::differ::{Difference, Kind};

/// The most differences that are told in words.
const TOLD_MAX: usize = 20;

/// How answers compare with the recorded ones.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Answers that had something to be compared with.
    pub compared: u64,
    /// Those that differ in any way.
    pub differing: u64,
    /// By what was compared.
    pub kinds: BTreeMap<Kind, Counts>,
    /// The first differences.
    pub first: Vec<Told>,
}

/// Counts of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Answers compared.
    pub compared: u64,
    /// Those that differ.
    pub differing: u64,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// Which of the exchanges that were selected, from 0.
    pub exchange: usize,
    /// Of what.
    pub kind: Kind,
    /// In words.
    pub told: String,
}

impl Tally {
    pub(super) fn add(&mut self, exchange: usize, compared: Vec<Kind>, found: Vec<Difference>) {
        self.compared += u64::from(!compared.is_empty());
        self.differing += u64::from(!found.is_empty());
        for kind in compared {
            self.kinds.entry(kind).or_default().compared += 1;
        }
        for Difference { kind, told } in found {
            self.kinds.entry(kind).or_default().differing += 1;
            if self.first.len() < TOLD_MAX {
                self.first.push(Told {
                    exchange,
                    kind,
                    told,
                });
            }
        }
    }
}
