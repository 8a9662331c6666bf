//! One place in the YAML, or one environment variable, read as what it should be.
//!
//! A value that is wrong is noted with its line and key path, and the default stands for it.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    interpolate::interpolate,
    map::Map,
    reader::Reader,
    yaml::{Entry, Node, Value},
};

/// A place where a value may stand, and the value where one does.
#[derive(Clone)]
pub(crate) struct Field<'a> {
    reader: &'a Reader<'a>,
    path: String,
    /// Of the key; of the mapping around it where the key is absent.
    line: usize,
    found: Found<'a>,
}

/// What stands there.
#[derive(Clone, Copy)]
pub(crate) enum Found<'a> {
    Nothing,
    Node(&'a Node),
    Var(&'a str),
}

impl<'a> Field<'a> {
    pub(crate) fn new(reader: &'a Reader<'a>, path: String, line: usize, found: Found<'a>) -> Self {
        Self {
            reader,
            path,
            line,
            found,
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn fail(&self, message: impl Into<String>) {
        self.reader.fail(self.line, &self.path, message);
    }

    /// For a warning about what is set here.
    pub(crate) fn warn(&self, message: &str) {
        self.reader.warn(format!("{}: {message}", self.path));
    }

    /// Whether there is a value other than null.
    pub(crate) fn is_set(&self) -> bool {
        match self.found {
            Found::Nothing => false,
            Found::Node(node) => !matches!(node.value, Value::Null),
            Found::Var(_) => true,
        }
    }

    /// Whether the key is there, without a value.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.found, Found::Node(node) if matches!(node.value, Value::Null))
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.found, Found::Node(node) if matches!(node.value, Value::Map(_)))
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.found, Found::Node(node) if matches!(node.value, Value::List(_)))
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self.found, Found::Node(node)
            if matches!(&node.value, Value::Scalar(text) if text == word))
    }

    /// The keys of a mapping; none where there is none.
    pub(crate) fn keys(&self) -> Vec<&'a str> {
        match self.found {
            Found::Node(Node {
                value: Value::Map(entries),
                ..
            }) => entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// This field where it is set, else the environment variable where that is.
    pub(crate) fn or_var(self, name: &str) -> Self {
        if self.is_set() {
            return self;
        }
        let var = self.reader.var(name);
        if var.is_set() { var } else { self }
    }

    /// The text of a single value, with `${env:NAME}` replaced.
    pub(crate) fn text(&self) -> Option<String> {
        match self.found {
            Found::Nothing => None,
            Found::Var(value) => Some(value.to_owned()),
            Found::Node(node) => match &node.value {
                Value::Null => None,
                Value::Scalar(text) => interpolate(text, self.reader.env)
                    .map_err(|message| self.fail(message))
                    .ok(),
                Value::List(_) | Value::Map(_) => {
                    self.fail("must be a single value");
                    None
                }
            },
        }
    }

    /// The checked value; `None` where it is absent or wrong.
    pub(crate) fn optional<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text()?;
        parse(&text).map_err(|message| self.fail(message)).ok()
    }

    /// The checked value, or the default; a wrong value is noted, and stands for the default.
    pub(crate) fn or<T>(&self, default: T, parse: impl FnOnce(&str) -> Result<T, String>) -> T {
        self.optional(parse).unwrap_or(default)
    }

    /// As [`Self::optional`], but absence is a fault too.
    pub(crate) fn required<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        if !self.is_set() {
            self.fail("is required");
        }
        self.optional(parse)
    }

    /// One of a few words, or the default.
    pub(crate) fn choice<T: Copy>(&self, default: T, options: &[(&str, T)]) -> T {
        self.or(default, |text| {
            let chosen = options.iter().find(|(word, _)| *word == text);
            chosen.map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<_> = options.iter().map(|(word, _)| *word).collect();
                format!("`{text}` is not one of {}", quoted(&words))
            })
        })
    }

    /// A path, from the folder of the configuration file on.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.text().map(|text| self.reader.folder.join(text))
    }

    /// Refuses what a later version brings: anything but the default. `[]` and `{}` stand for an
    /// empty list and an empty mapping.
    pub(crate) fn not_yet(&self, default: &str) {
        let is_default = match self.found {
            Found::Nothing => true,
            Found::Var(value) => value == default,
            Found::Node(node) => match &node.value {
                Value::Null => true,
                Value::Scalar(text) => text == default,
                Value::List(items) => default == "[]" && items.is_empty(),
                Value::Map(entries) => default == "{}" && entries.is_empty(),
            },
        };
        if !is_default {
            self.fail(format!("not yet supported, leave it at `{default}`"));
        }
    }

    /// The items of a list; none where it is absent.
    pub(crate) fn items(&self) -> Vec<Field<'a>> {
        let Found::Node(node) = self.found else {
            return Vec::new();
        };
        match &node.value {
            Value::Null => Vec::new(),
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    let path = format!("{}[{index}]", self.path);
                    Field::new(self.reader, path, item.line, Found::Node(item))
                })
                .collect(),
            Value::Scalar(_) | Value::Map(_) => {
                self.fail("must be a list");
                Vec::new()
            }
        }
    }

    /// The entries of a mapping whose keys the user chooses; none where it is absent.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Field<'a>)> {
        self.unique_entries()
            .into_iter()
            .map(|entry| (entry.key.as_str(), self.child(entry)))
            .collect()
    }

    /// A mapping whose keys are ours; an empty one where it is absent.
    pub(crate) fn map(&self) -> Map<'a> {
        Map::new(self.clone(), self.unique_entries())
    }

    /// The first entry of each key; the others are faults.
    fn unique_entries(&self) -> Vec<&'a Entry> {
        let Found::Node(node) = self.found else {
            return Vec::new();
        };
        let entries = match &node.value {
            Value::Null => return Vec::new(),
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) => {
                self.fail("must be a mapping");
                return Vec::new();
            }
        };
        let mut seen = BTreeSet::new();
        let mut unique = Vec::new();
        for entry in entries {
            if seen.insert(entry.key.as_str()) {
                unique.push(entry);
            } else {
                self.child(entry).fail("is given twice");
            }
        }
        unique
    }

    /// The place of an entry of this mapping.
    pub(crate) fn child(&self, entry: &'a Entry) -> Field<'a> {
        Field {
            reader: self.reader,
            path: self.child_path(&entry.key),
            line: entry.key_line,
            found: Found::Node(&entry.node),
        }
    }

    /// The place of a key that this mapping has not.
    pub(crate) fn absent(&self, key: &str) -> Field<'a> {
        Field::new(self.reader, self.child_path(key), self.line, Found::Nothing)
    }

    pub(crate) fn reader(&self) -> &'a Reader<'a> {
        self.reader
    }

    fn child_path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// Words as `a`, `b`, `c`.
pub(crate) fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
