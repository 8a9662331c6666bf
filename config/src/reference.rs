//! The configuration reference, `docs/configuration.md`, from the descriptions of the keys.
//!
//! `cargo run -p offpath-config --example reference` prints it.

use std::fmt::Write;

use crate::{
    key::{Description, described},
    kind::Type,
    schema::variants,
    source,
};

const INTRODUCTION: &str = include_str!("reference/introduction.md");

/// The column at which comments begin in the annotated example.
const COMMENT_COLUMN: usize = 46;

/// The width of the page, but for tables.
const LINE_COLUMNS: usize = 118;

/// The configuration reference, in Markdown.
pub fn reference() -> String {
    let keys = described();
    let mut page = INTRODUCTION.replace("{{example}}", &example(&keys));
    for key in keys.iter().filter(|key| key.parent.is_empty()) {
        let top = Heading {
            title: format!("`{}`", key.name),
            level: 2,
        };
        block(&mut page, &keys, key, &top);
    }
    page.push_str("\n## Sources\n\nA value on a trace is a constant, or one of these, as `{header: x-user-id}`:\n\n");
    table(&mut page, &keys, source::DESCRIBED_AS);
    page
}

/// Every key in one file, valid as it is, each with its meaning.
pub(crate) fn example(keys: &[Description]) -> String {
    let mut yaml = String::new();
    annotate(&mut yaml, keys, "", "", "");
    yaml.trim_end().to_owned()
}

struct Heading {
    title: String,
    level: usize,
}

impl Heading {
    fn below(&self, title: String) -> Self {
        Self {
            title,
            level: self.level + 1,
        }
    }
}

/// The heading, meaning and table of a mapping, and then those of the mappings within it.
fn block(page: &mut String, keys: &[Description], key: &Description, heading: &Heading) {
    let level = "#".repeat(heading.level);
    let about = wrapped(key.about, LINE_COLUMNS).join("\n");
    write_to(
        page,
        format_args!("\n{level} {}\n\n{about}\n", heading.title),
    );
    let path = key.path();
    for path in below(key) {
        if keys.iter().any(|key| key.parent == path) {
            page.push('\n');
            table(page, keys, &path);
        }
    }
    let Some(inner) = below(key).pop() else {
        return;
    };
    for variant in variants(keys, &inner) {
        let level = "#".repeat(heading.level + 1);
        write_to(
            page,
            format_args!("\n{level} `{path}.*` of type `{variant}`\n\n"),
        );
        table(page, keys, &format!("{inner}({variant})"));
    }
    for child in keys.iter().filter(|child| child.parent == inner) {
        if has_keys(keys, child) {
            block(
                page,
                keys,
                child,
                &heading.below(format!("`{}`", child.path())),
            );
        }
    }
}

/// The path of the mappings that a key's type brings.
fn below(key: &Description) -> Vec<String> {
    let path = key.path();
    match &key.ty {
        Type::Section => vec![path],
        Type::Sections => vec![format!("{path}[]")],
        Type::Named => vec![format!("{path}.*")],
        Type::List(item) if matches!(&**item, Type::Either(..)) => vec![format!("{path}[]")],
        _ => Vec::new(),
    }
}

fn has_keys(keys: &[Description], key: &Description) -> bool {
    let paths = below(key);
    keys.iter().any(|other| paths.contains(&other.parent))
}

fn table(page: &mut String, keys: &[Description], path: &str) {
    page.push_str(
        "| Key | Type | Default | Meaning | Example |\n| --- | --- | --- | --- | --- |\n",
    );
    for key in keys.iter().filter(|key| key.parent == path) {
        write_to(
            page,
            format_args!(
                "| {} | {} | {} | {} | {} |\n",
                code(key.name),
                cell(&type_name(&key.ty)),
                cell(&default(key)),
                cell(key.about),
                example_of(key),
            ),
        );
    }
}

