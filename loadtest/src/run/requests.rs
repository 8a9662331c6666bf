//! The requests of one load: at least one.

use std::sync::Arc;

use crate::client::Template;

/// Requests by number; numbers past the last begin again. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    first: Template,
    more: Arc<[Template]>,
}

impl Requests {
    pub(crate) fn new(first: Template, more: impl IntoIterator<Item = Template>) -> Self {
        Self {
            first,
            more: more.into_iter().collect(),
        }
    }

    pub(super) fn at(&self, index: usize) -> &Template {
        let index = index % (self.more.len() + 1);
        let past_first = index.checked_sub(1);
        past_first
            .and_then(|index| self.more.get(index))
            .unwrap_or(&self.first)
    }
}
