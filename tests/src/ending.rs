//! How an answer in the chunked coding ends, as its request asked for it.

use std::time::Duration;

use crate::{Head, Wire};

/// What becomes of the end of an answer: of its last piece of content, and of the coding's last
/// chunk (RFC 9112, section 7.1), which a server may well write later than its API's last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The last chunk follows the last piece after this long, in a write of its own.
    Tail(Duration),
    /// The last piece is held back until the client has left.
    Held,
    /// The connection is closed in place of the last piece.
    Cut,
}

impl Ending {
    /// The request's field that asks for it.
    pub const FIELD: &str = "x-ending";

    /// The field's value: milliseconds, `held` or `cut`.
    pub fn value(self) -> String {
        match self {
            Self::Tail(tail) => tail.as_millis().to_string(),
            Self::Held => "held".to_owned(),
            Self::Cut => "cut".to_owned(),
        }
    }

    /// What a request asked for; without the field, an end at once.
    pub fn asked(request: &Head) -> Self {
        match request.field(Self::FIELD) {
            None => Self::Tail(Duration::ZERO),
            Some("held") => Self::Held,
            Some("cut") => Self::Cut,
            Some(tail) => {
                let tail = tail.parse().expect("milliseconds, `held` or `cut`");
                Self::Tail(Duration::from_millis(tail))
            }
        }
    }

    /// Sends a body in these pieces, a chunk each. `false`: that was the connection's end.
    pub async fn send(self, wire: &mut Wire, pieces: &[impl AsRef<[u8]>]) -> bool {
        let (last, others) = pieces.split_last().expect("a body has a piece");
        for piece in others {
            wire.send(chunk(piece.as_ref())).await;
        }
        self.finish(wire, last.as_ref()).await
    }

    /// Sends the last piece of a body, or does not. `false`: that was the connection's end.
    pub(crate) async fn finish(self, wire: &mut Wire, last: &[u8]) -> bool {
        match self {
            Self::Tail(tail) => {
                wire.send(chunk(last)).await;
                tokio::time::sleep(tail).await;
                wire.send("0\r\n\r\n").await;
                true
            }
            Self::Held => {
                wire.rest().await;
                false
            }
            Self::Cut => false,
        }
    }
}

/// One chunk.
pub(crate) fn chunk(data: &[u8]) -> Vec<u8> {
    let head = format!("{:x}\r\n", data.len());
    [head.as_bytes(), data, b"\r\n"].concat()
}
