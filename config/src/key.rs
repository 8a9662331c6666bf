//! One key of a mapping: its description, and how its value is read.
//!
//! A section reads each of its keys in one place, which is the key's only description:
//!
//! ```ignore
//! drain: map
//!     .key("drain", "How long a shutdown waits for requests in flight.")
//!     .or("30s", kind::duration()),
//! ```
//!
//! The reader takes the default and the type from there, and so do the JSON Schema and
//! `docs/configuration.md`: [`described`] runs the same reader over [`Found::Anything`], a document
//! in which every key is set, and each key that is read leaves its [`Description`] behind.

use std::path::Path;

use crate::{
    Env,
    field::{Field, Found},
    kind::{Kind, Type},
    load,
    reader::Reader,
};

/// The description of one key in the schema and the reference.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Description {
    /// The path of the mapping that the key is in, as `routes[].match`, `upstreams.*`, or
    /// `export.sinks.*(mlflow)` for keys of one sink type; empty for the whole document.
    pub(crate) parent: String,
    pub(crate) name: &'static str,
    pub(crate) ty: Type,
    pub(crate) required: bool,
    /// The value of an absent key, as text.
    pub(crate) default: Option<&'static str>,
    /// The environment variable that is read when the key is absent.
    pub(crate) var: Option<&'static str>,
    /// The value of an absent key without a fixed default, in words.
    pub(crate) otherwise: Option<&'static str>,
    /// One sentence.
    pub(crate) about: &'static str,
    /// A value, as YAML. For [`Type::Named`], a name.
    pub(crate) example: &'static str,
    /// Whether this excludes a key before it, so that the reference cannot show both as set.
    pub(crate) alternative: bool,
}

impl Description {
    pub(crate) fn path(&self) -> String {
        match self.parent.as_str() {
            "" => self.name.to_owned(),
            parent => format!("{parent}.{}", self.name),
        }
    }
}

/// Every key, in the order of the reference.
pub(crate) fn described() -> Vec<Description> {
    let env = Env::default();
    let reader = Reader::new(&env, Path::new(""));
    load::read(&reader.root(Found::Anything), &reader);
    reader.descriptions.take()
}

/// A key that a section is about to read.
pub(crate) struct Key<'a> {
    field: Field<'a>,
    about: Description,
}

impl<'a> Key<'a> {
    pub(crate) fn new(
        parent: &str,
        name: &'static str,
        about: &'static str,
        field: Field<'a>,
    ) -> Self {
        let about = Description {
            parent: parent.to_owned(),
            name,
            ty: Type::Text,
            required: false,
            default: None,
            var: None,
            otherwise: None,
            about,
            example: "",
            alternative: false,
        };
        Self { field, about }
    }

    /// An example of a value, as YAML.
    pub(crate) fn example(mut self, yaml: &'static str) -> Self {
        self.about.example = yaml;
        self
    }

    /// The default of a value that the caller reads itself.
    pub(crate) fn default(mut self, text: &'static str) -> Self {
        self.about.default = Some(text);
        self
    }

    /// The value of an absent key without a fixed default, in words.
    pub(crate) fn otherwise(mut self, words: &'static str) -> Self {
        self.about.otherwise = Some(words);
        self
    }

    /// This key cannot be set together with the one before it.
    pub(crate) fn alternative(mut self) -> Self {
        self.about.alternative = true;
        self
    }

    /// The environment variable that is read when the key is absent.
    pub(crate) fn var(mut self, name: &'static str) -> Self {
        self.about.var = Some(name);
        self.field = self.field.or_var(name);
        self
    }

    /// The place of the key, for faults that depend on other keys.
    pub(crate) fn field(&self) -> Field<'a> {
        self.field.clone()
    }

    /// The value, or the default. A wrong value is reported, and the default is used.
    pub(crate) fn or<T>(mut self, default: &'static str, kind: Kind<'_, T>) -> T {
        self.about.default = Some(default);
        self.value(&kind).unwrap_or_else(|| {
            kind.parse(default)
                .expect("a default is a value of its key's kind, because the tests read every one")
        })
    }

    /// The value; `None` if it is absent or wrong.
    pub(crate) fn optional<T>(self, kind: Kind<'_, T>) -> Option<T> {
        self.value(&kind)
    }

    /// As [`Self::optional`], but absence is a fault too.
    pub(crate) fn required<T>(mut self, kind: Kind<'_, T>) -> Option<T> {
        self.about.required = true;
        self.describe(kind.ty.clone())
            .required(|text| kind.parse(text))
    }

    /// The values of a list, without those that are wrong.
    pub(crate) fn list<T>(self, kind: Kind<'_, T>) -> Vec<T> {
        let items = self.place(Type::List(Box::new(kind.ty.clone()))).items();
        let value = |item: &Field<'_>| item.required(|text| kind.parse(text));
        items.iter().filter_map(value).collect()
    }

    /// The place of a mapping whose keys are offpath's own.
    pub(crate) fn section(self) -> Field<'a> {
        self.place(Type::Section)
    }

    /// The places of the mappings in a list that must not be empty.
    pub(crate) fn sections(mut self) -> Field<'a> {
        self.about.required = true;
        self.place(Type::Sections)
    }

    /// The place of a value that is more than a single one, to be read by the caller.
    pub(crate) fn place(self, ty: Type) -> Field<'a> {
        self.describe(ty)
    }

    /// As [`Self::place`], of a key that must be there; the caller reports its absence.
    pub(crate) fn required_place(mut self, ty: Type) -> Field<'a> {
        self.about.required = true;
        self.describe(ty)
    }

    fn value<T>(self, kind: &Kind<'_, T>) -> Option<T> {
        self.describe(kind.ty.clone())
            .optional(|text| kind.parse(text))
    }

    fn describe(mut self, ty: Type) -> Field<'a> {
        self.about.ty = ty;
        self.field.reader().describe(&self.field, self.about);
        self.field
    }
}
