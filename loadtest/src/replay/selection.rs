//! Which of the recorded exchanges are sent, and when.

use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use super::exchange::{Content, Exchange};

/// Which exchanges, how fast, how often.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Times of the recording: from the first to before the second.
    pub window: Option<(Duration, Duration)>,
    /// All of these hold.
    pub filters: Vec<Filter>,
    /// No more than so many, the earliest.
    pub limit: usize,
    /// Recorded time over time now: 2 is twice as fast.
    pub speed: f64,
    /// How often all of it is sent, one time after another.
    pub loops: u32,
}

/// `FIELD=TEXT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    field: Field,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Session,
    Path,
    Method,
    Status,
    /// A pointer (RFC 6901) into the request's JSON.
    Body(String),
}

impl Selection {
    /// The exchanges that are sent, their times counted anew from the window's begin.
    #[must_use]
    pub fn of(&self, mut exchanges: Vec<Exchange>) -> Vec<Exchange> {
        if let Some((from, to)) = self.window {
            exchanges.retain(|exchange| (from..to).contains(&exchange.at));
            for exchange in &mut exchanges {
                exchange.at -= from;
            }
        }
        exchanges.retain(|exchange| self.filters.iter().all(|filter| filter.holds(exchange)));
        exchanges.truncate(self.limit);
        exchanges
    }

    /// When each is due and which it is, over all loops; `at` ascends.
    pub(super) fn schedule(
        &self,
        at: Vec<Duration>,
    ) -> impl Iterator<Item = (Duration, usize)> + Send + use<> {
        let speed = self.speed;
        let period = period(&at).div_f64(speed);
        (0..self.loops).flat_map(move |turn| {
            let at = at.clone();
            (0..at.len()).filter_map(move |index| {
                let at = at.get(index)?.div_f64(speed);
                Some((period.saturating_mul(turn).saturating_add(at), index))
            })
        })
    }

    /// How long all of it takes to send.
    pub(super) fn duration(&self, at: &[Duration]) -> Duration {
        period(at).div_f64(self.speed).saturating_mul(self.loops)
    }
}

/// From the first exchange of one loop to that of the next: the last one's time, and one mean gap.
fn period(at: &[Duration]) -> Duration {
    let (Some(last), Ok(gaps)) = (at.last(), u32::try_from(at.len().saturating_sub(1))) else {
        return Duration::from_secs(1);
    };
    let gap = last.checked_div(gaps).unwrap_or_default();
    (*last + gap).max(Duration::from_millis(1))
}

impl Filter {
    fn holds(&self, exchange: &Exchange) -> bool {
        let text = self.text.as_str();
        match &self.field {
            Field::Session => exchange.session.as_deref() == Some(text),
            Field::Path => exchange
                .path
                .as_ref()
                .is_some_and(|path| path.path() == text),
            Field::Method => exchange.method.as_str() == text,
            Field::Status => {
                let status = exchange.answer.status;
                status.is_some_and(|status| status.to_string() == text)
            }
            Field::Body(pointer) => {
                let Content::Whole { body, .. } = &exchange.content else {
                    return false;
                };
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                let found = body.pointer(pointer).map(|found| match found {
                    Value::String(found) => found.clone(),
                    found => found.to_string(),
                });
                found.is_some_and(|found| found == text)
            }
        }
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, text) = text.split_once('=').ok_or("not FIELD=TEXT")?;
        let field = match field {
            "session" => Field::Session,
            "path" => Field::Path,
            "method" => Field::Method,
            "status" => Field::Status,
            pointer if pointer.starts_with('/') => Field::Body(pointer.to_owned()),
            _ => {
                let known = "the field is one of session, path, method, status, /a/pointer";
                return Err(known.to_owned());
            }
        };
        Ok(Self {
            field,
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Method;

    use super::*;
    use crate::replay::exchange::Answer;

    fn exchange(at_ms: u64, session: &str, body: &'static str) -> Exchange {
        Exchange {
            at: Duration::from_millis(at_ms),
            session: Some(session.to_owned()),
            method: Method::POST,
            path: Some("/a?b".parse().unwrap()),
            content: Content::Whole {
                content_type: "application/json",
                body: Bytes::from_static(body.as_bytes()),
            },
            answer: Answer {
                status: Some(200),
                ..Answer::default()
            },
        }
    }

    fn all() -> Selection {
        Selection {
            window: None,
            filters: Vec::new(),
            limit: usize::MAX,
            speed: 1.0,
            loops: 1,
        }
    }

    #[track_caller]
    fn check(selection: &Selection, expect: &[u128]) {
        let exchanges = vec![
            exchange(0, "a", r#"{"model": "x"}"#),
            exchange(100, "b", r#"{"n": 5}"#),
            exchange(300, "a", "{"),
        ];
        let found = selection.of(exchanges);
        let at: Vec<u128> = found.iter().map(|found| found.at.as_millis()).collect();
        assert_eq!(at, expect);
    }

    #[test]
    fn windows_filters_and_limits_select() {
        let millis = Duration::from_millis;
        check(&all(), &[0, 100, 300]);
        let mut window = all();
        window.window = Some((millis(50), millis(300)));
        check(&window, &[50]);
        let mut few = all();
        few.limit = 2;
        check(&few, &[0, 100]);
        for (filter, expect) in [
            ("session=a", &[0, 300][..]),
            ("path=/a", &[0, 100, 300]),
            ("method=GET", &[]),
            ("status=200", &[0, 100, 300]),
            ("/model=x", &[0]),
            ("/n=5", &[100]),
        ] {
            let mut filtered = all();
            filtered.filters = vec![filter.parse().unwrap()];
            check(&filtered, expect);
        }
        assert!(
            "model=x"
                .parse::<Filter>()
                .unwrap_err()
                .contains("one of session")
        );
    }

    #[test]
    fn speed_and_loops_keep_the_recorded_spacing() {
        let mut fast = all();
        (fast.speed, fast.loops) = (2.0, 2);
        let at = [0, 100, 300].map(Duration::from_millis).to_vec();
        assert_eq!(fast.duration(&at), Duration::from_millis(450));
        let due: Vec<(u128, usize)> = fast
            .schedule(at)
            .map(|(at, index)| (at.as_millis(), index))
            .collect();
        let expect = [(0, 0), (50, 1), (150, 2), (225, 0), (275, 1), (375, 2)];
        assert_eq!(due, expect);
        assert_eq!(all().duration(&[Duration::ZERO]), Duration::from_millis(1));
    }
}
