//! The shape of a JSON table: its number of rows and their width, without storing the cells.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The shape of one JSON value; its members are skipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Scalar,
    /// A list with this number of members.
    List(usize),
    Object,
}

/// The shape of a table: a list of rows, or an object of columns.
#[derive(Debug, PartialEq)]
pub(super) struct TableShape {
    pub(super) rows: usize,
    /// Shape of the first row, or of the first column of an object of columns.
    pub(super) first: Option<Shape>,
    /// Index and shape of the first row whose shape differs from the first one's.
    pub(super) first_mismatch: Option<(usize, Shape)>,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

impl<'de> Deserialize<'de> for TableShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TableShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Shape, A::Error> {
        let mut len = 0;
        while members.next_element::<IgnoredAny>()?.is_some() {
            len += 1;
        }
        Ok(Shape::List(len))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Shape, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Shape::Object)
    }
}

struct TableShapeVisitor;

impl<'de> Visitor<'de> for TableShapeVisitor {
    type Value = TableShape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows, or columns by name")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<TableShape, A::Error> {
        let mut table = TableShape {
            rows: 0,
            first: None,
            first_mismatch: None,
        };
        while let Some(row) = rows.next_element()? {
            match table.first {
                None => table.first = Some(row),
                Some(first) if first != row && table.first_mismatch.is_none() => {
                    table.first_mismatch = Some((table.rows, row));
                }
                Some(_) => {}
            }
            table.rows += 1;
        }
        Ok(table)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut columns: A) -> Result<TableShape, A::Error> {
        let mut first = None;
        while let Some((_, column)) = columns.next_entry::<IgnoredAny, Shape>()? {
            let first = *first.get_or_insert(column);
            if first != column {
                return Err(A::Error::custom("columns differ in length"));
            }
        }
        let rows = match first {
            Some(Shape::List(len)) => len,
            Some(Shape::Scalar | Shape::Object) => 1,
            None => 0,
        };
        Ok(TableShape {
            rows,
            first,
            first_mismatch: None,
        })
    }
}
