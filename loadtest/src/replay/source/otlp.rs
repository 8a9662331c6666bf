//! Converts values from OTLP's JSON encoding, which MLflow's REST API uses, to plain JSON.

use serde_json::{Map, Number, Value};

/// Converts a list of `{key, value}` to an object.
pub(super) fn fields(list: &Value) -> Map<String, Value> {
    let field = |field: &Value| {
        let key = field.get("key")?.as_str()?.to_owned();
        Some((key, field.get("value").map_or(Value::Null, plain)))
    };
    match list.as_array() {
        Some(list) => list.iter().filter_map(field).collect(),
        None => Map::new(),
    }
}

/// Converts a value. A value without a type is null.
fn plain(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else {
        return Value::Null;
    };
    let values = || value.get("values").unwrap_or(&Value::Null);
    match kind.as_str() {
        "kvlist_value" => Value::Object(fields(values())),
        "array_value" => {
            let values = values().as_array();
            Value::Array(values.map_or_else(Vec::new, |values| values.iter().map(plain).collect()))
        }
        // OTLP's JSON encoding writes 64-bit integers as text.
        "int_value" => match value.as_str().map(str::parse::<i64>) {
            Some(Ok(number)) => number.into(),
            _ => value.clone(),
        },
        // A number that JSON cannot represent is text, and becomes null.
        "double_value" => value
            .as_f64()
            .and_then(Number::from_f64)
            .map_or(Value::Null, Value::Number),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_plain_json() {
        let list = json!([
            {"key": "n", "value": {"int_value": 7}},
            {"key": "long", "value": {"int_value": "9007199254740993"}},
            {"key": "x", "value": {"double_value": 0.5}},
            {"key": "t", "value": {"string_value": "a"}},
            {"key": "none"},
            {"key": "null", "value": {}},
            {"key": "o", "value": {"kvlist_value": {"values": [
                {"key": "l", "value": {"array_value": {"values": [{"bool_value": true}, {}]}}},
                {"key": "e", "value": {"array_value": {}}}]}}},
        ]);
        let expect = json!({
            "n": 7, "long": 9_007_199_254_740_993_i64, "x": 0.5, "t": "a", "none": null,
            "null": null, "o": {"l": [true, null], "e": []},
        });
        assert_eq!(Value::Object(fields(&list)), expect);
    }
}
