//! One page that holds all it needs: styles and plots are in it, nothing is loaded from anywhere.
//!
//! Plots are SVG, drawn here; each point tells its values where the pointer rests on it. Works
//! without scripts, in print, and on dark screens.

mod compare;
mod plot;
mod run;
mod scale;

pub use self::compare::comparison;
pub use self::run::{summary, sweep};

use std::fmt::{self, Display};

const STYLE: &str = include_str!("style.css");

/// A page under a title.
struct Page {
    title: String,
    parts: Vec<Part>,
}

enum Part {
    Heading(String),
    /// A plot, or anything else that is markup already.
    Markup(String),
    /// What the command prints for people.
    Text(String),
    Note(String),
}

impl Page {
    fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            parts: Vec::new(),
        }
    }

    fn heading(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Heading(text.into()));
    }

    /// A plot; one without points is left out.
    fn plot(&mut self, plot: &plot::Plot) {
        if plot.has_points() {
            self.parts.push(Part::Markup(plot.to_string()));
        }
    }

    fn text(&mut self, text: impl Display) {
        self.parts.push(Part::Text(text.to_string()));
    }

    fn note(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Note(text.into()));
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
        for part in &self.parts {
            match part {
                Part::Heading(text) => writeln!(f, "<h2>{}</h2>", Escaped(text))?,
                Part::Markup(markup) => writeln!(f, "<figure>{markup}</figure>")?,
                Part::Text(text) => writeln!(f, "<pre>{}</pre>", Escaped(text))?,
                Part::Note(text) => writeln!(f, "<p class=\"note\">{}</p>", Escaped(text))?,
            }
        }
        writeln!(f, "</body></html>")
    }
}

/// Text as HTML and XML have it, attributes included.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, character) in self.0.char_indices() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                _ => f.write_str(self.0.get(at..at + character.len_utf8()).unwrap_or(""))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
