//! The JSON Schema of the YAML, for editors, from the descriptions of the keys.
//!
//! It is a first check only: faults that depend on the environment, on files or on several keys are
//! left to [`Config::parse`](crate::Config::parse).

use serde_json::{Map, Value, json};

use crate::{
    key::{Description, described},
    kind::Type,
    source,
};

/// The JSON Schema (draft 2020-12) of the YAML, as JSON text.
pub fn schema() -> String {
    let keys = described();
    let mut root = mapping(&keys, "", false);
    root.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    root.insert("title".to_owned(), json!("offpath configuration"));
    root.insert("$defs".to_owned(), definitions(&keys));
    serde_json::to_string_pretty(&root)
        .expect("a JSON value can be written, because its keys are strings")
}

/// The mapping at a path, with every key below it.
fn mapping(keys: &[Description], path: &str, nullable: bool) -> Map<String, Value> {
    let own = || keys.iter().filter(|key| key.parent == path);
    let properties: Map<String, Value> = own()
        .map(|key| (key.name.to_owned(), property(keys, key)))
        .collect();
    let required: Vec<_> = own()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    let ty = if nullable {
        json!(["object", "null"])
    } else {
        json!("object")
    };
    let mut schema = Map::from_iter([
        ("type".to_owned(), ty),
        ("additionalProperties".to_owned(), json!(false)),
        ("properties".to_owned(), Value::Object(properties)),
    ]);
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn property(keys: &[Description], key: &Description) -> Value {
    let mut schema = of_type(keys, &key.ty, &key.path(), !key.required);
    let description = match (key.var, key.otherwise) {
        (Some(var), _) => format!("{} Absent: {var}, else the default.", key.about),
        (None, Some(otherwise)) => format!("{} Absent: {otherwise}.", key.about),
        (None, None) => key.about.to_owned(),
    };
    schema.insert("description".to_owned(), json!(description));
    if let Some(default) = key.default {
        schema.insert("default".to_owned(), yaml_value(&key.ty, default));
    }
    Value::Object(schema)
}

/// A default as the JSON value that YAML reads its text as.
fn yaml_value(ty: &Type, text: &str) -> Value {
    match ty {
        Type::Boolean | Type::Integer(..) | Type::Rate | Type::Ratio => serde_json::from_str(text)
            .expect("a default of these types is JSON, because the tests write every one"),
        _ => json!(text),
    }
}

fn of_type(keys: &[Description], ty: &Type, path: &str, nullable: bool) -> Map<String, Value> {
    let value = match ty {
        Type::Section => return mapping(keys, path, nullable),
        Type::Sections => json!({
            "type": "array",
            "minItems": 1,
            "items": mapping(keys, &format!("{path}[]"), false),
        }),
        Type::Named => named(keys, path, nullable),
        Type::List(item) => json!({
            "type": if nullable { json!(["array", "null"]) } else { json!("array") },
            "items": of_type(keys, item, &format!("{path}[]"), false),
        }),
        Type::Map(value) => json!({
            "type": ["object", "null"],
            "additionalProperties": of_type(keys, value, &format!("{path}.*"), false),
        }),
        Type::Either(a, b) => json!({
            "anyOf": [of_type(keys, a, path, nullable), of_type(keys, b, path, false)],
        }),
        Type::Words(words) => self::words(words),
        Type::Integer(least, most) => or_text(
            json!({
                "type": ["integer", "null"], "minimum": least, "maximum": most,
            }),
            "^[0-9]+$",
        ),
        Type::Boolean => definition("boolean"),
        Type::Ratio => definition("ratio"),
        Type::Rate => definition("rate"),
        Type::Size => definition("size"),
        Type::Duration => definition("duration"),
        Type::Text => definition("text"),
        Type::Address => definition("address"),
        Type::Path => definition("path"),
        Type::Prefix => definition("prefix"),
        Type::Url => definition("url"),
        Type::File => definition("file"),
        Type::Source => definition("source"),
    };
    match value {
        Value::Object(schema) => schema,
        other => Map::from_iter([("const".to_owned(), other)]),
    }
}

/// Mappings under names that the user chooses. Where their keys depend on `type`, one schema for each
/// type.
fn named(keys: &[Description], path: &str, nullable: bool) -> Value {
    let path = format!("{path}.*");
    let variants = variants(keys, &path);
    let of_variant = |name: &&str| mapping(keys, &format!("{path}({name})"), false);
    let entry = match variants.as_slice() {
        [] => Value::Object(mapping(keys, &path, false)),
        _ => json!({"oneOf": variants.iter().map(of_variant).collect::<Vec<_>>()}),
    };
    json!({
        "type": if nullable { json!(["object", "null"]) } else { json!("object") },
        "minProperties": 1,
        "additionalProperties": entry,
    })
}

/// The types of a mapping whose keys depend on its `type`.
pub(crate) fn variants<'a>(keys: &'a [Description], path: &str) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for key in keys {
        let name = key
            .parent
            .strip_prefix(path)
            .and_then(|rest| rest.strip_prefix('('));
        let name = name.and_then(|rest| rest.strip_suffix(')'));
        found.extend(name.filter(|name| !found.contains(name)));
    }
    found
}

