//! The schema knows the keys that are read, and no others.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use super::fixture::{FULL, full_env};
use crate::{load, reader::Reader, schema, yaml};

/// Every key asked for while the full example is read. The names that users choose become `*`, and
/// positions in lists `[]`, as [`collect`] writes them.
fn keys_read() -> BTreeSet<String> {
    let env = full_env();
    let node = yaml::parse(FULL).unwrap();
    let reader = Reader::new(&env, Path::new(""));
    load::read(&reader.root(&node), &reader);
    reader
        .asked
        .take()
        .iter()
        .map(|path| general(path))
        .collect()
}

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
    out.join(".")
}

fn keys_of_schema() -> BTreeSet<String> {
    let root: Value = serde_json::from_str(schema()).unwrap();
    let mut keys = BTreeSet::new();
    collect(&root, &root, "", &mut keys);
    keys
}

fn collect(root: &Value, node: &Value, path: &str, keys: &mut BTreeSet<String>) {
    let join = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    if let Some(name) = node["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
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
fn the_schema_and_the_reader_know_the_same_keys() {
    let (read, written) = (keys_read(), keys_of_schema());
    let missing: Vec<_> = read.difference(&written).collect();
    assert!(missing.is_empty(), "not in schema.json: {missing:?}");
    let unread: Vec<_> = written.difference(&read).collect();
    assert!(
        unread.is_empty(),
        "in schema.json but never read: {unread:?}"
    );
    assert!(read.contains("export.sinks.*.token"), "{read:?}");
}

/// Everything in `node` that must not be open: an object of ours without a list of its keys.
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
    let root: Value = serde_json::from_str(schema()).unwrap();
    let mut found = Vec::new();
    open_objects(&root, "", &mut found);
    assert_eq!(found, Vec::<String>::new());
}
