//! A spool segment that is the input, or a valid one that is overwritten, truncated and spliced as
//! the input directs. Only valid records may be read from it, without a panic.
#![no_main]

use std::cell::RefCell;
use std::fs;

use libfuzzer_sys::fuzz_target;
use offpath_export::{SpoolView, otlp_json};

/// A real segment with four records. Its file name contains its salt.
const SEGMENT: &[u8] = include_bytes!("../data/four.seg");
const NAME: &str = include_str!("../data/four.name");
const RECORDS: usize = 4;

thread_local! {
    static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a folder");
    static SOUND: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fuzz_target!(|input: &[u8]| {
    let Some((how, rest)) = input.split_first() else {
        return;
    };
    let sound = SOUND.with_borrow_mut(|sound| {
        if sound.is_empty() {
            *sound = read(SEGMENT);
            assert_eq!(sound.len(), RECORDS);
        }
        sound.clone()
    });
    let found = read(&match how {
        0 => rest.to_vec(),
        _ => changed(rest),
    });
    for record in found {
        assert!(sound.contains(&record), "a record that nobody wrote");
    }
});

/// Changes the segment step by step. A step has 4 bytes: an offset, an operation and its operand.
fn changed(steps: &[u8]) -> Vec<u8> {
    let mut bytes = SEGMENT.to_vec();
    for step in steps.chunks_exact(4).take(64) {
        let at = usize::from(u16::from_le_bytes([step[0], step[1]])) % (bytes.len() + 1);
        match step[2] % 4 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, step[3]),
            2 => drop(bytes.splice(at..at, SEGMENT.iter().skip(usize::from(step[3])).copied())),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = step[3];
                }
            }
        }
        bytes.truncate(1 << 20);
    }
    bytes
}

/// Returns the valid records of a segment.
fn read(segment: &[u8]) -> Vec<Vec<u8>> {
    FOLDER.with(|folder| {
        let shelf = folder.path().join("shelf");
        fs::create_dir_all(&shelf).expect("a folder");
        fs::write(shelf.join(NAME), segment).expect("a file");
        let view = SpoolView::open(folder.path()).expect("a folder");
        let mut records = Vec::new();
        view.each_trace(&mut |trace| {
            if let Some(record) = trace.record {
                assert!(otlp_json(&record).is_some());
                records.push(record);
            }
        });
        records
    })
}