/// An example of a value, which for booleans and words is another than the default.
fn example_of(key: &Description) -> String {
    let default = key.default.unwrap_or_default();
    let other = |words: &[&'static str]| words.iter().rfind(|word| **word != default).copied();
    let text = match (&key.ty, key.example) {
        (Type::Named | Type::Section | Type::Sections, _) => return String::new(),
        (Type::Boolean, "") => other(&["true", "false"]),
        (Type::Words(words), "") => other(words),
        (_, "") => None,
        (_, example) => Some(example),
    };
    text.map_or_else(|| code(&scalar(default)), code)
}

fn default(key: &Description) -> String {
    match (key.required, key.var, key.otherwise, key.default) {
        (true, ..) => "required".to_owned(),
        (_, Some(var), _, Some(default)) => format!("`{var}`, else {}", code(&scalar(default))),
        (_, _, Some(otherwise), _) => otherwise.to_owned(),
        (_, _, None, Some(default)) => code(&scalar(default)),
        (_, _, None, None) => String::new(),
    }
}

/// The name of a type in the tables; the introduction explains them.
fn type_name(ty: &Type) -> String {
    let name = match ty {
        Type::Boolean => "boolean",
        Type::Ratio => "ratio",
        Type::Rate => "number",
        Type::Integer(..) => "integer",
        Type::Size => "size",
        Type::Duration => "duration",
        Type::Text => "text",
        Type::Address => "address",
        Type::Path | Type::Prefix => "path",
        Type::Url => "URL",
        Type::File => "file",
        Type::Section => "mapping",
        Type::Sections => "list of mappings",
        Type::Named => "mapping by name",
        Type::Source => "[source](#sources)",
        Type::Words(words) => {
            let words: Vec<_> = words.iter().map(|word| code(word)).collect();
            return words.join(", ");
        }
        Type::List(item) => return format!("list of {}", type_name(item)),
        Type::Map(value) => return format!("mapping of {}", type_name(value)),
        Type::Either(a, b) => return format!("{}, or {}", type_name(a), type_name(b)),
    };
    name.to_owned()
}

/// The keys below a path as YAML, each with its meaning in a comment. `first` stands before the
/// first line, `rest` before all others.
fn annotate(yaml: &mut String, keys: &[Description], path: &str, first: &str, rest: &str) {
    let mut indent = first;
    for key in keys.iter().filter(|key| key.parent == path) {
        let deeper = format!("{rest}  ");
        match &key.ty {
            Type::Section => {
                line(yaml, &format!("{indent}{}:", key.name), key.about);
                annotate(yaml, keys, &key.path(), &deeper, &deeper);
            }
            Type::Sections => {
                line(yaml, &format!("{indent}{}:", key.name), key.about);
                annotate(
                    yaml,
                    keys,
                    &format!("{}[]", key.path()),
                    &format!("{deeper}- "),
                    &format!("{deeper}  "),
                );
            }
            Type::Named => {
                line(yaml, &format!("{indent}{}:", key.name), key.about);
                entries(yaml, keys, key, &deeper);
            }
            _ => value_line(yaml, key, indent),
        }
        indent = rest;
    }
}

/// The mappings of a key whose names the user chooses: one, or one for each type.
fn entries(yaml: &mut String, keys: &[Description], key: &Description, indent: &str) {
    let path = format!("{}.*", key.path());
    let deeper = format!("{indent}  ");
    let variants = variants(keys, &path);
    if variants.is_empty() {
        line(yaml, &format!("{indent}{}:", key.example), "e.g.");
        annotate(yaml, keys, &path, &deeper, &deeper);
    }
    for variant in variants {
        line(yaml, &format!("{indent}my-{variant}:"), "e.g.");
        annotate(yaml, keys, &format!("{path}({variant})"), &deeper, &deeper);
    }
}

fn value_line(yaml: &mut String, key: &Description, indent: &str) {
    let fixed = key.default.filter(|_| !key.required);
    let (value, mark) = match fixed {
        Some(default) => (scalar(default), ""),
        None => (key.example.to_owned(), "(e.g.) "),
    };
    // A key that excludes the one before it is shown, but not set.
    let hash = if key.alternative { "# " } else { "" };
    let comment = match (fixed, key.otherwise) {
        (None, Some(otherwise)) => format!("{mark}{} Absent: {otherwise}.", key.about),
        _ => format!("{mark}{}", key.about),
    };
    line(
        yaml,
        &format!("{indent}{hash}{}: {value}", key.name),
        &comment,
    );
}

/// A line and its comment, wrapped to a column of its own.
fn line(yaml: &mut String, text: &str, comment: &str) {
    let width = LINE_COLUMNS - COMMENT_COLUMN - "# ".len();
    let mut before = text;
    if !comment.is_empty() && text.chars().count() > COMMENT_COLUMN - 2 {
        write_to(yaml, format_args!("{text}\n"));
        before = "";
    }
    for comment in wrapped(comment, width) {
        write_to(yaml, format_args!("{before:COMMENT_COLUMN$}# {comment}\n"));
        before = "";
    }
    if !before.is_empty() {
        write_to(yaml, format_args!("{before}\n"));
    }
}

/// A text in lines of at most this many characters, as far as its words allow.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A text as a YAML scalar.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '/')
        && !text.contains(": ")
        && !text.contains(" #");
    if plain {
        text.to_owned()
    } else {
        format!("\"{text}\"")
    }
}

/// A text as code in a table.
fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn write_to(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("writing to a string cannot fail, because it grows");
}
