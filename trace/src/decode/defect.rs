//! What can be wrong with an exchange's bytes: data, not errors.

use crate::Counts;

/// Something about an exchange that is not as its format wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Defect {
    /// A body calls itself JSON and is not; it is kept as text.
    MalformedJson,
    /// JSON nested deeper than MLflow's reader takes. Beyond 128 levels a body is kept as text in an
    /// object; from some 30 levels on, MLflow gets what is deeper as its text, in place.
    TooDeep,
    /// An integer beyond 64 bits, which MLflow gets as text.
    WideInteger,
    /// A NUL in a string, in place of which MLflow gets U+FFFD: PostgreSQL cannot store it.
    Nul,
    /// JSON with a number of more than 4,096 bytes; kept as text, for the same reason.
    LongNumber,
    /// JSON with `NaN` or an infinity, as Python writes it; kept as it came.
    NonFiniteNumber,
    /// A JSON string escapes half of a UTF-16 pair; U+FFFD stands in its place.
    LoneSurrogate,
    /// A text body is not UTF-8; U+FFFD stands for what is not.
    InvalidUtf8,
    /// An event of a stream is not what its format sends; the others are read.
    MalformedSse,
    /// A stream ends inside an event.
    TornSse,
    /// A line of newline-delimited JSON is none; the others are read.
    MalformedLine,
    /// A stream ends inside a line.
    TornLine,
    /// A frame of a binary stream whose lengths, checksum or payload are wrong.
    MalformedFrame,
    /// A binary stream ends inside a frame.
    TornFrame,
    /// A body is not encoded as its `content-encoding` says, or ends early.
    BadContentEncoding,
    /// A `content-encoding` that is not known, or more than four of them; kept as it came.
    UnknownContentEncoding,
    /// A body unpacks to more than the route's limit; what is beyond it is not kept.
    OutputCap,
    /// An event of more than 4 MiB; passed over.
    EventTooLarge,
    /// More choices or tool calls than are kept apart; the rest are passed over.
    TooManyParts,
    /// Less of a body was kept than passed.
    BodyTruncated,
}

impl Defect {
    /// As in `offpath.defects` and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::TooDeep => "too_deep",
            Self::WideInteger => "wide_integer",
            Self::Nul => "nul",
            Self::LongNumber => "long_number",
            Self::NonFiniteNumber => "non_finite_number",
            Self::LoneSurrogate => "lone_surrogate",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::MalformedSse => "malformed_sse",
            Self::TornSse => "torn_sse",
            Self::MalformedLine => "malformed_line",
            Self::TornLine => "torn_line",
            Self::MalformedFrame => "malformed_frame",
            Self::TornFrame => "torn_frame",
            Self::BadContentEncoding => "bad_content_encoding",
            Self::UnknownContentEncoding => "unknown_content_encoding",
            Self::OutputCap => "output_cap",
            Self::EventTooLarge => "event_too_large",
            Self::TooManyParts => "too_many_parts",
            Self::BodyTruncated => "body_truncated",
        }
    }
}

/// What is found on the way, beside what is read.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Each once, in the order of their finding.
    defects: Vec<Defect>,
    /// What was masked.
    pub(crate) redactions: Counts,
}

impl Notes {
    pub(crate) fn note(&mut self, defect: Defect) {
        if !self.defects.contains(&defect) {
            self.defects.push(defect);
        }
    }

    pub(crate) fn defects(&self) -> &[Defect] {
        &self.defects
    }

    pub(crate) fn into_defects(self) -> Vec<Defect> {
        self.defects
    }
}
