mod damage;
pub(crate) mod faulty;
mod model;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use offpath_trace::TraceId;

use self::faulty::{Faults, Faulty, Nth};
use super::disk::{Disk as _, System};
use super::format::Meta;
use super::log::{AppendError, Batch, Log, Recovered};
use super::state::State;

const FOLDER: &str = "spool";
const QUOTA: u64 = 64 << 10;

fn folder() -> PathBuf {
    FOLDER.into()
}

fn meta(id: u128) -> Meta {
    Meta {
        trace_id: TraceId::from_random(id),
        offered_ms: 1,
        route: if id.is_multiple_of(2) { "even" } else { "odd" }.into(),
    }
}

/// Says its id, so that nothing else passes for it.
fn body(id: u128, bytes: usize) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.resize(bytes.max(16), b'x');
    body
}

fn open(disk: &Faulty, state: &State) -> (Log, Recovered) {
    let disk = Arc::new(disk.clone());
    Log::open(disk, folder(), br#"{"sink":"s"}"#, QUOTA, state).unwrap()
}

fn append(log: &Log, id: u128, bytes: usize) -> Result<(), AppendError> {
    log.append(&meta(id), &body(id, bytes))
}

/// The ids of a batch, each with the body that was written for it.
#[track_caller]
fn ids(batch: &Batch) -> Vec<u128> {
    let id = |stored: &super::log::Stored| {
        let id = u128::from_be_bytes(stored.body[..16].try_into().unwrap());
        assert_eq!(stored.meta, meta(id));
        assert_eq!(stored.body, body(id, stored.body.len()));
        id
    };
    batch.records.iter().map(id).collect()
}

/// All that is left to read, and what is told as lost.
#[track_caller]
fn read_all(log: &Log) -> (Vec<u128>, u64) {
    let (mut all, mut lost) = (Vec::new(), 0);
    loop {
        let batch = log.read(3, 1 << 20).unwrap();
        lost += batch.lost.values().sum::<u64>();
        if batch.is_empty() {
            return (all, lost);
        }
        all.extend(ids(&batch));
    }
}

#[test]
fn what_is_acknowledged_is_gone_and_the_rest_is_read_again_by_the_next_process() {
    let disk = Faulty::default();
    let (log, _) = open(&disk, &State::default());
    (1..=5).for_each(|id| append(&log, id, 20).unwrap());
    let batch = log.read(2, 1 << 20).unwrap();
    assert_eq!(ids(&batch), [1, 2]);
    log.acknowledge(batch.next);
    let unfinished = log.read(3, 1 << 20).unwrap();
    assert_eq!(ids(&unfinished), [3, 4, 5]);
    log.mark_done(unfinished.records[1].at);
    let (log, recovered) = open(&disk, &log.state());
    assert_eq!(recovered.records, [("odd".into(), 2)].into());
    append(&log, 6, 20).unwrap();
    assert_eq!(read_all(&log), (vec![3, 5, 6], 0));
}

#[test]
fn a_batch_is_cut_by_count_and_bytes_and_never_empty() {
    let disk = Faulty::default();
    let (log, _) = open(&disk, &State::default());
    for (id, bytes) in [(1, 20), (2, 20), (3, 900), (4, 20)] {
        append(&log, id, bytes).unwrap();
    }
    let next = || ids(&log.read(2, 100).unwrap());
    assert_eq!([next(), next(), next()], [vec![1, 2], vec![3], vec![4]]);
    assert_eq!(next(), Vec::<u128>::new());
}

#[test]
fn a_full_quota_takes_nothing_until_something_is_delivered() {
    let disk = Faulty::default();
    let (log, _) = open(&disk, &State::default());
    let mut id = 0;
    let full = loop {
        id += 1;
        if let Err(error) = append(&log, id, 1000) {
            break error;
        }
    };
    assert!(matches!(full, AppendError::Full));
    let on_disk = |disk: &Faulty| disk.files(".seg").iter().map(|(_, c)| c.len() as u64).sum();
    assert!((50_000..=QUOTA).contains(&on_disk(&disk)));
    assert_eq!(log.bytes(), (on_disk(&disk), QUOTA));
    let batch = log.read(20, 1 << 20).unwrap();
    log.acknowledge(batch.next);
    append(&log, id, 1000).unwrap();
    assert_eq!(log.bytes().0, on_disk(&disk));
    let (rest, lost) = read_all(&log);
    assert_eq!((rest, lost), ((21..=id).collect(), 0));
    log.acknowledge(log.read(1, 1).unwrap().next);
    log.close();
    assert_eq!((disk.files(".seg").len(), log.bytes().0), (0, 0));
}

#[test]
fn a_segment_of_another_version_is_left_alone() {
    let disk = Faulty::default();
    let (log, _) = open(&disk, &State::default());
    append(&log, 1, 20).unwrap();
    let (path, _) = disk.files(".seg").remove(0);
    disk.damage(&path, |bytes| {
        bytes[8] = 9;
        let end = 12 + 12;
        let crc = crc32c::crc32c(&bytes[..end]).to_le_bytes();
        bytes[end..end + 4].copy_from_slice(&crc);
    });
    let (log, recovered) = open(&disk, &State::default());
    assert_eq!((recovered.skipped, recovered.records.len()), (1, 0));
    append(&log, 2, 20).unwrap();
    assert_eq!(read_all(&log), (vec![2], 0));
    log.acknowledge(log.read(1, 1).unwrap().next);
    log.close();
    // Nor is it removed by a later process, which finds it before what is delivered.
    let (_, recovered) = open(&disk, &log.state());
    assert_eq!(recovered.skipped, 1);
    assert_eq!(disk.files(".seg").len(), 1);
    assert!(disk.files(".seg")[0].0 == Path::new(&path));
}

#[test]
fn a_segment_that_does_not_reach_the_device_keeps_no_other_from_it() {
    let disk = Faulty::default();
    let (log, _) = open(&disk, &State::default());
    // Each in a segment of its own.
    (1..=3).for_each(|id| append(&log, id, 4_000).unwrap());
    let nth = Some(Nth {
        at: 0,
        and_after: false,
    });
    disk.set(Faults {
        nth,
        ..Faults::default()
    });
    assert!(log.sync().is_err());
    assert_eq!(disk.operations(), 3);
    log.sync().unwrap();
    assert_eq!(disk.operations(), 3);
}

#[test]
fn a_file_that_cannot_be_replaced_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    // No file takes the place of a folder: the last of the steps fails.
    std::fs::create_dir(folder.path().join("state")).unwrap();
    assert!(State::default().save(&System, folder.path()).is_err());
    let names = System.list(folder.path()).unwrap();
    assert_eq!(names, [("state".to_owned(), 0)]);
}

#[test]
fn a_file_that_is_no_segment_is_none_of_its_business() {
    let disk = Faulty::default();
    disk.create_file("spool/notes.txt");
    disk.create_file("spool/1-2.seg");
    let (log, recovered) = open(&disk, &State::default());
    assert_eq!((recovered.skipped, log.bytes().0), (0, 0));
    assert_eq!(disk.files("").len(), 2);
}

impl Faulty {
    fn create_file(&self, path: &str) {
        self.create(Path::new(path)).unwrap();
    }
}
