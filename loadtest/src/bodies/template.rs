//! Request bodies with placeholders that are filled for each request.
//!
//! | placeholder | replaced by |
//! | --- | --- |
//! | `{{n}}` | the request's number, from 0 |
//! | `{{uuid}}` | a random UUID (RFC 9562, version 4) |
//! | `{{words:N}}` | N words |
//! | `{{int:A..B}}` | a whole number from A to B, inclusive |
//! | `{{choice:a\|b\|c}}` | one of them |

use std::str::FromStr;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::text;
use crate::units;

/// Maximum number of words in one placeholder.
const WORDS_MAX: usize = 1_000_000;

/// A request body with placeholders; `FromStr` parses it.
#[derive(Clone, Debug, PartialEq)]
pub struct BodyTemplate {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq)]
enum Segment {
    Text(String),
    Number,
    Uuid,
    Words(usize),
    Int(i64, i64),
    Choice(Vec<String>),
}

impl BodyTemplate {
    /// Fills the placeholders for request `number`. The same seed and number give the same bytes.
    #[must_use]
    pub fn fill(&self, seed: u64, number: usize) -> Bytes {
        let spread = units::count(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut rng = SmallRng::seed_from_u64(seed ^ spread);
        let mut out = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => out.push_str(text),
                Segment::Number => out.push_str(&number.to_string()),
                Segment::Uuid => {
                    let uuid = uuid::Builder::from_random_bytes(rng.random()).into_uuid();
                    out.push_str(&uuid.to_string());
                }
                Segment::Words(count) => out.push_str(&text(*count)),
                Segment::Int(low, high) => {
                    out.push_str(&rng.random_range(*low..=*high).to_string());
                }
                Segment::Choice(options) => {
                    let option = options.choose(&mut rng);
                    out.push_str(option.expect("split yields at least one option"));
                }
            }
        }
        Bytes::from(out)
    }
}

impl FromStr for BodyTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        let mut rest = text;
        while let Some((before, placeholder)) = rest.split_once("{{") {
            let (placeholder, after) = placeholder
                .split_once("}}")
                .ok_or_else(|| "`{{` without `}}`".to_owned())?;
            segments.push(Segment::Text(before.to_owned()));
            segments.push(segment(placeholder.trim())?);
            rest = after;
        }
        segments.push(Segment::Text(rest.to_owned()));
        Ok(Self { segments })
    }
}

fn segment(placeholder: &str) -> Result<Segment, String> {
    let broken = || {
        format!("`{{{{{placeholder}}}}}` is not one of n, uuid, words:N, int:A..B, choice:a|b|c")
    };
    let (name, value) = placeholder.split_once(':').unwrap_or((placeholder, ""));
    match name {
        "n" => Ok(Segment::Number),
        "uuid" => Ok(Segment::Uuid),
        "words" => {
            let count: usize = value.parse().map_err(|_| broken())?;
            (count <= WORDS_MAX)
                .then_some(Segment::Words(count))
                .ok_or_else(broken)
        }
        "int" => {
            let (low, high) = value.split_once("..").ok_or_else(broken)?;
            let (low, high) = (low.parse(), high.parse());
            match (low, high) {
                (Ok(low), Ok(high)) if low <= high => Ok(Segment::Int(low, high)),
                _ => Err(broken()),
            }
        }
        "choice" => Ok(Segment::Choice(
            value.split('|').map(str::to_owned).collect(),
        )),
        _ => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_by_number_and_seed_alone() {
        let pattern: BodyTemplate =
            r#"{"n": {{n}}, "id": "{{uuid}}", "w": "{{ words:2 }}", "i": {{int:-1..1}}, "c": "{{choice:a|b}}"}"#
                .parse()
                .unwrap();
        let fill = |seed, number| -> serde_json::Value {
            serde_json::from_slice(&pattern.fill(seed, number)).unwrap()
        };
        let seventh = fill(1, 7);
        assert_eq!(
            (&seventh["n"], &seventh["w"]),
            (&7.into(), &"the customer".into())
        );
        assert!((-1..=1).contains(&seventh["i"].as_i64().unwrap()));
        let id = seventh["id"].as_str().unwrap();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
        assert_eq!(seventh, fill(1, 7));
        assert_ne!(seventh["id"], fill(1, 8)["id"]);
        assert_ne!(seventh["id"], fill(2, 7)["id"]);
    }

    #[test]
    fn an_unknown_placeholder_is_named() {
        for (text, expect) in [
            ("{{n", "`{{` without `}}`"),
            ("{{now}}", "`{{now}}` is not one of"),
            ("{{words:x}}", "`{{words:x}}` is not one of"),
            ("{{int:2..1}}", "`{{int:2..1}}` is not one of"),
        ] {
            let error = text.parse::<BodyTemplate>().unwrap_err();
            assert!(error.contains(expect), "{error}");
        }
        let plain: BodyTemplate = "{}".parse().unwrap();
        assert_eq!(plain.fill(1, 1), "{}");
    }
}
