//! Each key of the configuration, and each promise that the documents make, has a test that is there.
//!
//! `docs/promises.md` says which. A key without a row fails here, so does a row without a key, and so
//! does the name of a test, on any page, that no source has.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use offpath_tests::offpath;
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/promises.md");

/// Pages that name tests.
const PAGES: [(&str, &str); 3] = [
    ("promises.md", PAGE),
    ("faults.md", include_str!("../../docs/faults.md")),
    ("formats.md", include_str!("../../docs/formats.md")),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Keys with nothing below them, as paths: `[]` for a place in a list, `*` for a name that users
/// choose.
fn keys() -> BTreeSet<String> {
    let output = Command::new(offpath()).arg("schema").output().unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut all = BTreeSet::new();
    collect(&schema, &schema, "", &mut all);
    let has_below = |key: &String| {
        let below = |other: &String| {
            let rest = other.strip_prefix(key.as_str());
            rest.is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        all.iter().any(below)
    };
    all.iter().filter(|key| !has_below(key)).cloned().collect()
}

fn collect(schema: &Value, node: &Value, path: &str, keys: &mut BTreeSet<String>) {
    let join = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    if let Some(name) = node["$ref"].as_str() {
        let target = schema.pointer(name.trim_start_matches('#')).unwrap();
        collect(schema, target, path, keys);
    }
    for (key, value) in node["properties"].as_object().into_iter().flatten() {
        keys.insert(join(key));
        collect(schema, value, &join(key), keys);
    }
    if node["items"].is_object() {
        collect(schema, &node["items"], &format!("{path}[]"), keys);
    }
    if node["additionalProperties"].is_object() {
        collect(schema, &node["additionalProperties"], &join("*"), keys);
    }
    for kind in ["anyOf", "oneOf", "allOf"] {
        for option in node[kind].as_array().into_iter().flatten() {
            collect(schema, option, path, keys);
        }
    }
}

/// The cells of each row of the tables on the page whose first column has this head.
fn rows(head: &str) -> Vec<Vec<&'static str>> {
    let mut rows = Vec::new();
    let mut within = false;
    for line in PAGE.lines() {
        let cells = line
            .strip_prefix("| ")
            .and_then(|line| line.strip_suffix(" |"));
        let Some(cells) = cells else {
            within = false;
            continue;
        };
        let cells: Vec<_> = cells.split(" | ").collect();
        if cells.first() == Some(&head) {
            within = true;
        } else if within && !line.starts_with("| ---") {
            rows.push(cells);
        }
    }
    assert!(rows.len() > 10, "{head}: {rows:?}");
    rows
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a text is the name of a test: a sentence, perhaps with its end left out.
fn is_test_name(name: &str) -> bool {
    let name = name.rsplit("::").next().unwrap_or(name);
    let mut letters = name.trim_end_matches('…').chars();
    name.matches('_').count() > 2
        && letters
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

/// The names of all tests, and the files that have one of that name.
fn tests() -> BTreeMap<String, Vec<PathBuf>> {
    let git = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "*.rs",
        ])
        .current_dir(root())
        .output();
    let listed = String::from_utf8(git.unwrap().stdout).unwrap();
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in listed.lines().map(PathBuf::from) {
        // A file that is removed, but not committed so.
        let Ok(text) = fs::read_to_string(root().join(&file)) else {
            continue;
        };
        for name in tests_of(&text) {
            found.entry(name.to_owned()).or_default().push(file.clone());
        }
    }
    assert!(found.len() > 500, "{}", found.len());
    found
}

/// The functions that an attribute makes a test.
fn tests_of(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = line
            .trim_start_matches("async ")
            .strip_prefix("fn ")
            .filter(|_| is_test)
        {
            names.extend(name.split('(').next());
            is_test = false;
        }
    }
    names
}

#[test]
fn each_key_has_a_test_that_goes_through_the_binary() {
    let (tests, mut wrong) = (tests(), Vec::new());
    let rows = rows("key");
    // A row for sources or patterns stands for their forms, too.
    let covers = |row: &str, key: &str| {
        let form = row.ends_with("[]") || row.ends_with(".*");
        row == key
            || (form
                && key
                    .strip_prefix(row)
                    .is_some_and(|rest| rest.starts_with('.')))
    };
    let keys = keys();
    for key in &keys {
        let mut named = rows.iter().flat_map(|row| quoted(row[0]));
        if !named.any(|row| covers(row, key)) {
            wrong.push(format!("`{key}` has no row"));
        }
    }
    for row in &rows {
        for named in quoted(row[0]) {
            if !keys.iter().any(|key| covers(named, key)) {
                wrong.push(format!("`{named}` is no key"));
            }
            let leaf = named.trim_end_matches(['[', ']', '*', '.']);
            let leaf = leaf.rsplit('.').next().unwrap();
            let mut texts = quoted(row[1])
                .filter_map(|name| tests.get(name))
                .flatten()
                .filter(|file| file.starts_with("tests/tests"))
                .map(|file| fs::read_to_string(root().join(file)).unwrap());
            // The harness sets what each gateway needs.
            let harness = include_str!("../src/gateway.rs");
            if !texts.any(|text| text.contains(leaf) || harness.contains(&format!("\"{leaf}\""))) {
                wrong.push(format!(
                    "no test of `{named}` with the binary speaks of `{leaf}`"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "docs/promises.md:\n{}", wrong.join("\n"));
}

#[test]
fn each_promise_says_where_it_is_made_and_has_a_test() {
    let tests = tests();
    for row in rows("promise") {
        assert_eq!(row.len(), 3, "{row:?}");
        let file = row[1].split(',').next().unwrap();
        let stated = fs::read_to_string(root().join(file)).is_ok();
        assert!(stated, "{}: there is no {file}", row[0]);
        assert!(
            quoted(row[2]).any(|name| tests.contains_key(name)),
            "{}",
            row[0]
        );
    }
}

#[test]
fn each_test_that_a_page_names_is_there() {
    let (tests, mut missing) = (tests(), Vec::new());
    for (page, text) in PAGES {
        for quote in quoted(text).filter(|quote| is_test_name(quote)) {
            let name = quote.rsplit("::").next().unwrap();
            let there = match name.strip_suffix('…') {
                Some(begin) => tests.keys().any(|name| name.starts_with(begin)),
                None => tests.contains_key(name),
            };
            // Metrics, attributes and keys are spelt alike.
            let is_key = PAGE.contains(&format!(".{name}`"));
            let known = is_key
                || ["offpath_", "gen_ai", "retry_stale"]
                    .iter()
                    .any(|begin| name.starts_with(begin));
            if !there && !known {
                missing.push(format!("{page}: {quote}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
}
