//! A trace that MLflow can read back, whatever its values hold.
//!
//! MLflow parses each text attribute, and takes what turns out to be an object, a list or a
//! string for the attribute's value (`mlflow/tracing/otel/translation/__init__.py`,
//! `sanitize_attributes`). A value that does not fit its messages it stores all the same, and then
//! fails to return it, with every trace on the same page (see [`json::fitted`]). Previews, tags,
//! names and the like are columns of its own: on PostgreSQL, a NUL in one of them costs the batch.

use crate::{Text, Trace, Value};

use super::body::Document;
use super::defect::Defect;
use super::json;

/// Attributes whose text is JSON, made from bodies. Any text beside these and [`OWN`] that parses as
/// JSON is a coincidence, or a client's idea.
const BODIES: [&str; 3] = [
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "mlflow.chat.tools",
];

/// Attributes whose text is JSON of a few numbers and names, which fits.
const OWN: [&str; 6] = [
    "mlflow.chat.tokenUsage",
    "mlflow.llm.cost",
    "offpath.input.shape",
    "offpath.input.statistics",
    "offpath.output.shape",
    "offpath.output.statistics",
];

const DEFECTS: &str = "offpath.defects";

/// A longer text that begins as a number may be an integer of more digits than Python parses
/// (4,300): MLflow then refuses the batch.
const NUMBER_BYTES_MAX: usize = 4096;

impl Trace {
    /// The trace with each value carried so that MLflow can read it back, and the defects that
    /// this adds to its root; `None` where it can be read back as it is.
    ///
    /// In JSON, each integer beyond 64 bits and each container that is nested too deep becomes a
    /// string of its own text. Other text that MLflow would take for JSON becomes a JSON string,
    /// which MLflow gives back as the text that it was. A NUL becomes U+FFFD everywhere.
    pub fn fitted(&self) -> Option<(Self, Vec<Defect>)> {
        if !self.hard {
            return None;
        }
        let mut fit = Fit::default();
        let mut trace = self.clone();
        trace.hard = false;
        for span in &mut trace.spans {
            for (key, value) in &mut span.attributes {
                match value {
                    Value::Text(text) => {
                        if let Some(new) = fit.text(key, text) {
                            *text = new;
                        }
                    }
                    Value::Texts(list) => fit.list(list),
                    _ => {}
                }
            }
            if let Some(name) = fit.words(&span.name) {
                span.name = name.into();
            }
        }
        if let Some(info) = &mut trace.info {
            let metadata = info.metadata.iter_mut().map(|(_, value)| value);
            for text in metadata.chain(&mut info.client_request_id) {
                if let Some(new) = fit.words(text) {
                    *text = new;
                }
            }
        }
        trace.note(&fit.defects);
        fit.changed.then_some((trace, fit.defects))
    }

    /// Adds defects to those on the root.
    fn note(&mut self, defects: &[Defect]) {
        let Some(root) = self.spans.first_mut().filter(|_| !defects.is_empty()) else {
            return;
        };
        let mut listed: Vec<Text> = Vec::new();
        root.attributes.retain_mut(|(key, value)| match value {
            Value::Texts(list) if key == DEFECTS => {
                listed = std::mem::take(list);
                false
            }
            _ => true,
        });
        for defect in defects {
            let name = Text::from(defect.as_str());
            if !listed.contains(&name) {
                listed.push(name);
            }
        }
        let attribute = (DEFECTS.into(), Value::Texts(listed));
        root.attributes.push(attribute);
    }
}

/// One pass over a trace's texts.
#[derive(Default)]
struct Fit {
    changed: bool,
    /// Each once.
    defects: Vec<Defect>,
    /// JSON that was looked at, and what takes its place: two spans share their bodies.
    known: Vec<(Text, Option<Text>)>,
}

impl Fit {
    /// What takes the place of an attribute's text.
    fn text(&mut self, key: &str, text: &Text) -> Option<Text> {
        let begin = Begin::of(text.as_bytes());
        if OWN.contains(&key) {
            return None;
        }
        if BODIES.contains(&key) && !matches!(begin, Begin::Words) {
            return self.json(text);
        }
        let words = self.words(text.as_str());
        if matches!(begin, Begin::Words) {
            return words.map(Text::from);
        }
        self.changed = true;
        let words = words.as_deref().unwrap_or(text.as_str());
        Some(json::quoted(words).into())
    }

