//! Response bodies that are sent piece by piece at scheduled instants, with injected faults.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

use super::knobs::{Gaps, Knobs};
use super::reply::Content;
use crate::alarm::Alarm;
use crate::units;

/// The type of all response bodies.
pub(super) type Body = UnsyncBoxBody<Bytes, Cut>;

/// The error that makes hyper close the connection, or reset the stream, within a body.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut on purpose")]
pub(super) struct Cut;

/// Time for hyper to write its buffer before a cut discards it.
const FLUSH: Duration = Duration::from_millis(5);

/// Turns `content` into a body whose first piece is sent now.
pub(super) fn paced(content: Content, knobs: Knobs, alarm: Alarm) -> Body {
    let stall = knobs.stall.unwrap_or(Duration::ZERO);
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
    /// When the next piece is due. It advances by the gap, independent of when a piece was sent.
    due: Instant,
    gap: Gaps,
    /// The stall after the first piece; `None` once it has been added.
    stall: Option<Duration>,
    /// Number of body bytes until the cut.
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
        self.due += self.gap.next() + self.stall.take().unwrap_or(Duration::ZERO);
        let len = units::count(piece.len());
        if len > self.left_bytes {
            let left_bytes = usize::try_from(self.left_bytes);
            piece.truncate(left_bytes.expect("it is less than the length of a piece"));
            // Another piece must follow so that the cut happens.
            self.pieces = Box::new(std::iter::repeat(Bytes::new()));
        }
        self.left_bytes = self.left_bytes.saturating_sub(len);
        Ok(Some(piece))
    }
}
