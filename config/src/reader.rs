//! Collects what is found while one configuration is read: faults, warnings, and the environment
//! that values fall back to.
//!
//! Reading goes on after a fault: a [`Field`] notes it with its line and key path, hands out the
//! default, and the rest is read too.

use std::{cell::RefCell, path::Path};

use crate::{
    ConfigError, Env,
    field::{Field, Found},
    yaml::Node,
};

/// Where all of one configuration's faults and warnings end up.
pub(crate) struct Reader<'a> {
    pub(crate) env: &'a Env,
    /// Where relative paths start.
    pub(crate) folder: &'a Path,
    errors: RefCell<Vec<ConfigError>>,
    warnings: RefCell<Vec<String>>,
    /// Every key that was asked for, by path.
    #[cfg(test)]
    pub(crate) asked: RefCell<std::collections::BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(env: &'a Env, folder: &'a Path) -> Self {
        Self {
            env,
            folder,
            errors: RefCell::default(),
            warnings: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// The document itself.
    pub(crate) fn root(&'a self, node: &'a Node) -> Field<'a> {
        Field::new(self, String::new(), node.line, Found::Node(node))
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
        // Two sinks that fall back to one broken variable make one fault.
        let outside_the_file = line == 0;
        if !(outside_the_file && errors.contains(&error)) {
            errors.push(error);
        }
    }

    pub(crate) fn warn(&self, warning: String) {
        self.warnings.borrow_mut().push(warning);
    }

    /// The warnings, or all faults in the order of lines, the environment's last.
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
