//! What the numbers of a column are like, without its values: how many are missing, the least,
//! the greatest and the mean. Truths are numbers, 0 and 1: their mean is the share of true ones.

use std::fmt::Write;

use crate::decode::json::{Cell, Kind, Raw, quoted};

/// Lists in lists are looked into this deep: a tensor's axes.
const AXES_MAX: u8 = 16;

/// One column, or one tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Statistic {
    /// Values, missing ones too.
    count: u64,
    /// Missing values: `null`, or `NaN` as pandas writes them.
    nulls: u64,
    /// Of the numbers among them.
    numbers: u64,
    min: f64,
    max: f64,
    sum: f64,
}

impl Statistic {
    /// Adds a value of JSON; of a list, all that is in it.
    pub(super) fn add(&mut self, value: Raw<'_>) {
        self.add_within(value, 0);
    }

    /// Adds an element of a row.
    pub(super) fn add_cell(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Number(number) => self.add_number(number),
            Cell::Other(value) => self.add(value),
        }
    }

    /// Adds a cell of CSV.
    pub(super) fn add_text(&mut self, cell: &str) {
        match cell.trim() {
            "" | "NaN" | "nan" | "NA" | "null" => self.add_missing(),
            "True" | "true" => self.add_number(1.0),
            "False" | "false" => self.add_number(0.0),
            text => match text.parse() {
                Ok(number) => self.add_number(number),
                Err(_) => self.add_other(),
            },
        }
    }

    /// Adds a number.
    pub(super) fn add_number(&mut self, number: f64) {
        if number.is_nan() {
            return self.add_missing();
        }
        if self.numbers == 0 {
            (self.min, self.max) = (number, number);
        }
        self.count += 1;
        self.numbers += 1;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        self.sum += number;
    }

    /// Counts a value that is there and no number.
    pub(super) fn add_other(&mut self) {
        self.count += 1;
    }

    fn add_missing(&mut self) {
        self.count += 1;
        self.nulls += 1;
    }

    fn add_within(&mut self, value: Raw<'_>, depth: u8) {
        match value.kind() {
            Kind::Null => self.add_missing(),
            Kind::Array if depth < AXES_MAX => {
                for cell in value.cells() {
                    match cell {
                        Cell::Number(number) => self.add_number(number),
                        Cell::Other(value) => self.add_within(value, depth + 1),
                    }
                }
            }
            Kind::Number => match value.float() {
                Some(number) => self.add_number(number),
                None if value.0 == b"NaN" => self.add_missing(),
                None => self.add_other(),
            },
            Kind::Bool => self.add_number(f64::from(u8::from(value.truth() == Some(true)))),
            _ => self.add_other(),
        }
    }

    fn write(&self, name: Option<&str>, json: &mut String) {
        json.push('{');
        if let Some(name) = name {
            json.push_str("\"name\":");
            json.push_str(&quoted(name));
            json.push(',');
        }
        let mut written = write!(json, "\"count\":{},\"nulls\":{}", self.count, self.nulls);
        if self.numbers > 0 {
            let mean = self.sum / self.numbers as f64;
            for (key, value) in [("min", self.min), ("max", self.max), ("mean", mean)] {
                if value.is_finite() {
                    written = written.and_then(|()| write!(json, ",\"{key}\":{value}"));
                }
            }
        }
        debug_assert!(written.is_ok(), "a string takes all that is written to it");
        json.push('}');
    }
}

/// Columns as a JSON list, with their names where they have names.
pub(super) fn json(columns: &[Statistic], names: &[String]) -> String {
    let mut json = String::from("[");
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        column.write(names.get(at).map(String::as_str), &mut json);
    }
    json.push(']');
    json
}

/// The column at `at`, which may be a new one; `None` beyond `columns_max`.
pub(super) fn column(
    columns: &mut Vec<Statistic>,
    at: usize,
    columns_max: usize,
) -> Option<&mut Statistic> {
    if at >= columns_max {
        return None;
    }
    if columns.len() <= at {
        columns.resize(at + 1, Statistic::default());
    }
    columns.get_mut(at)
}