    /// Replaces each NUL in a list's elements, which MLflow does not parse as JSON.
    fn list(&mut self, list: &mut [Text]) {
        for text in list {
            if let Some(new) = self.words(text.as_str()) {
                *text = new.into();
            }
        }
    }

    /// Text without NUL; `None` where it has none.
    fn words(&mut self, text: &str) -> Option<String> {
        let found = has_nul(text.as_bytes());
        if found {
            self.note(Defect::Nul);
        }
        found.then(|| text.replace('\0', "\u{fffd}"))
    }

    fn note(&mut self, defect: Defect) {
        self.changed = true;
        if !self.defects.contains(&defect) {
            self.defects.push(defect);
        }
    }

    fn json(&mut self, text: &Text) -> Option<Text> {
        let mut known = self.known.iter();
        if let Some((_, new)) = known.find(|(known, _)| is_same(known, text)) {
            return new.clone();
        }
        let new = json::fitted(text.as_bytes()).map(|fitted| {
            for (found, defect) in [
                (fitted.too_deep, Defect::TooDeep),
                (fitted.wide_integer, Defect::WideInteger),
                (fitted.nul, Defect::Nul),
            ] {
                if found {
                    self.note(defect);
                }
            }
            Text::trusted(fitted.json.into())
        });
        self.known.push((text.clone(), new.clone()));
        new
    }
}

/// How a text begins, for a reader that tries it as JSON.
enum Begin {
    /// As an object or a list.
    Container,
    /// As a string.
    String,
    /// As a number that may be too long to parse.
    LongNumber,
    /// As nothing that changes what MLflow makes of it.
    Words,
}

impl Begin {
    fn of(text: &[u8]) -> Self {
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        let first = match text.first() {
            Some(first) if is_space(&first) => text.iter().find(|byte| !is_space(byte)),
            first => first,
        };
        match first {
            Some(b'{' | b'[') => Self::Container,
            Some(b'"') => Self::String,
            Some(b'-' | b'0'..=b'9') if text.len() > NUMBER_BYTES_MAX => Self::LongNumber,
            _ => Self::Words,
        }
    }
}

/// Whether [`Trace::fitted`] has to look at a trace that was read from `bodies`. Those that are
/// JSON were measured when they were read; only JSON that was made from them is looked at here.
/// `escapes`: the request's target has some, and so may hold a NUL.
pub(super) fn is_hard(trace: &Trace, bodies: &[&Document], escapes: bool) -> bool {
    let mut easy: Vec<&Text> = Vec::new();
    for span in &trace.spans {
        for (key, value) in &span.attributes {
            let Value::Text(text) = value else {
                continue;
            };
            let hard = match Begin::of(text.as_bytes()) {
                Begin::Words => false,
                Begin::Container if BODIES.contains(&&**key) => {
                    let known = bodies.iter().any(|body| body.is_easy() && body.is(text))
                        || easy.iter().any(|easy| is_same(easy, text));
                    if !known {
                        easy.push(text);
                    }
                    !known && json::is_hard(text.as_bytes())
                }
                Begin::String if BODIES.contains(&&**key) => false,
                Begin::Container | Begin::String | Begin::LongNumber => !OWN.contains(&&**key),
            };
            if hard {
                return true;
            }
        }
    }
    (escapes || !bodies.iter().all(|body| body.is_easy())) && any_nul(trace)
}

/// Whether there is a NUL in any text that is not JSON.
fn any_nul(trace: &Trace) -> bool {
    let attributes = trace.spans.iter().flat_map(|span| &span.attributes);
    let mut words = attributes.flat_map(|(key, value)| match value {
        Value::Text(text) if !BODIES.contains(&&**key) => std::slice::from_ref(text),
        Value::Texts(list) => list,
        _ => &[],
    });
    let mut names = trace.spans.iter().map(|span| &*span.name);
    let mut told = trace.info.iter().flat_map(|info| {
        let metadata = info.metadata.iter().map(|(_, value)| value);
        metadata.chain(&info.client_request_id)
    });
    words.any(|text| has_nul(text.as_bytes()))
        || names.any(|name| has_nul(name.as_bytes()))
        || told.any(|text| has_nul(text.as_bytes()))
}

fn has_nul(text: &[u8]) -> bool {
    memchr::memchr(0, text).is_some()
}

/// Whether two texts share their memory.
fn is_same(one: &Text, other: &Text) -> bool {
    std::ptr::eq(&raw const **one.as_bytes(), &raw const **other.as_bytes())
}
