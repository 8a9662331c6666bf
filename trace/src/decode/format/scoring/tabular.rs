//! Frames and tensors in JSON.

use crate::decode::body::Document;
use crate::decode::format::statistics::{Statistic, column};
use crate::decode::json::{Kind, Member, Outline, Raw};
use crate::decode::text;

use super::types::Type;
use super::{COLUMN_BYTES_MAX, COLUMNS_MAX, Frame, ROWS_LOOKED_AT};

/// A name longer than this is cut, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Tensors of more axes than this are measured along the first ones.
const AXES_MAX: usize = 8;

/// What stands under `key` of a JSON body, if it is there. Predictions may be the whole body,
/// as MLflow 1 sent them.
pub(super) fn frame(document: &Document, key: &'static str, statistics: bool) -> Option<Frame> {
    let outline = document.outline()?;
    let bytes = &document.bytes;
    if key == "predictions" && outline.kind == Kind::Array {
        let whole = outline.fault.is_none().then_some(outline.len);
        let list = Raw(bytes.trim_ascii());
        return Some(Frame {
            format: key,
            statistics: if statistics {
                of_rows(list)
            } else {
                Vec::new()
            },
            ..rows(list, whole)
        });
    }
    let member = outline.member(bytes, key)?;
    let value = member.raw(bytes)?;
    let mut frame = match (key, value.kind()) {
        ("dataframe_split", _) => split(outline, bytes),
        (_, Kind::Object) => named(outline, bytes, key, member),
        (_, Kind::Array) => rows(value, known(member)),
        _ => Frame::default(),
    };
    frame.format = key;
    if statistics {
        frame.statistics = match (key, value.kind()) {
            ("dataframe_split", _) => {
                let data = outline.inner(bytes, "dataframe_split", "data");
                data.and_then(|data| data.raw(bytes))
                    .map_or_else(Vec::new, of_rows)
            }
            (_, Kind::Object) => of_named(outline, bytes, key),
            _ => of_rows(value),
        };
    }
    Some(frame)
}

/// What the columns of rows are like.
fn of_rows(list: Raw<'_>) -> Vec<Statistic> {
    let mut columns = Vec::new();
    let mut keys: Vec<&[u8]> = Vec::new();
    for row in list.elements() {
        match row.kind() {
            Kind::Array => {
                for (at, cell) in row.cells().enumerate().take(COLUMNS_MAX) {
                    if let Some(like) = column(&mut columns, at, COLUMNS_MAX) {
                        like.add_cell(cell);
                    }
                }
            }
            Kind::Object => {
                for (place, (key, cell)) in row.entries().enumerate().take(COLUMNS_MAX) {
                    // Rows have their cells in one order, as a rule.
                    let here = keys.get(place).is_some_and(|known| *known == key);
                    let known = || keys.iter().position(|known| *known == key);
                    let at = if here { Some(place) } else { known() };
                    let at = at.unwrap_or(keys.len());
                    if at == keys.len() && at < COLUMNS_MAX {
                        keys.push(key);
                    }
                    if let Some(like) = column(&mut columns, at, COLUMNS_MAX) {
                        like.add(cell);
                    }
                }
            }
            _ => {
                if let Some(like) = column(&mut columns, 0, COLUMNS_MAX) {
                    like.add(row);
                }
            }
        }
    }
    columns
}

/// What columns that are given by name are like.
fn of_named(outline: &Outline, bytes: &[u8], key: &str) -> Vec<Statistic> {
    let members = outline.inner_members(bytes, key).take(COLUMNS_MAX);
    let like = |member: &Member| {
        let mut like = Statistic::default();
        if let Some(values) = member.raw(bytes) {
            like.add(values);
        }
        like
    };
    members.map(like).collect()
}

/// `{"columns": [...], "index": [...], "data": [[...], ...]}`.
fn split(outline: &Outline, bytes: &[u8]) -> Frame {
    let inner = |name| outline.inner(bytes, "dataframe_split", name);
    let (data, columns) = (inner("data"), inner("columns"));
    let cells = data.and_then(|data| data.raw(bytes));
    let mut frame = cells.map_or_else(Frame::default, |cells| rows(cells, None));
    // pandas writes the index before the data: it tells how many rows there were before the cut.
    let count = data
        .and_then(known)
        .or_else(|| inner("index").and_then(known));
    let width = columns
        .and_then(known)
        .or_else(|| frame.shape.get(1).copied().flatten());
    frame.shape = vec![count, width];
    if let Some(columns) = columns.and_then(|columns| columns.raw(bytes)) {
        frame.columns = names(columns.elements().map(|name| match name.text() {
            Some(name) => name.into_owned(),
            None => String::from_utf8_lossy(name.0).into_owned(),
        }));
    }
    frame
}

