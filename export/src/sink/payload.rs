//! The body of one request: the records as they are, with their frames between them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use crate::otlp;

/// A body that can be sent again, byte for byte. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    parts: Arc<[Bytes]>,
    gzip: bool,
}

/// A payload on its way out, with its length known from the start.
pub(crate) struct Parts {
    left: VecDeque<Bytes>,
    bytes: u64,
}

impl Payload {
    /// Concatenates, without copying a record.
    pub(crate) fn framed<'a>(resource: &[u8], records: impl Iterator<Item = &'a Bytes>) -> Self {
        let mut frames = BytesMut::new();
        let mut parts = Vec::new();
        for record in records {
            otlp::frame(resource, record.len(), &mut frames);
            parts.push(frames.split().freeze());
            parts.push(record.clone());
        }
        Self {
            parts: parts.into(),
            gzip: false,
        }
    }

    /// The same, compressed at the level that costs least: the bodies are repetitive text.
    pub(crate) fn gzip(self) -> Self {
        let level = flate2::Compression::fast();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        let written = self
            .parts
            .iter()
            .try_for_each(|part| encoder.write_all(part));
        match written.and_then(|()| encoder.finish()) {
            Ok(whole) => Self {
                parts: Arc::from([Bytes::from(whole)]),
                gzip: true,
            },
            // A vector takes every write; if it did not, the plain body serves as well.
            Err(_) => self,
        }
    }

    pub(crate) fn is_gzip(&self) -> bool {
        self.gzip
    }

    /// For one attempt.
    pub(crate) fn body(&self) -> Parts {
        let bytes = self.parts.iter().map(|part| part.len() as u64).sum();
        Parts {
            left: self.parts.iter().cloned().collect(),
            bytes,
        }
    }
}

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.left.pop_front();
        self.bytes -= next.as_ref().map_or(0, |part| part.len() as u64);
        Poll::Ready(next.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes)
    }
}
