use std::collections::BTreeSet;

use proptest::prelude::*;

use super::faulty::{Faults, Faulty};
use super::{QUOTA, append, ids, open, read_all};
use crate::spool::log::Log;
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
    /// The process dies; with the state as it was last saved.
    Restart,
    Faults(Faults),
}

fn step() -> impl Strategy<Value = Step> {
    let faults = (
        prop::option::of(0_usize..3000),
        prop::option::of(1_usize..50),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let faults = faults.prop_map(|(room, short, read, write, truncate)| Faults {
        room,
        short,
        read,
        write,
        truncate,
    });
    prop_oneof![
        6 => (16_usize..3000).prop_map(|bytes| Step::Append { bytes }),
        2 => (1_usize..5).prop_map(|records| Step::Read { records }),
        2 => Just(Step::Acknowledge),
        1 => Just(Step::Restart),
        1 => faults.prop_map(Step::Faults),
        1 => Just(Step::Faults(Faults::default())),
    ]
}

/// The spool, and what must be in it.
struct Model {
    disk: Faulty,
    log: Log,
    state: State,
    next_id: u128,
    /// Written for sure, and not acknowledged.
    owed: BTreeSet<u128>,
    /// Not written for sure, or acknowledged already: they may come, or not.
    possible: BTreeSet<u128>,
    read: Vec<u128>,
    next: Option<super::super::segment::Position>,
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
            Step::Acknowledge => {
                let Some(next) = self.next else { return };
                self.log.acknowledge(next);
                for id in self.read.drain(..) {
                    self.owed.remove(&id);
                    self.possible.insert(id);
                }
                let (acknowledged, done) = self.log.state();
                let state = State {
                    acknowledged,
                    done,
                    ..State::default()
                };
                // A full disk keeps the state before.
                if state.save(&self.disk, &super::folder()).is_ok() {
                    self.state = state;
                }
            }
            Step::Restart => self.restart(),
            Step::Faults(faults) => self.disk.set(faults),
        }
    }

    fn restart(&mut self) {
        self.disk.set(Faults::default());
        let loaded = State::load(&self.disk, &super::folder()).unwrap();
        assert_eq!(loaded.clone().unwrap_or_default(), self.state);
        self.log = open(&self.disk, &self.state).0;
        self.read.clear();
        self.next = None;
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
        model.restart();
        let (read, lost) = read_all(&model.log);
        prop_assert_eq!(lost, 0);
        let read_once: BTreeSet<u128> = read.iter().copied().collect();
        prop_assert_eq!(read_once.len(), read.len(), "read twice: {:?}", read);
        prop_assert!(model.owed.is_subset(&read_once), "{:?} of {:?}", read_once, model.owed);
        let known: BTreeSet<u128> = model.owed.union(&model.possible).copied().collect();
        prop_assert!(read_once.is_subset(&known), "{:?} of {:?}", read_once, known);
    }
}
