use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::format;
use super::faulty::Faulty;
use super::{append, ids, meta, open, read_all};
use crate::spool::disk::Disk as _;
use crate::spool::segment::Position;
use crate::spool::state::{Settled, State};

const COUNT: u128 = 6;

/// One segment with some records, and where each of them begins and ends.
fn segment() -> (Faulty, PathBuf, Vec<(usize, usize)>) {
    let disk = Faulty::default();
    let (log, _) = open(&disk, &State::default());
    let mut places = Vec::new();
    let end = || disk.files(".seg").first().map_or(0, |file| file.1.len());
    for id in 1..=COUNT {
        let begin = end();
        append(&log, id, 30 + id as usize).unwrap();
        places.push((begin, end()));
    }
    // The beginning of the segment came with the first record.
    places[0].0 = 12 + 12 + 4;
    let (path, _) = disk.files(".seg").remove(0);
    (disk, path, places)
}

/// The records that a change of the bytes in this range leaves untouched.
fn untouched(places: &[(usize, usize)], from: usize, to: usize) -> Vec<u128> {
    let ids = (1..).zip(places);
    ids.filter(|(_, (begin, end))| *end <= from || *begin >= to)
        .map(|(id, _)| id)
        .collect()
}

#[test]
fn a_segment_cut_anywhere_gives_all_that_is_whole() {
    let (disk, path, places) = segment();
    let whole = disk.files(".seg")[0].1.len();
    for cut in 0..=whole {
        let disk = disk.copy();
        disk.damage(&path, |bytes| bytes.truncate(cut));
        let (log, recovered) = open(&disk, &State::default());
        let expect = untouched(&places, cut, usize::MAX);
        let counted: u64 = recovered.records.values().sum();
        assert_eq!(counted, expect.len() as u64, "cut at {cut}");
        append(&log, 99, 20).unwrap();
        let (read, lost) = read_all(&log);
        assert_eq!(read, [expect, vec![99]].concat(), "cut at {cut}");
        assert_eq!(lost, 0, "cut at {cut}");
    }
}

#[test]
fn a_byte_changed_anywhere_costs_the_record_that_it_is_in() {
    let (disk, path, places) = segment();
    let whole = disk.files(".seg")[0].1.len();
    for (at, mask) in (0..whole).flat_map(|at| [1, 0x80, 0xFF].map(|mask| (at, mask))) {
        let disk = disk.copy();
        disk.damage(&path, |bytes| bytes[at] ^= mask);
        let (log, recovered) = open(&disk, &State::default());
        let counted: u64 = recovered.records.values().sum();
        let (read, lost) = read_all(&log);
        assert_eq!(read, untouched(&places, at, at + 1), "{mask} at {at}");
        // What was counted at the start is read, or told as lost.
        assert_eq!(counted, read.len() as u64 + lost, "{mask} at {at}");
    }
}

#[test]
fn damage_that_comes_while_running_is_told_by_route() {
    let (disk, path, places) = segment();
    for record in 0..places.len() {
        let disk = disk.copy();
        let (log, recovered) = open(&disk, &State::default());
        assert_eq!(recovered.records.values().sum::<u64>(), COUNT as u64);
        disk.damage(&path, |bytes| bytes[places[record].0 + 2] ^= 0x10);
        let batch = log.read(100, 1 << 20).unwrap();
        let expect = untouched(&places, places[record].0, places[record].1);
        assert_eq!(ids(&batch), expect);
        let lost = meta(record as u128 + 1).route;
        assert_eq!((batch.lost, batch.damaged), ([(lost, 1)].into(), 1));
    }
}

#[test]
fn what_looks_like_a_record_inside_a_body_is_none() {
    let disk = Faulty::default();
    let (log, _) = open(&disk, &State::default());
    let forged = format::head(7, &meta(66), b"forged").unwrap();
    let mut body = super::body(1, 16);
    body.extend_from_slice(&forged);
    body.extend_from_slice(b"forged");
    log.append(&meta(1), &body).unwrap();
    append(&log, 2, 20).unwrap();
    let (path, _) = disk.files(".seg").remove(0);
    disk.damage(&path, |bytes| bytes[12 + 12 + 4] ^= 1);
    let (log, _) = open(&disk, &State::default());
    assert_eq!(read_all(&log), (vec![2], 0));
}

#[test]
fn a_segment_that_cannot_be_read_is_given_up_and_told() {
    let (disk, _, _) = segment();
    let (log, _) = open(&disk, &State::default());
    disk.set(super::faulty::Faults {
        read: true,
        ..Default::default()
    });
    assert!(log.read(9, 1 << 20).is_err());
    let batch = log.give_up_segment();
    assert_eq!(batch.lost.values().sum::<u64>(), COUNT as u64);
    disk.set(super::faulty::Faults::default());
    append(&log, 7, 20).unwrap();
    assert_eq!(read_all(&log), (vec![7], 0));
}

#[test]
fn a_state_that_is_damaged_anywhere_is_none() {
    let disk = Faulty::default();
    let folder = super::folder();
    assert_eq!(State::load(&disk, &folder).unwrap(), None);
    let settled = Settled {
        kept: 5,
        because: [("ratio".to_owned(), 5)].into(),
        exported: 3,
        dropped: [("rejected".to_owned(), 1)].into(),
        spooled: 1,
    };
    let at = |offset| Position { segment: 3, offset };
    let state = State {
        acknowledged: at(40),
        done: vec![at(80)],
        left: vec![2],
        accounts: [("r".into(), settled)].into(),
    };
    state.save(&disk, &folder).unwrap();
    assert_eq!(State::load(&disk, &folder).unwrap(), Some(state));
    let (path, content) = disk.files("state").remove(0);
    for at in 0..content.len() {
        let flipped = disk.copy();
        flipped.damage(&path, |bytes| bytes[at] ^= 1);
        assert!(State::load(&flipped, &folder).is_err(), "flipped at {at}");
        let cut = disk.copy();
        cut.damage(&path, |bytes| bytes.truncate(at));
        assert!(State::load(&cut, &folder).is_err(), "cut at {at}");
    }
    // A disk that is full leaves the one before.
    disk.set(super::faulty::Faults {
        room: Some(5),
        ..Default::default()
    });
    assert!(State::default().save(&disk, &folder).is_err());
    assert!(State::load(&disk, &folder).unwrap().is_some());
}

#[test]
fn segments_that_were_delivered_but_not_removed_go_at_the_next_start() {
    let (disk, path, _) = segment();
    let next = Position {
        segment: 2,
        offset: 0,
    };
    let state = State {
        acknowledged: next,
        ..State::default()
    };
    let (log, recovered) = open(&disk, &state);
    assert!(disk.open(&path).is_err());
    assert!(recovered.records.is_empty());
    append(&log, 1, 20).unwrap();
    let ids: BTreeSet<_> = read_all(&log).0.into_iter().collect();
    assert_eq!(ids, [1].into());
}
