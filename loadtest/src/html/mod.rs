//! Self-contained HTML pages: styles and plots are inline, and nothing is loaded from elsewhere.
//!
//! Plots are SVG; hovering over a point shows its values. The pages work without scripts, in print,
//! and with a dark colour scheme.

mod compare;
mod plot;
mod run;
mod scale;

pub use self::compare::comparison;
pub use self::run::{summary, sweep};

use std::fmt::{self, Display, Write as _};

const STYLE: &str = include_str!("style.css");

/// A page with a title and a sequence of elements.
struct Page {
    title: String,
    elements: Vec<Element>,
}

enum Element {
    Heading(String),
    /// Markup that needs no escaping, such as a plot.
    Markup(String),
    /// Preformatted text, such as the tables that a command prints.
    Text(String),
    Note(String),
}

impl Page {
    fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            elements: Vec::new(),
        }
    }

    fn heading(&mut self, text: impl Into<String>) {
        self.elements.push(Element::Heading(text.into()));
    }

    /// Adds a plot, unless it has no points.
    fn plot(&mut self, plot: &plot::Plot) {
        if plot.has_points() {
            self.elements.push(Element::Markup(plot.to_string()));
        }
    }

    fn text(&mut self, text: impl Display) {
        self.elements.push(Element::Text(text.to_string()));
    }

    fn note(&mut self, text: impl Into<String>) {
        self.elements.push(Element::Note(text.into()));
    }
}

impl Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = Escaped(&self.title);
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\n\
             <style>\n{STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        )?;
        for element in &self.elements {
            match element {
                Element::Heading(text) => writeln!(f, "<h2>{}</h2>", Escaped(text))?,
                Element::Markup(markup) => writeln!(f, "<figure>{markup}</figure>")?,
                Element::Text(text) => writeln!(f, "<pre>{}</pre>", Escaped(text))?,
                Element::Note(text) => writeln!(f, "<p class=\"note\">{}</p>", Escaped(text))?,
            }
        }
        writeln!(f, "</body></html>")
    }
}

/// Displays text with the characters escaped that are special in HTML and XML, including in
/// attribute values.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
