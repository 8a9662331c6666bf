//! How far an answer came, by what it contains: the difference between a whole answer and a cut one.

use crate::EndReason;

/// How far an answer came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Close {
    /// It ends where its body does: its API has no last word, or the reason to finish came and
    /// the last word did not.
    #[default]
    AtBodyEnd,
    /// The stream began as one of an API that has a last word, which is missing.
    LastWordMissing,
    /// Nothing is missing should the client leave here, as after a JSON value that is closed.
    Whole,
    /// The last word of its API came.
    LastWord,
}

impl Close {
    /// The end of the exchange, apart from errors in the answer, for the end of the transport.
    pub(crate) fn end_reason(self, transport: EndReason) -> EndReason {
        match (self, transport) {
            (Self::LastWord, _) | (Self::Whole, EndReason::ClientLeft) => EndReason::Complete,
            (Self::LastWordMissing, EndReason::Complete) => EndReason::Incomplete,
            (_, transport) => transport,
        }
    }

    /// `LastWord` if that came, and `other` if not.
    pub(super) fn last_word_or(came: bool, other: Self) -> Self {
        if came { Self::LastWord } else { other }
    }

    /// `LastWordMissing` if the stream proved to be of an API that has a last word.
    pub(super) fn missing_if(proved: bool) -> Self {
        if proved {
            Self::LastWordMissing
        } else {
            Self::AtBodyEnd
        }
    }
}
