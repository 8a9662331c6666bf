//! A mapping whose keys are offpath's own, so that no section can forget to refuse unknown keys.

use std::cell::{Cell, RefCell};

use crate::{field::Field, reader::Reader, similar::similar, yaml::Entry};

/// A mapping whose keys are ours. Dropping it reports the keys that nobody asked for.
pub(crate) struct Map<'a> {
    of: Field<'a>,
    entries: Vec<&'a Entry>,
    asked: RefCell<Vec<&'static str>>,
    /// Whether unknown keys pass, because what the mapping is could not be told.
    lenient: Cell<bool>,
}

impl<'a> Map<'a> {
    pub(crate) fn new(of: Field<'a>, entries: Vec<&'a Entry>) -> Self {
        Self {
            of,
            entries,
            asked: RefCell::default(),
            lenient: Cell::new(false),
        }
    }

    /// The place of a key, with its value where there is one.
    pub(crate) fn field(&self, key: &'static str) -> Field<'a> {
        self.asked.borrow_mut().push(key);
        let field = match self.entries.iter().find(|entry| entry.key == key) {
            Some(entry) => self.of.child(entry),
            None => self.of.absent(key),
        };
        #[cfg(test)]
        self.reader()
            .asked
            .borrow_mut()
            .insert(field.path().to_owned());
        field
    }

    pub(crate) fn reader(&self) -> &'a Reader<'a> {
        self.of.reader()
    }

    /// A fault of the mapping itself.
    pub(crate) fn fail(&self, message: impl Into<String>) {
        self.of.fail(message);
    }

    /// Lets unknown keys pass: a fault that was noted already explains them.
    pub(crate) fn excuse_unknown_keys(&self) {
        self.lenient.set(true);
    }
}

impl Drop for Map<'_> {
    fn drop(&mut self) {
        if self.lenient.get() {
            return;
        }
        let asked = self.asked.borrow();
        for entry in &self.entries {
            if asked.contains(&entry.key.as_str()) {
                continue;
            }
            let message = match similar(&entry.key, &asked) {
                Some(known) => format!("unknown key, did you mean `{known}`?"),
                None => "unknown key".to_owned(),
            };
            self.of.child(entry).fail(message);
        }
    }
}
