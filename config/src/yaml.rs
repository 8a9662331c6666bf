//! One YAML document as a tree of nodes with their lines.
//!
//! Scalars keep their text as written, so that a tag `1.10` stays `1.10` and an experiment `007`
//! stays `007`; repeated keys are kept, so that each can be reported. Depth and number of nodes
//! are bounded while the tree is built, anchors included: no document can exhaust stack or memory.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

const DEPTH_MAX: usize = 32;
const NODES_MAX: usize = 100_000;

/// A value and the line it begins in.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping, repeated ones included, in the document's order.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_line: usize,
    pub(crate) node: Node,
}

/// The reason why a text is not one YAML document, and the line of the fault.
#[derive(Debug)]
pub(crate) struct YamlError {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl YamlError {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

/// Parses a text of one document; an empty one is null.
pub(crate) fn parse(text: &str) -> Result<Node, YamlError> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            YamlError::new(
                error.marker().line().max(1),
                format!("is not valid YAML: {}", error.info()),
            )
        })?;
        tree.event(event, span.start.line())?;
    }
    Ok(tree.root.unwrap_or(Node {
        line: 1,
        value: Value::Null,
    }))
}

#[derive(Default)]
struct Tree {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    documents: usize,
}

/// A collection that has not ended yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<(String, usize)>,
}

impl Tree {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(YamlError::new(line, "must contain one YAML document"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), line)?;
                let null = style == ScalarStyle::Plain && is_null(&text);
                let value = if null {
                    Value::Null
                } else {
                    Value::Scalar(text.into_owned())
                };
                self.place(Node { line, value }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.is_some(), line)?;
                self.begin(line, Value::List(Vec::new()), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.is_some(), line)?;
                self.begin(line, Value::Map(Vec::new()), anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.place(open.node, open.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let mut node = self
                    .anchors
                    .get(&anchor)
                    .cloned()
                    .ok_or_else(|| YamlError::new(line, "an anchor cannot contain itself"))?;
                node.line = line;
                self.count(size(&node), line)?;
                self.place(node, 0)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, value: Value, anchor: usize) -> Result<(), YamlError> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            return Err(YamlError::new(line, message));
        }
        self.open.push(Open {
            node: Node { line, value },
            anchor,
            key: None,
        });
        Ok(())
    }

    /// Adds a finished node to its parent, as a key, a value or an item, or makes it the root.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        self.count(1, node.line)?;
        if anchor != 0 {
            self.count(size(&node), node.line)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match open.key.take() {
                Some((key, key_line)) => entries.push(Entry {
                    key,
                    key_line,
                    node,
                }),
                None => open.key = Some((key_text(&node)?, node.line)),
            },
            Value::Null | Value::Scalar(_) => {}
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            let message = format!("contains more than {NODES_MAX} values");
            return Err(YamlError::new(line, message));
        }
        Ok(())
    }
}

fn refuse_tag(tagged: bool, line: usize) -> Result<(), YamlError> {
    if tagged {
        return Err(YamlError::new(line, "YAML tags (`!`) are not supported"));
    }
    Ok(())
}

fn key_text(node: &Node) -> Result<String, YamlError> {
    match &node.value {
        Value::Scalar(text) => Ok(text.clone()),
        Value::Null => Err(YamlError::new(node.line, "a key is missing")),
        Value::List(_) | Value::Map(_) => {
            Err(YamlError::new(node.line, "a key must be a single value"))
        }
    }
}

/// Whether a plain scalar is null (YAML 1.2, section 10.2.1.1).
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, line: usize, message: &str) {
        let error = parse(text).unwrap_err();
        assert_eq!(error.line, line, "{}", error.message);
        assert!(error.message.contains(message), "{}", error.message);
    }

    #[test]
    fn anything_but_one_bounded_document_is_refused_with_its_line() {
        check("a: 1\nb: [1,\n", 3, "is not valid YAML");
        check("a: 1\n---\nb: 2\n", 2, "one YAML document");
        check("a: 1\n? [b]\n: 2\n", 2, "a key must be a single value");
        check("a: !!str 1\n", 1, "tags");
        check(&"- ".repeat(500_000), 1, "nested deeper than 32");
        check(&"[".repeat(40), 1, "nested deeper than 32");
        check(&"- 1\n".repeat(100_001), 100_001, "more than 100000");
    }

    #[test]
    fn nested_anchors_cannot_multiply_without_bound() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(parse(&text).unwrap_err().message.contains("more than"));
    }

    #[test]
    fn one_large_anchor_cannot_be_repeated_without_bound() {
        let list = "x, ".repeat(10_000);
        let text = format!("a: &a [{list}]\nb: [{}]\n", "*a, ".repeat(10));
        check(&text, 2, "more than");
    }

    #[test]
    fn scalars_keep_their_text_and_a_quoted_null_is_text() {
        let node = parse("[1.10, 007, null, 'null', ~, true]").unwrap();
        let Value::List(items) = node.value else {
            panic!("not a list: {node:?}");
        };
        let texts: Vec<_> = items
            .iter()
            .map(|item| match &item.value {
                Value::Scalar(text) => text.as_str(),
                _ => "-",
            })
            .collect();
        assert_eq!(texts, ["1.10", "007", "-", "null", "-", "true"]);
    }
}
