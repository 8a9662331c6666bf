//! MLflow's scoring protocol: the request is a table, the response has one number per row.
//!
//! A request is JSON with one of `dataframe_split`, `dataframe_records`, `instances` or `inputs`, or
//! CSV with a header line. Cells are counted and not stored, so that a large table costs little more
//! than scanning it. An invalid table gets status 400 with MLflow's error object, another content
//! type gets 415. Format: <https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/>.

use std::io::Write as _;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::reply::Reply;
use super::table_shape::{Shape, TableShape};

/// Scores the table in `body`.
pub(super) fn answer(content_type: Option<&HeaderValue>, body: &Bytes) -> Reply {
    let media_type = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map_or("", str::trim);
    let rows = match media_type {
        "application/json" => json_rows(body),
        "text/csv" => csv_rows(body),
        other => {
            let message = format!("unsupported content type `{other}`");
            return broken(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message);
        }
    };
    match rows {
        Ok(rows) => Reply::json_bytes(StatusCode::OK, predictions(rows)),
        Err(message) => broken(StatusCode::BAD_REQUEST, &message),
    }
}

#[derive(Deserialize)]
struct ScoringInput {
    dataframe_split: Option<Split>,
    dataframe_records: Option<TableShape>,
    instances: Option<TableShape>,
    inputs: Option<TableShape>,
}

#[derive(Deserialize)]
struct Split {
    columns: Option<Shape>,
    data: TableShape,
}

fn json_rows(body: &[u8]) -> Result<usize, String> {
    let ScoringInput {
        dataframe_split,
        dataframe_records,
        instances,
        inputs,
    } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    match (dataframe_split, dataframe_records, instances, inputs) {
        (Some(split), None, None, None) => split_rows(&split),
        (None, Some(table), None, None) => {
            match table.first_mismatch.map(|(_, row)| row).or(table.first) {
                None | Some(Shape::Object) => Ok(table.rows),
                Some(_) => Err("`dataframe_records` is not a list of objects".to_owned()),
            }
        }
        (None, None, Some(table), None) | (None, None, None, Some(table)) => Ok(table.rows),
        _ => Err(
            "the body must have exactly one of `dataframe_split`, `dataframe_records`, \
             `instances`, `inputs`"
                .to_owned(),
        ),
    }
}

fn split_rows(split: &Split) -> Result<usize, String> {
    let width = match (split.columns, split.data.first) {
        (Some(Shape::List(columns)), _) => columns,
        (None, Some(Shape::List(cells))) => cells,
        (None, None) => 0,
        (Some(_), _) => return Err("`columns` is not a list".to_owned()),
        (None, Some(_)) => return Err("row 0 is not a list".to_owned()),
    };
    let first = split.data.first.map(|row| (0, row));
    for (index, row) in first.into_iter().chain(split.data.first_mismatch) {
        match row {
            Shape::List(cells) if cells == width => {}
            Shape::List(cells) => {
                return Err(format!("{width} columns passed, row {index} has {cells}"));
            }
            Shape::Scalar | Shape::Object => return Err(format!("row {index} is not a list")),
        }
    }
    Ok(split.data.rows)
}

/// Counts the non-empty lines after the header. A quoted line break (RFC 4180, section 2) does not
/// end a line.
fn csv_rows(body: &[u8]) -> Result<usize, String> {
    let mut lines = 0_usize;
    let (mut is_quoted, mut is_empty) = (false, true);
    for byte in body {
        match byte {
            b'\n' if !is_quoted => {
                lines += usize::from(!is_empty);
                is_empty = true;
            }
            b'\r' => {}
            _ => {
                is_quoted ^= *byte == b'"';
                is_empty = false;
            }
        }
    }
    lines += usize::from(!is_empty);
    if is_quoted {
        return Err("a quoted cell does not end".to_owned());
    }
    lines
        .checked_sub(1)
        .ok_or_else(|| "no header line".to_owned())
}

fn predictions(rows: usize) -> Bytes {
    let mut out = Vec::with_capacity(24 + rows * 4);
    out.extend_from_slice(br#"{"predictions": ["#);
    for row in 0..rows {
        let comma = if row == 0 { "" } else { "," };
        write!(out, "{comma}0.{}", row % 10).expect("writing to memory cannot fail");
    }
    out.extend_from_slice(b"]}");
    Bytes::from(out)
}

fn broken(status: StatusCode, message: &str) -> Reply {
    let error = json!({"error_code": "BAD_REQUEST", "message": message});
    Reply::json(status, &error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_json(body: &str, expect: Result<usize, &str>) {
        let expect = expect.map_err(str::to_owned);
        assert_eq!(json_rows(body.as_bytes()), expect);
    }

    #[test]
    fn rows_are_counted_in_every_json_shape() {
        check_json(
            r#"{"dataframe_split": {"index": [0, 1], "columns": ["a", "b"], "data": [[1, "]"], [null, [2]]]}}"#,
            Ok(2),
        );
        check_json(
            r#"{"dataframe_split": {"columns": ["a"], "data": []}}"#,
            Ok(0),
        );
        check_json(
            r#"{"dataframe_records": [{"a": 1}, {"a": {}}, {}], "params": {}}"#,
            Ok(3),
        );
        check_json(r#"{"instances": [1, 2.5, -3, "x"]}"#, Ok(4));
        check_json(r#"{"instances": [[1, 2], [3, 4]]}"#, Ok(2));
        check_json(r#"{"inputs": {"a": [1, 2, 3], "b": [4, 5, 6]}}"#, Ok(3));
        check_json(r#"{"inputs": {"question": "why"}}"#, Ok(1));
    }

    #[test]
    fn invalid_tables_are_rejected_with_the_reason() {
        check_json(
            r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3]]}}"#,
            Err("2 columns passed, row 1 has 1"),
        );
        check_json(
            r#"{"dataframe_split": {"columns": ["a"], "data": [3]}}"#,
            Err("row 0 is not a list"),
        );
        check_json(
            r#"{"dataframe_records": [{"a": 1}, 7]}"#,
            Err("`dataframe_records` is not a list of objects"),
        );
        let one_key = "the body must have exactly one of `dataframe_split`, \
                       `dataframe_records`, `instances`, `inputs`";
        check_json("{}", Err(one_key));
        check_json(r#"{"inputs": [1], "instances": [1]}"#, Err(one_key));
        assert!(
            json_rows(br#"{"inputs": [1, 2"#)
                .unwrap_err()
                .contains("EOF")
        );
        assert!(json_rows(br#"{"inputs": {"a": [1], "b": [1, 2]}}"#).is_err());
    }

    #[test]
    fn csv_rows_do_not_count_the_header_or_quoted_line_breaks() {
        assert_eq!(csv_rows(b"a,b\n1,2\n3,4\n"), Ok(2));
        assert_eq!(csv_rows(b"a,b\r\n1,\"x\r\ny\"\r\n3,4"), Ok(2));
        assert_eq!(csv_rows(b"a,b\n"), Ok(0));
        assert_eq!(csv_rows(b""), Err("no header line".to_owned()));
        assert!(csv_rows(b"a\n\"1\n").is_err());
    }

    #[test]
    fn the_predictions_are_one_number_per_row() {
        assert_eq!(predictions(0), r#"{"predictions": []}"#);
        assert_eq!(predictions(3), r#"{"predictions": [0.0,0.1,0.2]}"#);
    }
}
