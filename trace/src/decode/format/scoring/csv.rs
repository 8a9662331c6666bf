//! Frames in CSV (RFC 4180), first line the names.

use crate::decode::body::{Document, Shape};
use crate::decode::format::statistics::column;

use super::types::Type;
use super::{COLUMNS_MAX, Frame, ROWS_LOOKED_AT, tabular};

/// The frame in a CSV body.
pub(super) fn frame(document: &Document, statistics: bool) -> Option<Frame> {
    if !matches!(document.shape, Shape::Text) {
        return None;
    }
    let text = document.text();
    let text = text.as_str();
    let mut rest = text;
    let header = next_record(&mut rest);
    let width = cells(header).count();
    let columns = tabular::names(cells(header).map(unquoted));
    let mut types = vec![Type::Null; width.min(COLUMNS_MAX)];
    let mut count = 0;
    let mut columns_like = Vec::new();
    while !rest.is_empty() {
        let record = next_record(&mut rest);
        if count < ROWS_LOOKED_AT {
            for (column, cell) in types.iter_mut().zip(cells(record)) {
                *column = column.and(Type::of_csv(&unquoted(cell)));
            }
        }
        if statistics && !record.is_empty() {
            for (at, cell) in cells(record).enumerate().take(COLUMNS_MAX) {
                if let Some(like) = column(&mut columns_like, at, COLUMNS_MAX) {
                    like.add_text(&unquoted(cell));
                }
            }
        }
        count += usize::from(!record.is_empty());
    }
    Some(Frame {
        format: "csv",
        shape: vec![(!document.cut).then_some(count), Some(width)],
        types: types.into_iter().map(Type::as_str).collect(),
        columns,
        statistics: columns_like,
        ..Frame::default()
    })
}

/// Takes one record, without its line end; line ends between quotes are part of a cell.
fn next_record<'a>(rest: &mut &'a str) -> &'a str {
    let bytes = rest.as_bytes();
    let mut quoted = false;
    let mut from = 0;
    let end = loop {
        let Some(skip) = bytes
            .get(from..)
            .and_then(|tail| memchr::memchr2(b'"', b'\n', tail))
        else {
            break bytes.len();
        };
        let at = from + skip;
        match bytes.get(at) {
            Some(b'\n') if !quoted => break at,
            Some(b'"') => quoted = !quoted,
            _ => {}
        }
        from = at + 1;
    };
    let (record, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
    *rest = tail.get(1..).unwrap_or_default();
    record.strip_suffix('\r').unwrap_or(record)
}

/// The cells of a record, quotes and all.
fn cells(record: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    record.split(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    })
}

fn unquoted(cell: &str) -> String {
    match cell
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(inner) => inner.replace("\"\"", "\""),
        None => cell.to_owned(),
    }
}
