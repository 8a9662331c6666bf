//! A record's body on disk: what MLflow is told besides (its length, then itself), then the trace.

use bytes::{Buf, Bytes};

/// Both in one.
pub(crate) fn seal(info: Option<&Bytes>, trace: &[u8]) -> Vec<u8> {
    let info = info.map(|info| &**info).unwrap_or_default();
    let mut body = Vec::with_capacity(4 + info.len() + trace.len());
    let length = u32::try_from(info.len()).unwrap_or(0);
    body.extend_from_slice(&length.to_le_bytes());
    if length > 0 {
        body.extend_from_slice(info);
    }
    body.extend_from_slice(trace);
    body
}

/// What is told besides, and the trace. Its checksum was right, so it is what [`seal`] made.
pub(crate) fn open(body: Vec<u8>) -> (Option<Bytes>, Bytes) {
    let mut rest = Bytes::from(body);
    let length = rest.try_get_u32_le().unwrap_or(0);
    let length = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .min(rest.len());
    let info = rest.split_to(length);
    ((!info.is_empty()).then_some(info), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened() {
        for info in [None, Some(Bytes::from_static(b"{}"))] {
            let opened = open(seal(info.as_ref(), b"trace"));
            assert_eq!(opened, (info, Bytes::from_static(b"trace")));
        }
        assert_eq!(open(Vec::new()), (None, Bytes::new()));
        assert_eq!(
            open(vec![9, 0, 0, 0, 1]),
            (Some(Bytes::from_static(&[1])), Bytes::new())
        );
    }
}
