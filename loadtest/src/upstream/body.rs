//! The body of an answer on its way: each piece at its instant, with the faults asked for.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

use super::knobs::{Gaps, Knobs};
use super::reply::Content;
use crate::alarm::Alarm;

/// A response body as hyper takes it.
pub(super) type Body = UnsyncBoxBody<Bytes, Cut>;

/// The error that makes hyper close the connection: the request asked for it.
#[derive(Debug, thiserror::Error)]
#[error("cut as the request asked")]
pub(super) struct Cut;

/// Long enough for hyper to write what it holds before the cut drops it.
const FLUSH: Duration = Duration::from_millis(5);

/// `content` as a body whose first piece leaves now.
pub(super) fn paced(content: Content, knobs: Knobs, alarm: Alarm) -> Body {
    let stall = knobs.stall.unwrap_or_default();
    let pieces: Box<dyn Iterator<Item = Bytes> + Send> = match content {
        Content::Whole(body) if stall.is_zero() && knobs.cut_after_bytes.is_none() => {
            return Full::new(body)
                .map_err(|never| match never {})
                .boxed_unsync();
        }
        Content::Whole(mut body) => {
            let first_half = body.split_to(body.len().div_ceil(2));
            Box::new(
                [first_half, body]
                    .into_iter()
                    .filter(|half| !half.is_empty()),
            )
        }
        Content::Events(pieces) => pieces,
    };
    let sending = Sending {
        pieces,
        due: Instant::now(),
        gap: knobs.gap,
        stall: Some(stall),
        left_bytes: knobs.cut_after_bytes.unwrap_or(u64::MAX),
        alarm,
    };
    let pieces = stream::try_unfold(sending, |mut sending| async {
        let piece = sending.next().await?;
        Ok(piece.map(|piece| (Frame::data(piece), sending)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

struct Sending {
    pieces: Box<dyn Iterator<Item = Bytes> + Send>,
    /// When the next piece leaves. Moves by the gap from the first instant, never from "now".
    due: Instant,
    gap: Gaps,
    /// Taken by the wait after the first piece.
    stall: Option<Duration>,
    /// Body bytes until the cut.
    left_bytes: u64,
    alarm: Alarm,
}

impl Sending {
    async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        let Some(mut piece) = self.pieces.next() else {
            return Ok(None);
        };
        if self.left_bytes == 0 {
            tokio::time::sleep(FLUSH).await;
            return Err(Cut);
        }
        self.alarm.sleep_until(self.due).await;
        self.due += self.gap.next() + self.stall.take().unwrap_or_default();
        let len = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if len > self.left_bytes {
            piece.truncate(usize::try_from(self.left_bytes).unwrap_or(usize::MAX));
            // What was kept out of this piece must still come up, to be cut.
            self.pieces = Box::new(std::iter::repeat(Bytes::new()));
        }
        self.left_bytes = self.left_bytes.saturating_sub(len);
        Ok(Some(piece))
    }
}
