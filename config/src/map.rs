//! A mapping whose keys are offpath's own, so that no section can forget to refuse unknown keys.

use std::cell::{Cell, RefCell};

use crate::{field::Field, key::Key, reader::Reader, similar::similar, yaml::Entry};

/// A mapping whose keys are offpath's own.
///
/// Dropping it reports the keys that were not read. This is work in a `drop`, on purpose: a section
/// knows its last key only when it has read it, and so it cannot leave the check out.
pub(crate) struct Map<'a> {
    of: Field<'a>,
    entries: Vec<&'a Entry>,
    read: RefCell<Vec<&'static str>>,
    /// Whether unknown keys are ignored, because the kind of mapping is unknown.
    lenient: Cell<bool>,
}

impl<'a> Map<'a> {
    pub(crate) fn new(of: Field<'a>, entries: Vec<&'a Entry>) -> Self {
        Self {
            of,
            entries,
            read: RefCell::default(),
            lenient: Cell::new(false),
        }
    }

    /// A key and its meaning, in one sentence.
    pub(crate) fn key(&self, name: &'static str, about: &'static str) -> Key<'a> {
        self.read.borrow_mut().push(name);
        let field = match self.entries.iter().find(|entry| entry.key == name) {
            Some(entry) => self.of.child(entry),
            None => self.of.absent(name),
        };
        #[cfg(test)]
        self.reader()
            .read
            .borrow_mut()
            .insert(field.path().to_owned());
        Key::new(self.of.path(), name, about, field)
    }

    pub(crate) fn reader(&self) -> &'a Reader<'a> {
        self.of.reader()
    }

    /// A fault of the mapping itself.
    pub(crate) fn fail(&self, message: impl Into<String>) {
        self.of.fail(message);
    }

    /// Ignores unknown keys: a fault that was reported already explains them.
    pub(crate) fn excuse_unknown_keys(&self) {
        self.lenient.set(true);
    }
}

impl Drop for Map<'_> {
    fn drop(&mut self) {
        if self.lenient.get() {
            return;
        }
        let known = self.read.borrow();
        for entry in &self.entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let message = match similar(&entry.key, &known) {
                Some(known) => format!("unknown key, did you mean `{known}`?"),
                None => "unknown key".to_owned(),
            };
            self.of.child(entry).fail(message);
        }
    }
}
