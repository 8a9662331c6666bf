//! The outline of a JSON table: how many rows and how wide, without keeping a cell.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One level of JSON, its members skipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outline {
    Scalar,
    /// A list of so many members.
    List(usize),
    /// An object.
    Object,
}

/// Two levels of JSON: a list of rows, or columns by name.
#[derive(Debug, PartialEq)]
pub(super) struct Table {
    pub(super) rows: usize,
    /// The first row (a list of rows), or the first column (columns by name).
    pub(super) first: Option<Outline>,
    /// The index of the first row that is not like the first one, and its outline.
    pub(super) odd: Option<(usize, Outline)>,
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OutlineVisitor)
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TableVisitor)
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Outline, A::Error> {
        let mut len = 0;
        while members.next_element::<IgnoredAny>()?.is_some() {
            len += 1;
        }
        Ok(Outline::List(len))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Outline, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Outline::Object)
    }
}

struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = Table;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows, or columns by name")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Table, A::Error> {
        let mut table = Table {
            rows: 0,
            first: None,
            odd: None,
        };
        while let Some(row) = rows.next_element()? {
            match table.first {
                None => table.first = Some(row),
                Some(first) if first != row && table.odd.is_none() => {
                    table.odd = Some((table.rows, row));
                }
                Some(_) => {}
            }
            table.rows += 1;
        }
        Ok(table)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut columns: A) -> Result<Table, A::Error> {
        let mut first = None;
        while let Some((_, column)) = columns.next_entry::<IgnoredAny, Outline>()? {
            let first = *first.get_or_insert(column);
            if first != column {
                return Err(A::Error::custom("columns differ in length"));
            }
        }
        let rows = match first {
            Some(Outline::List(len)) => len,
            Some(Outline::Scalar | Outline::Object) => 1,
            None => 0,
        };
        Ok(Table {
            rows,
            first,
            odd: None,
        })
    }
}
