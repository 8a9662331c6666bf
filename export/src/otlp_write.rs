//! A trace as OTLP protobuf, in two passes over one description of its messages.
//!
//! Protobuf puts a message's length before the message. The first pass measures, and remembers
//! each length; the second writes, and takes them in the same order: no length is asked for
//! twice, however deep a message lies, and a body is copied once, into the record.

use std::time::SystemTime;

use bytes::Bytes;
use offpath_trace::{Link, Span, SpanKind, Status, Trace, Value};

use crate::otlp::SCOPE_SPANS;
use crate::otlp::proto::{KIND_CLIENT, KIND_SERVER, STATUS_ERROR, STATUS_OK};

/// A trace that is measured and can be encoded.
pub(crate) struct Encodable<'a> {
    trace: &'a Trace,
    measured: Measured,
}

impl<'a> Encodable<'a> {
    pub(crate) fn new(trace: &'a Trace) -> Self {
        let mut measured = Measured::default();
        record(&mut measured, trace);
        Self { trace, measured }
    }

    /// Length of what [`encode`](Self::encode) gives.
    pub(crate) fn len(&self) -> usize {
        self.measured.bytes
    }

    /// One `ResourceSpans.scope_spans` field.
    pub(crate) fn encode(self) -> Bytes {
        let mut written = Written {
            bytes: Vec::with_capacity(self.len()),
            lengths: self.measured.lengths.into_iter(),
        };
        record(&mut written, self.trace);
        debug_assert_eq!(written.bytes.len(), self.measured.bytes);
        written.bytes.into()
    }
}

/// Takes the fields of a message, in order.
trait Fields {
    /// A field that is a message itself.
    fn message(&mut self, tag: u8, fields: impl FnOnce(&mut Self));

    /// A string or bytes.
    fn bytes(&mut self, tag: u8, value: &[u8]);

    /// A whole number, an enumeration or a truth value.
    fn varint(&mut self, tag: u8, value: u64);

    /// Eight bytes, the lowest first.
    fn fixed64(&mut self, tag: u8, wire: [u8; 8]);

    /// A string or bytes of a message that says nothing by an empty one.
    fn some_bytes(&mut self, tag: u8, value: &[u8]) {
        if !value.is_empty() {
            self.bytes(tag, value);
        }
    }
}

/// Wire types, as they stand in the three low bits of a field's key.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;

/// A key of one byte: no tag of ours is above 15.
const fn key(tag: u8, wire_type: u8) -> u8 {
    debug_assert!(tag < 16, "a larger tag takes two bytes");
    tag << 3 | wire_type
}

/// The first pass.
#[derive(Default)]
struct Measured {
    bytes: usize,
    /// Of all messages, in the order in which they begin.
    lengths: Vec<usize>,
}

impl Fields for Measured {
    fn message(&mut self, _tag: u8, fields: impl FnOnce(&mut Self)) {
        let place = self.lengths.len();
        self.lengths.push(0);
        let before = self.bytes;
        fields(self);
        let length = self.bytes - before;
        if let Some(place) = self.lengths.get_mut(place) {
            *place = length;
        }
        self.bytes += 1 + varint_len(length as u64);
    }

    fn bytes(&mut self, _tag: u8, value: &[u8]) {
        self.bytes += 1 + varint_len(value.len() as u64) + value.len();
    }

    fn varint(&mut self, _tag: u8, value: u64) {
        self.bytes += 1 + varint_len(value);
    }

    fn fixed64(&mut self, _tag: u8, wire: [u8; 8]) {
        self.bytes += 1 + wire.len();
    }
}

/// The second pass.
struct Written {
    bytes: Vec<u8>,
    lengths: std::vec::IntoIter<usize>,
}

impl Written {
    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

impl Fields for Written {
    fn message(&mut self, tag: u8, fields: impl FnOnce(&mut Self)) {
        let length = self.lengths.next();
        debug_assert!(length.is_some(), "both passes see the same messages");
        self.bytes.push(key(tag, LENGTH_DELIMITED));
        self.put_varint(length.unwrap_or_default() as u64);
        fields(self);
    }

