//! OTLP protobuf: its messages, as they are read back, and what goes around a record.
//!
//! Source: opentelemetry-proto 1.10, `opentelemetry/proto/{trace,common,resource}/v1`. Only the
//! fields that offpath sets are declared; the numbers are theirs. Strings are declared as
//! `bytes`, which the wire cannot tell apart, so that what is read shares the record's bytes.
//!
//! A trace is encoded once, by `otlp_write`, as one `ResourceSpans.scope_spans` field, tag and length included.
//! What goes around it differs by sink and is put there by [`frame`], so a batch is a
//! concatenation, and splitting one encodes nothing again. The resource differs because MLflow
//! turns every resource attribute into a tag: its traces carry none, other backends need
//! `service.name`.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, message};

/// `ResourceSpans.scope_spans`.
pub(crate) const SCOPE_SPANS: u8 = 2;
/// `ExportTraceServiceRequest.resource_spans`.
const RESOURCE_SPANS: u32 = 1;
/// `ResourceSpans.resource`.
const RESOURCE: u32 = 1;

/// What [`frame`] adds at most, besides the resource: a tag and a length.
pub(crate) const FRAME_BYTES_MAX: usize = 11;

/// The `ResourceSpans.resource` field that says who sends, for backends that group by it.
pub(crate) fn service_resource() -> Bytes {
    let resource = proto::Resource {
        attributes: vec![proto::KeyValue {
            key: Bytes::from_static(b"service.name"),
            value: Some(proto::AnyValue {
                value: Some(proto::Any::String(Bytes::from_static(b"offpath"))),
            }),
        }],
    };
    let mut field = Vec::new();
    message::encode(RESOURCE, &resource, &mut field);
    field.into()
}

/// Puts what makes a record one `resource_spans` field of a request in front of it.
pub(crate) fn frame(resource: &[u8], record_bytes: usize, out: &mut BytesMut) {
    encode_key(RESOURCE_SPANS, WireType::LengthDelimited, out);
    encode_varint((resource.len() + record_bytes) as u64, out);
    out.put_slice(resource);
}

/// The messages, by the names of the `.proto` files.
pub(crate) mod proto {
    use super::{Bytes, Message};

    /// `Span.SpanKind`.
    pub(crate) const KIND_SERVER: i32 = 2;
    pub(crate) const KIND_CLIENT: i32 = 3;
    /// `Status.StatusCode`.
    pub(crate) const STATUS_OK: i32 = 1;
    pub(crate) const STATUS_ERROR: i32 = 2;

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Resource {
        #[prost(message, repeated, tag = "1")]
        pub(crate) attributes: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct ScopeSpans {
        #[prost(message, optional, tag = "1")]
        pub(crate) scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        pub(crate) spans: Vec<Span>,
    }

    /// `InstrumentationScope`.
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Scope {
        #[prost(bytes = "bytes", tag = "1")]
        pub(crate) name: Bytes,
        #[prost(bytes = "bytes", tag = "2")]
        pub(crate) version: Bytes,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Span {
        #[prost(bytes = "bytes", tag = "1")]
        pub(crate) trace_id: Bytes,
        #[prost(bytes = "bytes", tag = "2")]
        pub(crate) span_id: Bytes,
        #[prost(bytes = "bytes", tag = "4")]
        pub(crate) parent_span_id: Bytes,
        #[prost(bytes = "bytes", tag = "5")]
        pub(crate) name: Bytes,
        #[prost(int32, tag = "6")]
        pub(crate) kind: i32,
        #[prost(fixed64, tag = "7")]
        pub(crate) start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")]
        pub(crate) end_time_unix_nano: u64,
        #[prost(message, repeated, tag = "9")]
        pub(crate) attributes: Vec<KeyValue>,
        #[prost(message, repeated, tag = "13")]
        pub(crate) links: Vec<Link>,
        #[prost(message, optional, tag = "15")]
        pub(crate) status: Option<Status>,
    }

    /// `Span.Link`.
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Link {
        #[prost(bytes = "bytes", tag = "1")]
        pub(crate) trace_id: Bytes,
        #[prost(bytes = "bytes", tag = "2")]
        pub(crate) span_id: Bytes,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Status {
        #[prost(bytes = "bytes", tag = "2")]
        pub(crate) message: Bytes,
        #[prost(int32, tag = "3")]
        pub(crate) code: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct KeyValue {
        #[prost(bytes = "bytes", tag = "1")]
        pub(crate) key: Bytes,
        #[prost(message, optional, tag = "2")]
        pub(crate) value: Option<AnyValue>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct AnyValue {
        #[prost(oneof = "Any", tags = "1, 2, 3, 4, 5")]
        pub(crate) value: Option<Any>,
    }

    /// `AnyValue.value`.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Any {
        #[prost(bytes = "bytes", tag = "1")]
        String(Bytes),
        #[prost(bool, tag = "2")]
        Bool(bool),
        #[prost(int64, tag = "3")]
        Int(i64),
        #[prost(double, tag = "4")]
        Double(f64),
        #[prost(message, tag = "5")]
        Array(ArrayValue),
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct ArrayValue {
        #[prost(message, repeated, tag = "1")]
        pub(crate) values: Vec<AnyValue>,
    }

    /// What a sink is sent; here only to be read back.
    #[cfg(test)]
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct ExportTraceServiceRequest {
        #[prost(message, repeated, tag = "1")]
        pub(crate) resource_spans: Vec<ResourceSpans>,
    }

    #[cfg(test)]
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct ResourceSpans {
        #[prost(message, optional, tag = "1")]
        pub(crate) resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub(crate) scope_spans: Vec<ScopeSpans>,
    }
}
