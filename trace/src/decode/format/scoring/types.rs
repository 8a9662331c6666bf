//! The type of a column, by its first cells.

use crate::decode::json::{Kind, Raw};

/// MLflow's own names where it has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Type {
    /// Nothing but missing values so far.
    #[default]
    Null,
    Long,
    Double,
    Boolean,
    Datetime,
    String,
    Array,
    Object,
    Mixed,
}

impl Type {
    /// Of a cell in JSON.
    pub(super) fn of_json(cell: Raw<'_>) -> Self {
        match cell.kind() {
            Kind::Null => Self::Null,
            Kind::Bool => Self::Boolean,
            Kind::Array => Self::Array,
            Kind::Object => Self::Object,
            Kind::Number if cell.0.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9')) => {
                Self::Long
            }
            Kind::Number => Self::Double,
            Kind::String if is_datetime(cell.quoted().unwrap_or_default()) => Self::Datetime,
            Kind::String => Self::String,
        }
    }

    /// Of a cell in CSV, without its quotes.
    pub(super) fn of_csv(cell: &str) -> Self {
        match cell {
            "" => Self::Null,
            "true" | "false" | "True" | "False" => Self::Boolean,
            _ if cell.parse::<i64>().is_ok() => Self::Long,
            _ if cell.parse::<f64>().is_ok() => Self::Double,
            _ if is_datetime(cell.as_bytes()) => Self::Datetime,
            _ => Self::String,
        }
    }

    /// The type of a column that holds both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, only) | (only, Self::Null) => only,
            (Self::Long, Self::Double) | (Self::Double, Self::Long) => Self::Double,
            (Self::String, Self::Datetime) | (Self::Datetime, Self::String) => Self::String,
            (one, other) if one == other => one,
            _ => Self::Mixed,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Long => "long",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Datetime => "datetime",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
            Self::Mixed => "mixed",
        }
    }
}

/// Whether text begins as an ISO 8601 date, and ends there or goes on with a time.
fn is_datetime(text: &[u8]) -> bool {
    let Some((date, rest)) = text.split_first_chunk::<10>() else {
        return false;
    };
    let fits = date
        .iter()
        .zip(b"0000-00-00")
        .all(|(byte, form)| match form {
            b'-' => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    fits && matches!(rest, [] | [b'T' | b' ', b'0'..=b'9', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cells: &[&str], expect: &str) {
        let cells = cells.iter().map(|cell| Type::of_json(Raw(cell.as_bytes())));
        assert_eq!(cells.fold(Type::Null, Type::and).as_str(), expect);
    }

    #[test]
    fn a_column_has_the_type_that_all_its_cells_share() {
        check(&[], "null");
        check(&["null", "null"], "null");
        check(&["null", "1", "-20"], "long");
        check(&["1", "2.5", "1e3", "NaN"], "double");
        check(&["true", "null"], "boolean");
        check(&[r#""a""#, r#""""#], "string");
        check(
            &[r#""2024-05-01""#, r#""2024-05-01T10:00:00Z""#],
            "datetime",
        );
        check(&[r#""2024-05-01""#, r#""soon""#], "string");
        check(&[r#""2024-05-01-7""#], "string");
        check(&["[1]", "[2]"], "array");
        check(&["{}"], "object");
        check(&["1", r#""1""#], "mixed");
    }
}