    fn bytes(&mut self, tag: u8, value: &[u8]) {
        self.bytes.push(key(tag, LENGTH_DELIMITED));
        self.put_varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    fn varint(&mut self, tag: u8, value: u64) {
        self.bytes.push(key(tag, VARINT));
        self.put_varint(value);
    }

    fn fixed64(&mut self, tag: u8, wire: [u8; 8]) {
        self.bytes.push(key(tag, FIXED64));
        self.bytes.extend_from_slice(&wire);
    }
}

/// Seven bits to a byte.
fn varint_len(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

/// `ResourceSpans.scope_spans`, a `ScopeSpans`: the scope, then the spans.
fn record(out: &mut impl Fields, trace: &Trace) {
    out.message(SCOPE_SPANS, |out| {
        out.message(1, |out| {
            out.bytes(1, b"offpath");
            out.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
        });
        for span in &trace.spans {
            out.message(2, |out| span_fields(out, trace, span));
        }
    });
}

/// `Span`.
fn span_fields(out: &mut impl Fields, trace: &Trace, span: &Span) {
    out.bytes(1, trace.id.as_bytes());
    out.bytes(2, span.id.as_bytes());
    if let Some(parent) = &span.parent {
        out.bytes(4, parent.as_bytes());
    }
    out.some_bytes(5, span.name.as_bytes());
    let kind = match span.kind {
        SpanKind::Server => KIND_SERVER,
        SpanKind::Client => KIND_CLIENT,
    };
    out.varint(6, kind.unsigned_abs().into());
    for (tag, time) in [(7, span.start), (8, span.end)] {
        match unix_nanos(time) {
            0 => {}
            nanos => out.fixed64(tag, nanos.to_le_bytes()),
        }
    }
    for (key, value) in &span.attributes {
        out.message(9, |out| {
            out.bytes(1, key.as_bytes());
            out.message(2, |out| any_value(out, value));
        });
    }
    for Link { trace_id, span_id } in &span.links {
        out.message(13, |out| {
            out.bytes(1, trace_id.as_bytes());
            out.bytes(2, span_id.as_bytes());
        });
    }
    out.message(15, |out| {
        let code = match &span.status {
            Status::Ok => STATUS_OK,
            Status::Error(message) => {
                out.some_bytes(2, message.as_bytes());
                STATUS_ERROR
            }
        };
        out.varint(3, code.unsigned_abs().into());
    });
}

/// `AnyValue`. Its fields are a choice of one, so zero and empty are said, too.
fn any_value(out: &mut impl Fields, value: &Value) {
    match value {
        Value::Text(text) => out.bytes(1, text.as_bytes()),
        Value::Bool(truth) => out.varint(2, u64::from(*truth)),
        // Two's complement in 64 bits (protobuf's `int64`).
        Value::Int(number) => out.varint(3, number.cast_unsigned()),
        Value::Float(number) => out.fixed64(4, number.to_le_bytes()),
        Value::Texts(texts) => out.message(5, |out| {
            for text in texts {
                out.message(1, |out| out.bytes(1, text.as_bytes()));
            }
        }),
    }
}

/// Zero for a clock before 1970, which OTLP cannot say.
fn unix_nanos(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use offpath_trace::{Counts, SpanId, TraceId};
    use prost::Message;

    use super::*;
    use crate::otlp::proto::ResourceSpans;

    /// Spans with all there is to say, and with nothing.
    fn trace(attributes: Vec<(&'static str, Value)>) -> Trace {
        let start = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_001);
        let id = TraceId::from_random(7);
        let attributes = attributes.into_iter();
        let root = Span {
            id: SpanId::from_random(1),
            parent: None,
            links: vec![Link {
                trace_id: TraceId::from_random(8),
                span_id: SpanId::from_random(9),
            }],
            name: "root".into(),
            kind: SpanKind::Server,
            start,
            end: start + Duration::from_secs(1),
            status: Status::Error("oh".to_owned()),
            attributes: attributes.map(|(key, value)| (key.into(), value)).collect(),
        };
        let bare = Span {
            id: SpanId::from_random(2),
            parent: Some(root.id),
            links: Vec::new(),
            name: "".into(),
            kind: SpanKind::Client,
            start: SystemTime::UNIX_EPOCH,
            end: SystemTime::UNIX_EPOCH,
            status: Status::Error(String::new()),
            attributes: Vec::new(),
        };
        Trace {
            id,
            spans: vec![root, bare],
            info: None,
            redactions: Counts::default(),
            hard: false,
        }
    }

    /// Another program reads the record, and writes the same bytes.
    #[track_caller]
    fn check(attributes: Vec<(&'static str, Value)>) {
        let trace = trace(attributes);
        let encodable = Encodable::new(&trace);
        let len = encodable.len();
        let record = encodable.encode();
        assert_eq!(record.len(), len);
        let read = ResourceSpans::decode(record.clone()).unwrap();
        assert_eq!(read.encode_to_vec(), record);
        let spans = &read.scope_spans[0].spans;
        assert_eq!(spans.len(), 2);
        assert_eq!(spans[0].attributes.len(), trace.spans[0].attributes.len());
    }

    /// OpenTelemetry's own messages, which owe nothing to this crate.
    mod theirs {
        pub(super) use opentelemetry_proto::tonic::common::v1::any_value::Value;
        pub(super) use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
        pub(super) use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
        pub(super) use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
        pub(super) use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
    }

    fn read(trace: &Trace) -> Vec<theirs::Span> {
        let record = Encodable::new(trace).encode();
        let read = theirs::ResourceSpans::decode(record).unwrap();
        let scopes = read.scope_spans.into_iter();
        scopes.flat_map(|scope| scope.spans).collect()
    }

    #[test]
    fn opentelemetrys_own_reader_finds_every_value_where_it_belongs() {
        let spans = read(&trace(Vec::new()));
        let [root, bare] = &spans[..] else {
            panic!("{spans:#?}")
        };
        assert_eq!(root.trace_id, TraceId::from_random(7).as_bytes());
        assert_eq!(root.span_id, SpanId::from_random(1).as_bytes());
        assert!(root.parent_span_id.is_empty());
        assert_eq!(root.name, "root");
        assert_eq!(root.kind(), theirs::SpanKind::Server);
        assert_eq!(root.start_time_unix_nano, 1_700_000_000_000_000_001);
        assert_eq!(root.end_time_unix_nano, 1_700_000_001_000_000_001);
        let status = root.status.as_ref().unwrap();
        assert_eq!(status.code(), theirs::StatusCode::Error);
        assert_eq!(status.message, "oh");
        let [link] = &root.links[..] else {
            panic!("{root:#?}")
        };
        assert_eq!(link.trace_id, TraceId::from_random(8).as_bytes());
        assert_eq!(link.span_id, SpanId::from_random(9).as_bytes());
        assert_eq!(bare.trace_id, root.trace_id);
        assert_eq!(bare.parent_span_id, root.span_id);
        assert_eq!(bare.kind(), theirs::SpanKind::Client);
        assert_eq!((bare.start_time_unix_nano, bare.end_time_unix_nano), (0, 0));
        let mut fine = trace(Vec::new());
        fine.spans[0].status = Status::Ok;
        let status = read(&fine)[0].status.clone().unwrap();
        assert_eq!(
            (status.code(), &*status.message),
            (theirs::StatusCode::Ok, "")
        );
    }

    #[test]
    fn opentelemetrys_own_reader_finds_every_kind_of_attribute() {
        use theirs::Value as Theirs;
        let texts = |texts: &[&str]| {
            let value = |text: &&str| theirs::AnyValue {
                value: Some(Theirs::StringValue((*text).into())),
            };
            let values = texts.iter().map(value).collect();
            Theirs::ArrayValue(theirs::ArrayValue { values })
        };
        let rows: [(&'static str, Value, Theirs); 10] = [
            ("text", "wörds".into(), Theirs::StringValue("wörds".into())),
            ("empty", "".into(), Theirs::StringValue(String::new())),
            ("true", true.into(), Theirs::BoolValue(true)),
            ("false", false.into(), Theirs::BoolValue(false)),
            ("zero", 0.into(), Theirs::IntValue(0)),
            ("less", (-1).into(), Theirs::IntValue(-1)),
            ("most", i64::MAX.into(), Theirs::IntValue(i64::MAX)),
            ("half", 0.5.into(), Theirs::DoubleValue(0.5)),
            ("none", Value::Texts(Vec::new()), texts(&[])),
            (
                "some",
                Value::Texts(vec!["a".into(), "".into()]),
                texts(&["a", ""]),
            ),
        ];
        let given = rows.iter().map(|(key, value, _)| (*key, value.clone()));
        let spans = read(&trace(given.collect()));
        let found = spans[0].attributes.iter().map(|attribute| {
            let value = attribute.value.as_ref().unwrap();
            (&*attribute.key, value.value.clone().unwrap())
        });
        let expect = rows.iter().map(|(key, _, value)| (*key, value.clone()));
        assert_eq!(found.collect::<Vec<_>>(), expect.collect::<Vec<_>>());
    }

    #[test]
    fn a_record_is_what_the_schemas_own_encoder_makes_of_it() {
        check(Vec::new());
        check(vec![
            ("text", "words".into()),
            ("empty", "".into()),
            ("true", true.into()),
            ("false", false.into()),
            ("zero", 0.into()),
            ("less", (-1).into()),
            ("most", i64::MAX.into()),
            ("half", 0.5.into()),
            ("none", Value::Texts(Vec::new())),
            ("some", Value::Texts(vec!["a".into(), "".into()])),
        ]);
    }

    #[test]
    fn lengths_of_every_width_are_told() {
        for bytes in [
            0, 1, 100, 119, 120, 121, 125, 126, 127, 128, 16_370, 16_383, 16_384, 3_000_000,
        ] {
            check(vec![("text", "x".repeat(bytes).into())]);
        }
    }
}
