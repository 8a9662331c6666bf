//! What was wrong in many trials, in few lines.

use std::collections::BTreeMap;

/// Faults by the kind of trial that showed them, and how often.
#[derive(Debug, Default)]
pub struct Wrong {
    tried: BTreeMap<String, usize>,
    found: BTreeMap<(String, String), usize>,
}

impl Wrong {
    /// Adds what one trial showed.
    pub fn add(&mut self, kind: &str, faults: Vec<String>) {
        *self.tried.entry(kind.to_owned()).or_default() += 1;
        for fault in faults {
            *self.found.entry((kind.to_owned(), fault)).or_default() += 1;
        }
    }

    /// Adds a count that is not as expected.
    pub fn count(&mut self, what: &str, found: f64, expected: usize) {
        let differs = found != expected as f64;
        let fault = format!("{found}, not {expected}");
        self.add(what, differs.then_some(fault).into_iter().collect());
    }

    /// Fails where anything was wrong.
    #[track_caller]
    pub fn check(&self, what: &str) {
        let lines = self.found.iter().map(|((kind, fault), times)| {
            let tried = self.tried.get(kind).copied().unwrap_or_default();
            format!("{kind}: {times} of {tried}: {fault}")
        });
        let lines: Vec<String> = lines.collect();
        assert!(lines.is_empty(), "{what}:\n{}", lines.join("\n"));
    }
}
