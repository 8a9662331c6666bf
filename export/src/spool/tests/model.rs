use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use proptest::prelude::*;

use super::faulty::{Faults, Faulty, Nth};
use super::{QUOTA, append, folder, ids, open, read_all};
use crate::spool::log::Log;
use crate::spool::segment::Position;
use crate::spool::state::State;

/// What happens to a spool.
#[derive(Clone, Debug)]
enum Step {
    Append {
        bytes: usize,
    },
    Read {
        records: usize,
    },
    Acknowledge,
    Sync,
    /// The process dies; with the state as it was last saved.
    Restart,
    Faults(Faults),
}

fn step() -> impl Strategy<Value = Step> {
    let faults = (
        prop::option::of(0_usize..3000),
        prop::option::of(1_usize..50),
        any::<[bool; 4]>(),
        prop::option::of((0_usize..20, any::<bool>())),
    );
    let faults = faults.prop_map(|(room, short, [read, write, truncate, sync], nth)| Faults {
        room,
        short,
        read,
        write,
        truncate,
        sync,
        nth: nth.map(|(at, and_after)| Nth { at, and_after }),
    });
    prop_oneof![
        6 => (16_usize..3000).prop_map(|bytes| Step::Append { bytes }),
        2 => (1_usize..5).prop_map(|records| Step::Read { records }),
        2 => Just(Step::Acknowledge),
        1 => Just(Step::Sync),
        1 => Just(Step::Restart),
        1 => faults.prop_map(Step::Faults),
        1 => Just(Step::Faults(Faults::default())),
    ]
}

/// The spool, and what must be in it.
struct Model {
    disk: Faulty,
    log: Log,
    /// As it is on disk.
    state: State,
    next_id: u128,
    /// Written for sure, and not acknowledged.
    owed: BTreeSet<u128>,
    /// Not written for sure, or acknowledged already: they may come, or not.
    possible: BTreeSet<u128>,
    read: Vec<u128>,
    next: Option<Position>,
    /// Some process could not read a segment, and left it.
    left: bool,
}

impl Model {
    fn new() -> Self {
        let disk = Faulty::default();
        let (log, _) = open(&disk, &State::default());
        Self {
            disk,
            log,
            state: State::default(),
            next_id: 0,
            owed: BTreeSet::new(),
            possible: BTreeSet::new(),
            read: Vec::new(),
            next: None,
            left: false,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append { bytes } => {
                self.next_id += 1;
                match append(&self.log, self.next_id, bytes) {
                    Ok(()) => self.owed.insert(self.next_id),
                    // Its bytes may be there all the same, where the file could not be cut.
                    Err(_) => self.possible.insert(self.next_id),
                };
            }
            Step::Read { records } => {
                if let Ok(batch) = self.log.read(records, 4000) {
                    assert!(batch.lost.is_empty(), "{:?}", batch.lost);
                    self.read.extend(ids(&batch));
                    self.next = Some(batch.next);
                }
            }
            Step::Acknowledge => self.acknowledge(),
            Step::Sync => drop(self.log.sync()),
            Step::Restart => self.restart(),
            Step::Faults(faults) => self.disk.set(faults),
        }
    }

    fn acknowledge(&mut self) {
        let Some(next) = self.next else { return };
        self.log.acknowledge(next);
        for id in self.read.drain(..) {
            self.owed.remove(&id);
            self.possible.insert(id);
        }
        let state = self.log.state();
        // A full disk keeps the state before.
        if state.save(&self.disk, &folder()).is_ok() {
            self.state = state;
        }
    }

    fn restart(&mut self) {
        if self.reopen().is_err() {
            // It runs without a spool; the next one finds another disk.
            self.disk.set(Faults::default());
            self.reopen().unwrap();
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        let state = State::recover(&self.disk, &folder())?;
        // It is what was saved, or it was lost and is begun anew.
        assert!([&self.state, &State::default()].contains(&&state));
        self.state = state;
        let disk = Arc::new(self.disk.clone());
        let opened = Log::open(disk, folder(), br#"{"sink":"s"}"#, QUOTA, &self.state)?;
        self.left |= opened.1.skipped > 0;
        (self.log, self.next) = (opened.0, None);
        self.read.clear();
        Ok(())
    }

    /// What the next process finds on a sound disk is all that is owed, once, and nothing else.
    #[track_caller]
    fn check(mut self, what: &str) {
        self.disk.set(Faults::default());
        self.restart();
        let (read, lost) = read_all(&self.log);
        assert_eq!(lost, 0, "{what}");
        let read_once: BTreeSet<u128> = read.iter().copied().collect();
        assert_eq!(read_once.len(), read.len(), "{what}: read twice: {read:?}");
        let known: BTreeSet<u128> = self.owed.union(&self.possible).copied().collect();
        assert!(
            read_once.is_subset(&known),
            "{what}: {read_once:?} of {known:?}"
        );
        // A segment that was left is read by nobody, and removed by nobody either.
        let there = match self.left {
            false => read_once,
            true => read_all(&open(&self.disk.copy(), &State::default()).0)
                .0
                .into_iter()
                .collect(),
        };
        assert!(
            self.owed.is_subset(&there),
            "{what}: {there:?} of {:?}",
            self.owed
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_the_disk_does_all_that_was_written_is_read_and_nothing_else(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
            let files = model.disk.files(".seg");
            let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
            prop_assert!(bytes as u64 <= QUOTA, "{bytes} bytes");
        }
        model.check("at random");
    }
}

/// Two processes and what they do, with these faults from the start.
fn history(faults: Faults) -> Model {
    let mut model = Model::new();
    model.disk.set(faults);
    for records in [2, 1, 100] {
        for bytes in [1_500, 1_500, 100, 3_000] {
            model.take(Step::Append { bytes });
        }
        model.take(Step::Sync);
        model.take(Step::Read { records });
        model.take(Step::Acknowledge);
        model.take(Step::Append { bytes: 50 });
        model.take(Step::Restart);
        model.take(Step::Append { bytes: 60 });
        model.take(Step::Restart);
    }
    model
}

#[test]
fn any_operation_may_fail_once_or_for_good_and_nothing_that_was_written_is_lost() {
    let operations = history(Faults::default()).disk.operations();
    assert!(operations > 100, "{operations}");
    for (at, and_after) in (0..operations).flat_map(|at| [(at, false), (at, true)]) {
        let nth = Some(Nth { at, and_after });
        let model = history(Faults {
            nth,
            ..Faults::default()
        });
        model.check(&format!("operation {at}, and all after it: {and_after}"));
    }
}
