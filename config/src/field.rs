//! One place in the YAML, or one environment variable, read as a value of the expected type.
//!
//! A value that is wrong is reported with its line and key path, and the caller's default is used.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    interpolate::{interpolate, unresolved},
    map::Map,
    reader::Reader,
    yaml::{Entry, Node, Value},
};

/// A place where a value may be, and the value if there is one.
#[derive(Clone)]
pub(crate) struct Field<'a> {
    reader: &'a Reader<'a>,
    path: String,
    /// The line of the key; of the mapping around it if the key is absent.
    line: usize,
    found: Found<'a>,
}

/// The content of a [`Field`].
#[derive(Clone, Copy)]
pub(crate) enum Found<'a> {
    Nothing,
    Node(&'a Node),
    Var(&'a str),
    /// A document in which everything is set and nothing has a value: a mapping with names that
    /// the user chooses has one entry, `*`, and a list has one item. It is read for the
    /// descriptions of the keys alone.
    Anything,
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

    /// A warning about the value set here.
    pub(crate) fn warn(&self, message: &str) {
        self.reader.warn(format!("{}: {message}", self.path));
    }

    /// Whether this is the document that is read for descriptions alone.
    pub(crate) fn is_anything(&self) -> bool {
        matches!(self.found, Found::Anything)
    }

    /// This field under another path, if it is read for descriptions: several places share the keys
    /// that are described there.
    pub(crate) fn described_as(self, path: &str) -> Self {
        if !self.is_anything() {
            return self;
        }
        Self {
            path: path.to_owned(),
            ..self
        }
    }

    /// Whether there is a value other than null.
    pub(crate) fn is_set(&self) -> bool {
        match self.found {
            Found::Nothing => false,
            Found::Node(node) => !matches!(node.value, Value::Null),
            Found::Var(_) | Found::Anything => true,
        }
    }

    /// Whether the key is there, without a value.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.found, Found::Node(node) if matches!(node.value, Value::Null))
    }

    pub(crate) fn is_map(&self) -> bool {
        match self.found {
            Found::Node(node) => matches!(node.value, Value::Map(_)),
            Found::Anything => true,
            Found::Nothing | Found::Var(_) => false,
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.found, Found::Node(node) if matches!(node.value, Value::List(_)))
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self.found, Found::Node(node)
            if matches!(&node.value, Value::Scalar(text) if text == word))
    }

    /// The keys of a mapping; empty if there is no mapping.
    pub(crate) fn keys(&self) -> Vec<&'a str> {
        match self.found {
            Found::Node(Node {
                value: Value::Map(entries),
                ..
            }) => entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// This field if it is set, else the environment variable if that is.
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
            Found::Nothing | Found::Anything => None,
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

    /// The checked value; `None` if it is absent or wrong.
    pub(crate) fn optional<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text()?;
        let parsed = parse(&text).map_err(|message| self.fail(self.unresolved(message)));
        parsed.ok()
    }

    /// A message that quotes the value, with the names of environment variables in place of what
    /// they hold, which may be a credential in the wrong place.
    fn unresolved(&self, message: String) -> String {
        match self.found {
            Found::Node(Node {
                value: Value::Scalar(text),
                ..
            }) => unresolved(message, text, self.reader.env),
            _ => message,
        }
    }

    /// As [`Self::optional`], but absence is a fault too.
    pub(crate) fn required<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        if !self.is_set() {
            self.fail("is required");
        }
        self.optional(parse)
    }

    /// A path, relative to the folder of the configuration file.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.text().map(|text| self.reader.folder.join(text))
    }

    /// The items of a list; empty if it is absent.
    pub(crate) fn items(&self) -> Vec<Field<'a>> {
        let node = match self.found {
            Found::Node(node) => node,
            Found::Nothing | Found::Var(_) => return Vec::new(),
            Found::Anything => {
                let path = format!("{}[]", self.path);
                return vec![Field::new(self.reader, path, self.line, self.found)];
            }
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

    /// The entries of a mapping whose keys the user chooses; empty if it is absent.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Field<'a>)> {
        if self.is_anything() {
            return vec![("*", self.absent("*"))];
        }
        self.unique_entries()
            .into_iter()
            .map(|entry| (entry.key.as_str(), self.child(entry)))
            .collect()
    }

    /// A mapping whose keys are offpath's own; an empty one if it is absent.
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
        let mut first_lines = BTreeMap::new();
        let mut unique = Vec::new();
        for entry in entries {
            match first_lines.get(entry.key.as_str()) {
                Some(line) => self
                    .child(entry)
                    .fail(format!("is given twice, first in line {line}")),
                None => {
                    first_lines.insert(entry.key.as_str(), entry.key_line);
                    unique.push(entry);
                }
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

    /// The place of a key that this mapping does not have.
    pub(crate) fn absent(&self, key: &str) -> Field<'a> {
        let found = match self.found {
            Found::Anything => Found::Anything,
            Found::Nothing | Found::Node(_) | Found::Var(_) => Found::Nothing,
        };
        Field::new(self.reader, self.child_path(key), self.line, found)
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
