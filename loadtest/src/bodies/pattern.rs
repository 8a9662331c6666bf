//! A body with places that are filled anew for each request.
//!
//! | place | filled with |
//! | --- | --- |
//! | `{{n}}` | the request's number, from 0 |
//! | `{{uuid}}` | a random UUID (RFC 9562, version 4) |
//! | `{{words:N}}` | N words |
//! | `{{int:A..B}}` | a whole number from A to B, both among them |
//! | `{{choice:a\|b\|c}}` | one of them |

use std::str::FromStr;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::text;

/// The most words of one place.
const WORDS_MAX: usize = 1_000_000;

/// A body with places.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Number,
    Uuid,
    Words(usize),
    Int(i64, i64),
    Choice(Vec<String>),
}

impl Pattern {
    /// The body of a request: a function of the seed and its number.
    #[must_use]
    pub fn fill(&self, seed: u64, number: usize) -> Bytes {
        let of_number = u64::try_from(number).unwrap_or_default();
        let mut rng = SmallRng::seed_from_u64(seed ^ of_number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Number => out.push_str(&number.to_string()),
                Part::Uuid => out.push_str(&uuid(rng.random())),
                Part::Words(count) => out.push_str(&text(*count)),
                Part::Int(low, high) => {
                    out.push_str(&rng.random_range(*low..=*high).to_string());
                }
                Part::Choice(of) => out.push_str(of.choose(&mut rng).map_or("", String::as_str)),
            }
        }
        Bytes::from(out)
    }
}

/// Random but for the version and the variant.
fn uuid(random: u128) -> String {
    let bits = random & !(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let mut out = String::with_capacity(36);
    for (at, digit) in hex.char_indices() {
        if [8, 12, 16, 20].contains(&at) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, place)) = rest.split_once("{{") {
            let (place, after) = place
                .split_once("}}")
                .ok_or_else(|| "`{{` without `}}`".to_owned())?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(part(place.trim())?);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts })
    }
}

fn part(place: &str) -> Result<Part, String> {
    let broken =
        || format!("`{{{{{place}}}}}` is not one of n, uuid, words:N, int:A..B, choice:a|b|c");
    let (name, value) = place.split_once(':').unwrap_or((place, ""));
    match name {
        "n" => Ok(Part::Number),
        "uuid" => Ok(Part::Uuid),
        "words" => {
            let count: usize = value.parse().map_err(|_| broken())?;
            (count <= WORDS_MAX)
                .then_some(Part::Words(count))
                .ok_or_else(broken)
        }
        "int" => {
            let (low, high) = value.split_once("..").ok_or_else(broken)?;
            let (low, high) = (low.parse(), high.parse());
            match (low, high) {
                (Ok(low), Ok(high)) if low <= high => Ok(Part::Int(low, high)),
                _ => Err(broken()),
            }
        }
        "choice" => Ok(Part::Choice(value.split('|').map(str::to_owned).collect())),
        _ => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_by_number_and_seed_alone() {
        let pattern: Pattern =
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
    fn a_place_that_is_none_is_named() {
        for (text, says) in [
            ("{{n", "`{{` without `}}`"),
            ("{{now}}", "`{{now}}` is not one of"),
            ("{{words:x}}", "`{{words:x}}` is not one of"),
            ("{{int:2..1}}", "`{{int:2..1}}` is not one of"),
        ] {
            let error = text.parse::<Pattern>().unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let plain: Pattern = "{}".parse().unwrap();
        assert_eq!(plain.fill(1, 1), "{}");
    }
}
