//! Inputs with the right values, a folder each under `data/cases`: an exchange as it was on the
//! wire, and what its trace must hold. The format is described in the README there.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and reports what it read"
)]

mod case;

use std::path::{Path, PathBuf};

use self::case::Case;

/// Cases that still fail. One that passes fails the test until it is taken off this list.
const PENDING: [&str; 0] = [];

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases");
    let entries = std::fs::read_dir(root).unwrap();
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
}

#[test]
fn every_case_is_traced_as_its_folder_expects() {
    let folders = folders();
    let mut wrong = Vec::new();
    let mut pending = Vec::new();
    for folder in &folders {
        let case = Case::read(folder);
        let faults = case.faults();
        let waits = PENDING.contains(&&*case.name);
        match faults.first() {
            None if waits => wrong.push(format!("{}: passes, but is pending", case.name)),
            Some(fault) if waits => pending.push(format!("PENDING {fault}")),
            _ => wrong.extend(faults),
        }
    }
    for name in PENDING {
        let there = folders.iter().any(|folder| folder.ends_with(name));
        assert!(there, "{name} is pending, but there is no such case");
    }
    println!("{} cases, {} pending", folders.len(), pending.len());
    pending.iter().for_each(|line| println!("{line}"));
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
