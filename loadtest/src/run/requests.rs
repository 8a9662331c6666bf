//! The requests of one load, by number: of its schedule, or of its recording.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::client::Template;

/// Requests by number. Cheap to clone.
#[derive(Clone)]
pub struct Requests {
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
    /// One over and over.
    #[must_use]
    pub fn same(template: Template) -> Self {
        let kind = Kind::Same(Arc::new(template));
        Self { kind }
    }

    /// Those of `make`, each made when it is due; it knows every number that the load has.
    pub fn made(make: impl Fn(usize) -> Option<Template> + Send + Sync + 'static) -> Self {
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

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.kind {
            Kind::Same(_) => "Requests::same",
            Kind::Made(_) => "Requests::made",
        })
    }
}
