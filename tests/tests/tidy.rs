//! The layout rules, so that no reviewer has to.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which packages of the workspace, and which of the guarded ones outside it, a package may name.
const ROOMS: [(&str, &[&str]); 8] = [
    ("config", &["offpath-trace"]),
    ("trace", &[]),
    ("filters", &["offpath-config", "offpath-trace"]),
    (
        "export",
        &["offpath-config", "offpath-trace", "prost", "reqwest"],
    ),
    (
        "gateway",
        &[
            "offpath-config",
            "offpath-trace",
            "offpath-filters",
            "offpath-export",
            "offpath-loadtest",
            "pingora",
            "pingora-rustls",
        ],
    ),
    ("loadtest", &[]),
    (
        "benches",
        &[
            "offpath-config",
            "offpath-trace",
            "offpath-filters",
            "offpath-export",
            "prost",
        ],
    ),
    // The harness reads what was exported by itself.
    ("tests", &["offpath", "offpath-loadtest", "prost"]),
];

/// Packages outside the workspace that only some rooms may name.
const GUARDED: [&str; 4] = ["pingora", "prost", "reqwest", "tonic"];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Tracked files, and those that are to be: what git sees.
fn files() -> Vec<PathBuf> {
    let git = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let listed = git.ok().filter(|output| output.status.success());
    let listed = listed.map(|output| String::from_utf8(output.stdout).unwrap());
    let mut all: Vec<PathBuf> = match listed {
        Some(names) => names.lines().map(PathBuf::from).collect(),
        // A source archive has no git; it has nothing else either.
        None => walk(root())
            .into_iter()
            .map(|file| file.strip_prefix(root()).unwrap().to_owned())
            .collect(),
    };
    all.retain(|file| root().join(file).is_file());
    assert!(all.len() > 50, "{all:?}");
    all
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let skipped = |path: &Path| path.ends_with("target") || path.ends_with(".git");
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let nested = |path: PathBuf| {
        if path.is_dir() {
            walk(&path)
        } else {
            vec![path]
        }
    };
    entries
        .filter(|path| !skipped(path))
        .flat_map(nested)
        .collect()
}

fn rust() -> Vec<(PathBuf, String)> {
    let sources = files()
        .into_iter()
        .filter(|file| file.extension().is_some_and(|end| end == "rs"));
    sources
        .map(|file| (file.clone(), fs::read_to_string(root().join(file)).unwrap()))
        .collect()
}

#[track_caller]
fn check_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

#[test]
fn no_file_is_longer_than_one_reads() {
    let long = rust().into_iter().filter_map(|(file, text)| {
        let lines = text.lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines", file.display()))
    });
    check_none("files over 500 lines", &long.collect::<Vec<_>>());
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let mut long = Vec::new();
    for (file, text) in rust() {
        let lines: Vec<&str> = text.lines().collect();
        for (first, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| begins_function(line))
        {
            // Formatted code closes a function where it began.
            let indent = &line[..line.len() - line.trim_start().len()];
            let closing = format!("{indent}}}");
            let length = lines[first..]
                .iter()
                .position(|line| **line == closing)
                .map_or(1, |end| end + 1);
            if length > FUNCTION_LINES_MAX && !line.trim_end().ends_with([';', '}']) {
                long.push(format!("{}:{}: {length} lines", file.display(), first + 1));
            }
        }
    }
    check_none("functions over 70 lines", &long);
}

fn begins_function(line: &str) -> bool {
    let words = line.split_whitespace();
    let mut words =
        words.skip_while(|word| matches!(*word, "async" | "const") || word.starts_with("pub"));
    words.next() == Some("fn")
}

#[test]
fn each_room_names_only_what_it_may_know() {
    let mut offenders = Vec::new();
    for (room, allowed) in ROOMS {
        let manifest = fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap();
        let names = manifest
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next());
        for name in names.filter(|name| {
            name.starts_with("offpath") || GUARDED.iter().any(|guarded| name.starts_with(guarded))
        }) {
            if !allowed.contains(&name) {
                offenders.push(format!("{room}/Cargo.toml: {name}"));
            }
        }
    }
    check_none("packages that a room must not know", &offenders);
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest
        .split("members = [")
        .nth(1)
        .unwrap()
        .split(']')
        .next()
        .unwrap();
    assert_eq!(
        members.matches('"').count(),
        2 * ROOMS.len(),
        "a room without a rule:{members}"
    );
}

fn is_test(file: &Path) -> bool {
    let within = file.components().any(|part| part.as_os_str() == "tests");
    within || file.ends_with("tests.rs")
}

#[test]
fn nothing_outside_tests_unwraps() {
    let mut offenders = Vec::new();
    for (file, text) in rust() {
        if is_test(&file) {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = code
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, _) in lines.filter(|(_, line)| line.contains(".unwrap()")) {
            offenders.push(format!("{}:{}", file.display(), number + 1));
        }
    }
    check_none("unwraps", &offenders);
}

#[test]
fn each_module_says_what_it_is() {
    let silent = rust().into_iter().filter(|(file, text)| {
        // Unit tests beside the code are told by the code.
        let is_unit = file.components().any(|part| part.as_os_str() == "src") && is_test(file);
        !is_unit && !text.starts_with("//!")
    });
    let silent = silent.map(|(file, _)| file.display().to_string());
    check_none("modules without a doc", &silent.collect::<Vec<_>>());
}

#[test]
fn no_developers_machine_is_named() {
    // Put together here, so that this file names none.
    let homes = ["home", "root", "work", "Users"].map(|folder| format!("/{folder}/"));
    let mut offenders = Vec::new();
    for file in files() {
        // What is not text holds no path that a person wrote.
        let Ok(text) = fs::read_to_string(root().join(&file)) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let named = |home: &String| {
                line.match_indices(home.as_str()).any(|(at, _)| {
                    !line[..at].ends_with(|before: char| {
                        before.is_alphanumeric() || "._-*}>".contains(before)
                    })
                })
            };
            if homes.iter().any(named) {
                offenders.push(format!(
                    "{}:{}: {}",
                    file.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    check_none("paths of a machine", &offenders);
}

#[test]
fn what_a_stranger_looks_for_is_there() {
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
    ] {
        assert!(root().join(name).is_file(), "{name} is missing");
    }
}
