//! The schema and the reference describe the keys that are read, and no others.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use super::fixture::{FULL, MINIMAL, full_env, parse};
use crate::{
    Env,
    field::Found,
    key::{Description, described},
    kind::Type,
    load,
    reader::Reader,
    reference, schema, yaml,
};

/// Every key that is read from the full example, as [`Description::path`] writes it.
fn keys_read() -> BTreeSet<String> {
    let env = full_env();
    let node = yaml::parse(FULL).unwrap();
    let reader = Reader::new(&env, Path::new(""));
    load::read(&reader.root(Found::Node(&node)), &reader);
    let read = reader.read.take();
    read.iter().map(|path| general(path)).collect()
}

/// Positions in lists become `[]`, and the names that users choose become `*`.
fn general(path: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for part in path.split('.') {
        let (name, index) = part.split_once('[').unwrap_or((part, ""));
        let part = if index.is_empty() {
            name.to_owned()
        } else {
            format!("{name}[]")
        };
        let chosen = [
            "upstreams",
            "export.sinks",
            "routes[].trace.tags",
            "routes[].trace.metadata",
        ];
        let is_chosen = chosen.contains(&out.join(".").as_str());
        out.push(if is_chosen { "*".to_owned() } else { part });
    }
    let path = out.join(".");
    // Sources have the same keys wherever they are.
    for list in [
        "user[]",
        "session[]",
        "client_request_id[]",
        "tags.*",
        "metadata.*",
    ] {
        let place = format!("routes[].trace.{list}.");
        if let Some(key) = path.strip_prefix(&place) {
            return format!("(source).{key}");
        }
    }
    path
}

/// Every key that is described; of sinks, without the types that have the key.
fn keys_described() -> BTreeSet<String> {
    let path = |key: &Description| key.path().replace("(mlflow)", "").replace("(otlp)", "");
    described().iter().map(path).collect()
}

#[test]
fn every_key_that_is_read_is_described_and_the_other_way_round() {
    let (read, described) = (keys_read(), keys_described());
    let missing: Vec<_> = read.difference(&described).collect();
    assert!(missing.is_empty(), "read, but not described: {missing:?}");
    let unread: Vec<_> = described.difference(&read).collect();
    assert!(
        unread.is_empty(),
        "described, but not in full.yaml: {unread:?}"
    );
    assert!(read.contains("export.sinks.*.token"), "{read:?}");
}

#[test]
fn every_key_has_one_sentence_and_a_value_to_show() {
    for key in described() {
        let path = key.path();
        let one = key.about.ends_with('.') && !key.about.contains(". ");
        assert!(one, "{path}: not one sentence: {}", key.about);
        let nested = matches!(key.ty, Type::Section | Type::Sections);
        let shown = nested || key.default.is_some() || !key.example.is_empty();
        assert!(shown, "{path}: neither a default nor an example");
    }
}

#[test]
fn a_file_that_sets_every_default_is_the_file_that_sets_none() {
    let implied = parse(MINIMAL, &Env::default()).unwrap();
    let mut text = MINIMAL.to_owned();
    for part in ["upstreams.*", "routes[]", ""] {
        let indent = if part.is_empty() { "" } else { "    " };
        let keys: Vec<_> = described()
            .into_iter()
            .filter(|key| key.default.is_some() || key.ty == Type::Section)
            .collect();
        let yaml = defaults(&keys, part, indent);
        // The minimal example ends its upstream before `routes`, and its route with the file.
        text = match part {
            "upstreams.*" => text.replace("routes:\n", &format!("{yaml}routes:\n")),
            _ => text + &yaml,
        };
    }
    let set = parse(&text, &Env::default()).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(format!("{set:?}"), format!("{implied:?}"));
}

/// The defaults below a path, as YAML.
fn defaults(keys: &[Description], path: &str, indent: &str) -> String {
    let mut yaml = String::new();
    for key in keys.iter().filter(|key| key.parent == path) {
        let inner = match key.default {
            Some(default) => format!("{indent}{}: '{default}'\n", key.name),
            None => match defaults(keys, &key.path(), &format!("{indent}  ")) {
                // A section whose presence switches something on has no default.
                nested if nested.is_empty() || SWITCHES.contains(&key.name) => continue,
                nested => format!("{indent}{}:\n{nested}", key.name),
            },
        };
        yaml.push_str(&inner);
    }
    yaml
}

const SWITCHES: [&str; 1] = ["latency_budget"];

#[test]
fn the_reference_shows_a_valid_file_with_every_key() {
    let keys = described();
    let yaml = reference::example(&keys);
    let env = Env::from_iter([("TOKEN", "t"), ("PASSWORD", "p"), ("HASH_KEY", "k")]);
    let config = parse(&yaml, &env).unwrap_or_else(|errors| panic!("{errors}\n{yaml}"));
    assert_eq!(config.export.sinks.len(), 2);
    for key in &keys {
        let shown = yaml.contains(&format!("{}:", key.name)) || key.parent == "(source)";
        assert!(shown, "{} is not shown", key.path());
    }
}

#[test]
fn the_page_in_the_documentation_is_the_generated_one() {
    let page = include_str!("../../../docs/configuration.md");
    assert!(
        page == reference::reference(),
        "docs/configuration.md is out of date: cargo run -p offpath-config --example reference > docs/configuration.md"
    );
}

fn collect(root: &Value, node: &Value, path: &str, keys: &mut BTreeSet<String>) {
    let join = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    if let Some(name) = node["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
        let path = if name.ends_with("/source") {
            "(source)"
        } else {
            path
        };
        collect(root, target, path, keys);
    }
    for (key, value) in node["properties"].as_object().into_iter().flatten() {
        keys.insert(join(key));
        collect(root, value, &join(key), keys);
    }
    collect_in(root, &node["items"], &format!("{path}[]"), keys);
    collect_in(root, &node["additionalProperties"], &join("*"), keys);
    for kind in ["anyOf", "oneOf"] {
        for option in node[kind].as_array().into_iter().flatten() {
            collect(root, option, path, keys);
        }
    }
}

fn collect_in(root: &Value, node: &Value, path: &str, keys: &mut BTreeSet<String>) {
    if node.is_object() {
        collect(root, node, path, keys);
    }
}

#[test]
fn the_schema_has_every_key_and_no_other() {
    let root: Value = serde_json::from_str(&schema()).unwrap();
    let mut keys = BTreeSet::new();
    collect(&root, &root, "", &mut keys);
    assert_eq!(keys, keys_described());
}

/// The objects in `node` with keys of offpath's own that accept others too.
fn open_objects(node: &Value, path: &str, found: &mut Vec<String>) {
    if node["properties"].is_object() && node["additionalProperties"] != Value::Bool(false) {
        found.push(path.to_owned());
    }
    match node {
        Value::Object(map) => {
            for (key, value) in map {
                open_objects(value, &format!("{path}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                open_objects(value, &format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_schema_refuses_unknown_keys_everywhere() {
    let root: Value = serde_json::from_str(&schema()).unwrap();
    let mut found = Vec::new();
    open_objects(&root, "", &mut found);
    assert_eq!(found, Vec::<String>::new());
}
