//! The requests of one load, by index in its schedule or recording.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::client::PreparedRequest;

/// The requests of a load. Cheap to clone.
#[derive(Clone)]
pub struct Requests {
    source: Source,
}

#[derive(Clone)]
enum Source {
    Repeat(Arc<PreparedRequest>),
    Generate(Arc<dyn Fn(usize) -> Option<PreparedRequest> + Send + Sync>),
}

/// One request, ready to send.
pub(super) struct OutgoingRequest {
    pub(super) request: Request<Full<Bytes>>,
    pub(super) body_bytes: usize,
}

impl Requests {
    /// Sends the same request every time.
    #[must_use]
    pub fn repeat(template: PreparedRequest) -> Self {
        let source = Source::Repeat(Arc::new(template));
        Self { source }
    }

    /// Calls `generate` for each request when it is due. The function must return a request for
    /// every index of the load; `None` makes the request fail.
    pub fn generate(
        generate: impl Fn(usize) -> Option<PreparedRequest> + Send + Sync + 'static,
    ) -> Self {
        let source = Source::Generate(Arc::new(generate));
        Self { source }
    }

    /// The request at `index`.
    pub(super) fn get(&self, index: usize) -> Option<OutgoingRequest> {
        match &self.source {
            Source::Repeat(request) => Some(OutgoingRequest::from(&**request)),
            Source::Generate(generate) => Some(OutgoingRequest::from(&generate(index)?)),
        }
    }
}

impl From<&PreparedRequest> for OutgoingRequest {
    fn from(request: &PreparedRequest) -> Self {
        Self {
            body_bytes: request.body_bytes(),
            request: request.request(),
        }
    }
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.source {
            Source::Repeat(_) => "Requests::repeat",
            Source::Generate(_) => "Requests::generate",
        })
    }
}
