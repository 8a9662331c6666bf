//! The requests of one load, by number.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::client::Template;

/// Requests by number. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Requests {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// One over and over.
    Same(Arc<Template>),
    /// Each made when it is due.
    Made(Arc<dyn Fn(usize) -> Option<Template> + Send + Sync>),
}

impl Requests {
    pub(crate) fn same(template: Template) -> Self {
        let kind = Kind::Same(Arc::new(template));
        Self { kind }
    }

    /// Those of `make`; it knows every number that the load's schedule has.
    pub(crate) fn made(make: impl Fn(usize) -> Option<Template> + Send + Sync + 'static) -> Self {
        let kind = Kind::Made(Arc::new(make));
        Self { kind }
    }

    /// The request of this number and its body's length; `None` where there is none.
    pub(super) fn at(&self, index: usize) -> Option<(Request<Full<Bytes>>, usize)> {
        match &self.kind {
            Kind::Same(template) => Some((template.request(), template.body_bytes())),
            Kind::Made(make) => {
                let template = make(index)?;
                Some((template.request(), template.body_bytes()))
            }
        }
    }
}
