//! OTLP's JSON form of values, as MLflow's REST API has it, as plain JSON.

use serde_json::{Map, Number, Value};

/// A list of `{key, value}` as an object.
pub(super) fn fields(list: &Value) -> Map<String, Value> {
    let field = |field: &Value| {
        let key = field.get("key")?.as_str()?.to_owned();
        Some((key, field.get("value").map_or(Value::Null, plain)))
    };
    let list = list.as_array().into_iter().flatten();
    list.filter_map(field).collect()
}

/// A value; one without a type is null.
fn plain(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else {
        return Value::Null;
    };
    let values = || value.get("values").unwrap_or(&Value::Null);
    match kind.as_str() {
        "kvlist_value" => Value::Object(fields(values())),
        "array_value" => {
            let values = values().as_array();
            values.into_iter().flatten().map(plain).collect()
        }
        // 64 bits may come as text (OTLP's JSON form has them so).
        "int_value" => match value.as_str().map(str::parse::<i64>) {
            Some(Ok(number)) => number.into(),
            _ => value.clone(),
        },
        // As does a number that JSON has no word for.
        "double_value" => value.as_f64().map_or(Value::Null, whole_or_not),
        _ => value.clone(),
    }
}

fn whole_or_not(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_plain_json_again() {
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
