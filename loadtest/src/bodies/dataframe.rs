//! Generated DataFrames in MLflow's `dataframe_split` form, with mixed types and missing cells as
//! production traffic has them.

use std::fmt::Write as _;
use std::str::FromStr;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::WORDS;

const HINT: &str = "writing to a string cannot fail";

/// The type of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// A floating point number in -1000..1000, four decimals.
    Float,
    /// A whole number from 0 to 99,999.
    Int,
    /// A word as a string.
    Text,
    /// A timestamp of 2026 with a resolution of one second (ISO 8601).
    Time,
    /// A boolean.
    Bool,
}

/// The shape and the types of a generated DataFrame.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFrame {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns. Their types cycle through `types`.
    pub cols: usize,
    /// Column types, at least one.
    pub types: Vec<Column>,
    /// Fraction of cells that are null, from 0 to 1.
    pub missing: f64,
}

impl DataFrame {
    /// A DataFrame of floating-point numbers without missing cells.
    #[must_use]
    pub fn floats(rows: usize, cols: usize) -> Self {
        Self {
            rows,
            cols,
            types: vec![Column::Float],
            missing: 0.0,
        }
    }

    /// Generates the request body. The same seed gives the same bytes.
    #[must_use]
    pub fn body(&self, seed: u64) -> Bytes {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (rows, cols) = (self.rows, self.cols);
        let mut out = String::with_capacity(64 + cols * 8 + rows * (cols * 10 + 3));
        out.push_str(r#"{"dataframe_split":{"columns":["#);
        for col in 0..cols {
            let comma = if col == 0 { "" } else { "," };
            write!(out, r#"{comma}"c{col}""#).expect(HINT);
        }
        out.push_str(r#"],"data":["#);
        for row in 0..rows {
            out.push_str(if row == 0 { "[" } else { ",[" });
            for (col, column) in (0..cols).zip(self.types.iter().cycle()) {
                if col > 0 {
                    out.push(',');
                }
                if self.missing > 0.0 && rng.random::<f64>() < self.missing {
                    out.push_str("null");
                } else {
                    column.write(&mut out, &mut rng);
                }
            }
            out.push(']');
        }
        out.push_str("]}}");
        Bytes::from(out)
    }
}

impl Column {
    fn write(self, out: &mut String, rng: &mut SmallRng) {
        match self {
            Self::Float => {
                let value: f64 = rng.random_range(-1000.0..1000.0);
                write!(out, "{value:.4}")
            }
            Self::Int => write!(out, "{}", rng.random_range(0..100_000)),
            Self::Text => {
                let word = WORDS.choose(rng).expect("WORDS is not empty");
                write!(out, "\"{word}\"")
            }
            Self::Time => {
                let (month, day) = (rng.random_range(1..=12), rng.random_range(1..=28));
                let (hour, minute) = (rng.random_range(0..24), rng.random_range(0..60));
                let second = rng.random_range(0..60);
                write!(
                    out,
                    "\"2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}\""
                )
            }
            Self::Bool => write!(out, "{}", rng.random::<bool>()),
        }
        .expect(HINT);
    }
}

impl FromStr for DataFrame {
    type Err = String;

    /// Parses `1000x20`, `1000x20:float,int,text,time,bool` or `1000x20:float:5%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let broken =
            || "must be ROWSxCOLS, for example 1000x20 or 1000x20:float,int,text,time,bool:5%";
        let mut parts = text.split(':');
        let shape = parts.next().expect("split yields at least one part");
        let (rows, cols) = shape.split_once('x').ok_or_else(broken)?;
        let rows: usize = rows.parse().map_err(|_| broken())?;
        let cols: usize = cols.parse().map_err(|_| broken())?;
        let cells = rows.checked_mul(cols);
        if cells.is_none_or(|cells| cells > 20_000_000) {
            return Err("must have at most 20 million cells".to_owned());
        }
        let mut frame = Self::floats(rows, cols);
        if let Some(types) = parts.next() {
            let types: Option<Vec<Column>> = types.split(',').map(column).collect();
            frame.types = types.ok_or_else(broken)?;
        }
        if let Some(missing) = parts.next() {
            let percent = missing.strip_suffix('%').ok_or_else(broken)?;
            let percent: f64 = percent.parse().map_err(|_| broken())?;
            frame.missing = percent / 100.0;
        }
        let is_sound = (0.0..=1.0).contains(&frame.missing) && parts.next().is_none();
        is_sound.then_some(frame).ok_or_else(|| broken().to_owned())
    }
}

fn column(name: &str) -> Option<Column> {
    Some(match name {
        "float" => Column::Float,
        "int" => Column::Int,
        "text" => Column::Text,
        "time" => Column::Time,
        "bool" => Column::Bool,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn columns_have_their_types_and_cells_are_missing_at_the_rate() {
        let frame: DataFrame = "2000x6:float,int,text,time,bool:25%".parse().unwrap();
        let body = frame.body(3);
        assert_eq!(body, frame.body(3));
        let found: Value = serde_json::from_slice(&body).unwrap();
        let rows = found["dataframe_split"]["data"].as_array().unwrap();
        let fits: [fn(&Value) -> bool; 6] = [
            Value::is_f64,
            Value::is_u64,
            |cell| cell.as_str().is_some_and(|word| WORDS.contains(&word)),
            |cell| cell.as_str().is_some_and(|time| time.len() == 19),
            Value::is_boolean,
            Value::is_f64,
        ];
        let mut missing = 0;
        for row in rows {
            for (cell, fits) in row.as_array().unwrap().iter().zip(fits) {
                missing += u32::from(cell.is_null());
                assert!(cell.is_null() || fits(cell), "{cell}");
            }
        }
        // 3,000 of 12,000 expected; five standard deviations are 237.
        assert!(missing.abs_diff(3000) < 237, "{missing}");
    }

    #[test]
    fn an_invalid_shape_is_rejected() {
        assert_eq!("3x2".parse(), Ok(DataFrame::floats(3, 2)));
        for broken in [
            "1000",
            "2x2:real",
            "2x2:int:5",
            "2x2:int:101%",
            "2x2:int:5%:",
        ] {
            let error = broken.parse::<DataFrame>().unwrap_err();
            assert!(error.starts_with("must be ROWSxCOLS"), "{broken}: {error}");
        }
        let error = "9999999999x9999999999".parse::<DataFrame>().unwrap_err();
        assert_eq!(error, "must have at most 20 million cells");
    }
}
