//! Collects the results of reading one configuration: faults, warnings, and the environment that
//! values fall back to.
//!
//! Reading goes on after a fault: a [`Field`] reports it with its line and key path, returns the
//! default, and the rest is read too. A [`Map`](crate::map::Map) reports its unknown keys when it
//! is dropped.

use std::{cell::RefCell, path::Path};

use crate::{
    ConfigError, Env,
    field::{Field, Found},
    key::Description,
};

/// A section's value in a file that leaves it out, without any environment.
pub(crate) fn absent<T>(read: impl FnOnce(&Field<'_>) -> T) -> T {
    let env = Env::default();
    let reader = Reader::new(&env, Path::new(""));
    read(&reader.root(Found::Nothing))
}

/// Collects one configuration's faults and warnings.
pub(crate) struct Reader<'a> {
    pub(crate) env: &'a Env,
    /// The folder that relative paths start at.
    pub(crate) folder: &'a Path,
    errors: RefCell<Vec<ConfigError>>,
    warnings: RefCell<Vec<String>>,
    /// The keys, each once; collected over [`Found::Anything`] only.
    pub(crate) descriptions: RefCell<Vec<Description>>,
    /// The path of every key that was read.
    #[cfg(test)]
    pub(crate) read: RefCell<std::collections::BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(env: &'a Env, folder: &'a Path) -> Self {
        Self {
            env,
            folder,
            errors: RefCell::default(),
            warnings: RefCell::default(),
            descriptions: RefCell::default(),
            #[cfg(test)]
            read: RefCell::default(),
        }
    }

    /// The document itself.
    pub(crate) fn root(&'a self, found: Found<'a>) -> Field<'a> {
        let line = match found {
            Found::Node(node) => node.line,
            Found::Nothing | Found::Var(_) | Found::Anything => 0,
        };
        Field::new(self, String::new(), line, found)
    }

    /// An environment variable as a field; an empty one counts as unset.
    pub(crate) fn var(&'a self, name: &str) -> Field<'a> {
        let value = self.env.var(name).filter(|value| !value.is_empty());
        let found = value.map_or(Found::Nothing, Found::Var);
        Field::new(self, name.to_owned(), 0, found)
    }

    pub(crate) fn fail(&self, line: usize, path: &str, message: impl Into<String>) {
        let error = ConfigError {
            line,
            path: path.to_owned(),
            message: message.into(),
        };
        let mut errors = self.errors.borrow_mut();
        // Two sinks that fall back to the same invalid variable are one fault.
        let outside_the_file = line == 0;
        if !(outside_the_file && errors.contains(&error)) {
            errors.push(error);
        }
    }

    pub(crate) fn warn(&self, warning: String) {
        self.warnings.borrow_mut().push(warning);
    }

    /// Keeps the description of a key, if this is what the document is read for.
    pub(crate) fn describe(&self, field: &Field<'_>, description: Description) {
        if !field.is_anything() {
            return;
        }
        let mut all = self.descriptions.borrow_mut();
        let same = |known: &Description| {
            (&*known.parent, known.name) == (&*description.parent, description.name)
        };
        if !all.iter().any(same) {
            all.push(description);
        }
    }

    /// The warnings, or all faults in the order of lines, those of the environment last.
    pub(crate) fn finish(&self) -> Result<Vec<String>, Vec<ConfigError>> {
        let mut errors = self.errors.take();
        errors.sort_by_key(|error| (error.line == 0, error.line));
        if errors.is_empty() {
            Ok(self.warnings.take())
        } else {
            Err(errors)
        }
    }
}
