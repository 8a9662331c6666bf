//! The kinds of single values that keys take: how the text of one is parsed, and how the schema
//! and the reference describe it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{check, endpoint, field::quoted, similar::similar, units};

/// The type of a key, for the schema and the reference.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Boolean,
    /// From 0 to 1.
    Ratio,
    /// More than 0.
    Rate,
    /// A whole number within these bounds.
    Integer(usize, usize),
    Size,
    Duration,
    /// One of these words.
    Words(Vec<&'static str>),
    Text,
    Address,
    Path,
    /// As a path, or empty.
    Prefix,
    Url,
    File,
    /// A mapping; its keys have descriptions of their own, below this key's path.
    Section,
    /// A list of such mappings; the path of an item ends in `[]`.
    Sections,
    /// Such mappings under names that the user chooses; the path of one ends in `.*`.
    Named,
    List(Box<Type>),
    /// Values under names that the user chooses.
    Map(Box<Type>),
    /// A constant, or a part of the request: see [`crate::source`].
    Source,
    Either(Box<Type>, Box<Type>),
}

/// One kind of single value.
pub(crate) struct Kind<'k, T> {
    pub(crate) ty: Type,
    parse: Box<Parse<'k, T>>,
}

/// From a text to its value, or to the reason why it has none.
type Parse<'k, T> = dyn Fn(&str) -> Result<T, String> + 'k;

impl<'k, T: 'k> Kind<'k, T> {
    pub(crate) fn new(ty: Type, parse: impl Fn(&str) -> Result<T, String> + 'k) -> Self {
        Self {
            ty,
            parse: Box::new(parse),
        }
    }

    /// The value of a text, or why the text is not of this kind.
    pub(crate) fn parse(&self, text: &str) -> Result<T, String> {
        (self.parse)(text)
    }

    /// The same kind, converted.
    pub(crate) fn map<U: 'k>(self, convert: impl Fn(T) -> U + 'k) -> Kind<'k, U> {
        let Self { ty, parse } = self;
        Kind::new(ty, move |text| parse(text).map(&convert))
    }

    /// The same kind, without the values that fail the check.
    pub(crate) fn ensure(self, check: impl Fn(&T) -> bool + 'k, otherwise: &'static str) -> Self {
        let Self { ty, parse } = self;
        Self::new(ty, move |text| {
            let value = parse(text)?;
            if check(&value) {
                Ok(value)
            } else {
                Err(otherwise.to_owned())
            }
        })
    }
}

pub(crate) fn boolean() -> Kind<'static, bool> {
    Kind::new(Type::Boolean, units::boolean)
}

pub(crate) fn ratio() -> Kind<'static, f64> {
    Kind::new(Type::Ratio, units::ratio)
}

/// A number of events per second, more than 0.
pub(crate) fn rate() -> Kind<'static, f64> {
    Kind::new(Type::Rate, units::rate)
}

pub(crate) fn integer(least: usize, most: usize) -> Kind<'static, usize> {
    Kind::new(Type::Integer(least, most), move |text| {
        units::whole(text, least, most)
    })
}

/// A whole number of at least 1.
pub(crate) fn count() -> Kind<'static, usize> {
    integer(1, units::COUNT_MAX)
}

/// A number of bytes; may be 0.
pub(crate) fn size() -> Kind<'static, usize> {
    Kind::new(Type::Size, units::bytes)
}

/// A number of bytes, more than 0.
pub(crate) fn positive_size() -> Kind<'static, usize> {
    size().ensure(|bytes| *bytes > 0, "must be more than 0")
}

/// A duration; may be 0.
pub(crate) fn duration() -> Kind<'static, Duration> {
    Kind::new(Type::Duration, units::duration)
}

/// A duration of more than 0.
pub(crate) fn positive_duration() -> Kind<'static, Duration> {
    duration().ensure(|time| !time.is_zero(), "must be more than 0")
}

/// One of a few words, each with its value.
pub(crate) fn words<T: Copy + 'static>(options: &[(&'static str, T)]) -> Kind<'static, T> {
    let words: Vec<&'static str> = options.iter().map(|(word, _)| *word).collect();
    let options = options.to_vec();
    Kind::new(Type::Words(words.clone()), move |text| {
        let chosen = options.iter().find(|(word, _)| *word == text);
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            let hint = similar(text, &words).map(|word| format!(", did you mean `{word}`?"));
            let hint = hint.unwrap_or_default();
            format!("`{text}` is not one of {}{hint}", quoted(&words))
        })
    })
}

/// The one word that is supported so far, of those that a later version adds to.
pub(crate) fn only(word: &'static str) -> Kind<'static, ()> {
    Kind::new(Type::Words(vec![word]), move |text| {
        if text == word {
            Ok(())
        } else {
            Err(format!("not yet supported, leave it at `{word}`"))
        }
    })
}

/// Any text but the empty one.
pub(crate) fn text() -> Kind<'static, Arc<str>> {
    Kind::new(Type::Text, check::not_empty)
}

/// Text that one of `check`'s functions accepts.
pub(crate) fn text_of<T: 'static>(parse: fn(&str) -> Result<T, String>) -> Kind<'static, T> {
    Kind::new(Type::Text, parse)
}

/// The name of one of the upstreams or sinks.
pub(crate) fn name_of<'k>(kind: &'k str, names: &'k [&str]) -> Kind<'k, Arc<str>> {
    Kind::new(Type::Text, move |text| {
        if names.contains(&text) {
            return Ok(text.into());
        }
        Err(match similar(text, names) {
            Some(name) => format!("no {kind} is named `{text}`, did you mean `{name}`?"),
            None if names.is_empty() => format!("no {kind} is named `{text}`"),
            None => format!("no {kind} is named `{text}`, only {}", quoted(names)),
        })
    })
}

/// An address to listen on.
pub(crate) fn address() -> Kind<'static, SocketAddr> {
    Kind::new(Type::Address, units::address)
}

/// The path of a request, or a pattern for one.
pub(crate) fn path() -> Kind<'static, Arc<str>> {
    Kind::new(Type::Path, check::path)
}

/// The beginning of a path; may be empty.
pub(crate) fn prefix() -> Kind<'static, String> {
    Kind::new(Type::Prefix, check::path_prefix)
}

/// The URL of a sink, without a trailing slash.
pub(crate) fn sink_url() -> Kind<'static, String> {
    Kind::new(Type::Url, endpoint::sink_url)
}