/// Columns by name, each a list; a value that is no list is a single cell.
fn named(outline: &Outline, bytes: &[u8], key: &str, member: &Member) -> Frame {
    let members = || outline.inner_members(bytes, key).take(COLUMNS_MAX);
    let first = members().next();
    let lists = first
        .and_then(|first| first.raw(bytes))
        .is_some_and(|raw| raw.kind() == Kind::Array);
    let count = if lists { first.and_then(known) } else { None };
    let types = members().map(|member| match member.raw(bytes) {
        Some(raw) if raw.kind() == Kind::Array => {
            let cells = raw.elements().take(ROWS_LOOKED_AT).map(Type::of_json);
            cells.fold(Type::Null, Type::and).as_str()
        }
        Some(raw) => Type::of_json(raw).as_str(),
        None => Type::Null.as_str(),
    });
    let columns = names(members().map(|member| key_text(member.key(bytes))));
    Frame {
        shape: vec![if lists { count } else { Some(1) }, known(member)],
        types: types.take(columns.len()).collect(),
        columns,
        ..Frame::default()
    }
}

/// A list of rows: each a list of cells, an object with named cells, or a single cell.
fn rows(list: Raw<'_>, count: Option<usize>) -> Frame {
    let mut types: Vec<Type> = Vec::new();
    let mut columns: Vec<String> = Vec::new();
    let mut width = None;
    for row in list.elements().take(ROWS_LOOKED_AT) {
        match row.kind() {
            Kind::Object => {
                for (key, cell) in row.entries().take(COLUMNS_MAX) {
                    let name = key_text(key);
                    let at = columns.iter().position(|known| *known == name);
                    let at = at.unwrap_or(columns.len());
                    if at == columns.len() && at < COLUMNS_MAX {
                        columns.push(name);
                    }
                    add(&mut types, at, Type::of_json(cell));
                }
                width = width.max(Some(columns.len().max(row.entries().count())));
            }
            Kind::Array => {
                for (at, cell) in row.elements().enumerate().take(COLUMNS_MAX) {
                    add(&mut types, at, Type::of_json(cell));
                }
                width = width.or_else(|| Some(row.elements().count()));
            }
            _ => add(&mut types, 0, Type::of_json(row)),
        }
    }
    let mut shape = vec![count];
    shape.extend(width.map(Some));
    if columns.is_empty() && width.is_some() {
        shape.extend(inner_axes(list).into_iter().map(Some));
    }
    let columns = names(columns.into_iter());
    Frame {
        shape,
        columns,
        types: types.into_iter().map(Type::as_str).collect(),
        ..Frame::default()
    }
}

/// The axes below the second, along the first element of each.
fn inner_axes(list: Raw<'_>) -> Vec<usize> {
    let mut axes = Vec::new();
    let mut cell = list.elements().next().and_then(|row| row.elements().next());
    while let Some(raw) = cell.filter(|raw| raw.kind() == Kind::Array)
        && axes.len() + 2 < AXES_MAX
    {
        axes.push(raw.elements().count());
        cell = raw.elements().next();
    }
    axes
}

fn add(types: &mut Vec<Type>, at: usize, cell: Type) {
    if at >= COLUMNS_MAX {
        return;
    }
    if types.len() <= at {
        types.resize(at + 1, Type::Null);
    }
    if let Some(column) = types.get_mut(at) {
        *column = column.and(cell);
    }
}

/// The first names, as many as fit.
pub(super) fn names(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut room = COLUMN_BYTES_MAX;
    let short = names.map(|name| text::cut(&name, NAME_BYTES_MAX).to_owned());
    let fits = |name: &String| {
        let left = room.checked_sub(name.len());
        room = left.unwrap_or(0);
        left.is_some()
    };
    short.take(COLUMNS_MAX).take_while(fits).collect()
}

/// A key as written between its quotes, made readable.
fn key_text(key: &[u8]) -> String {
    let quoted = [b"\"", key, b"\""].concat();
    match Raw(&quoted).text() {
        Some(name) => name.into_owned(),
        None => String::from_utf8_lossy(key).into_owned(),
    }
}

/// How many children it has, where all of them were seen.
fn known(member: &Member) -> Option<usize> {
    member.whole.then_some(member.len)
}