/// The words first, so that an editor's message lists them.
fn words(words: &[&str]) -> Value {
    let mut values: Vec<Value> = words.iter().map(|word| json!(word)).collect();
    values.extend(
        words
            .iter()
            .filter_map(|word| Some(json!(word.parse::<u32>().ok()?))),
    );
    // YAML 1.1, which some editors read, has another meaning of `off`.
    values.extend(words.contains(&"off").then_some(Value::Bool(false)));
    values.push(Value::Null);
    json!({"anyOf": [{"title": words.join(" | "), "enum": values}, {"$ref": "#/$defs/env"}]})
}

fn definition(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// A value, or its text, or a text with variables in it.
fn or_text(value: Value, pattern: &str) -> Value {
    json!({"anyOf": [value, {"type": "string", "pattern": pattern}, {"$ref": "#/$defs/env"}]})
}

fn definitions(keys: &[Description]) -> Value {
    let text = |pattern: &str| {
        json!({"anyOf": [
            {"type": ["string", "null"], "pattern": pattern}, {"$ref": "#/$defs/env"},
        ]})
    };
    let mut source = mapping(keys, source::DESCRIBED_AS, false);
    source.insert("minProperties".to_owned(), json!(1));
    source.insert("maxProperties".to_owned(), json!(1));
    json!({
        "env": {
            "description": "Text with environment variables, as ${env:NAME}.",
            "type": "string",
            "pattern": "\\$\\{env:[^}]*\\}",
        },
        "text": {"type": ["string", "number", "boolean", "null"]},
        "file": {"type": ["string", "null"]},
        "boolean": {"anyOf": [
            {"type": ["boolean", "null"]},
            {"enum": ["true", "True", "TRUE", "false", "False", "FALSE"]},
            {"$ref": "#/$defs/env"},
        ]},
        "ratio": or_text(
            json!({"type": ["number", "null"], "minimum": 0, "maximum": 1}), "^[0-9.eE+-]+$",
        ),
        "rate": or_text(
            json!({"type": ["number", "null"], "exclusiveMinimum": 0}), "^[0-9.eE+-]+$",
        ),
        "size": or_text(
            json!({"type": ["integer", "null"], "minimum": 0}), "^[0-9]+(B|kB|KB|MB|GB|KiB|MiB|GiB)?$",
        ),
        "duration": text("^[0-9]+(us|ms|s|m|h)$"),
        "address": text("^.+:[0-9]{1,5}$"),
        "path": text("^/"),
        "prefix": text("^(/.*)?$"),
        "url": text("^[hH][tT][tT][pP][sS]?://"),
        "source": {"anyOf": [{"$ref": "#/$defs/text"}, source]},
    })
}
