//! A span's attributes while they are gathered: no key twice.

use std::borrow::Cow;

use crate::{Text, Value};

/// Keys and values, in the order in which they were put.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes(Vec<(Cow<'static, str>, Value)>);

impl Attributes {
    /// With room for what a span has, as a rule.
    pub(crate) fn of_span() -> Self {
        Self(Vec::with_capacity(40))
    }

    /// Adds one that is known to be new.
    pub(crate) fn put(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push((Cow::Borrowed(key), value.into()));
    }

    /// Adds one if there is a value.
    pub(crate) fn put_some(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// Adds a list, unless it is empty.
    pub(crate) fn put_list<T: Into<Text>>(
        &mut self,
        key: &'static str,
        list: impl IntoIterator<Item = T>,
    ) {
        let list: Vec<Text> = list.into_iter().map(Into::into).collect();
        if !list.is_empty() {
            self.0.push((Cow::Borrowed(key), Value::Texts(list)));
        }
    }

    /// Adds one under a key of the user's making; what is there already stays.
    pub(crate) fn put_new(&mut self, key: String, value: Text) {
        if !self.0.iter().any(|(there, _)| *there == key) {
            self.0.push((Cow::Owned(key), Value::Text(value)));
        }
    }

    /// Adds those of `others`, whose keys are known to be new.
    pub(crate) fn append(&mut self, others: Attributes) {
        self.0.extend(others.0);
    }

    pub(crate) fn into_vec(self) -> Vec<(Cow<'static, str>, Value)> {
        self.0
    }
}
