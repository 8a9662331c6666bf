//! Selects the recorded exchanges to send, and schedules them.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use super::exchange::{Exchange, RequestBody};
use crate::run::Due;

/// The exchanges to send, how fast, and how often.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Only exchanges within this range of recorded time.
    pub window: Option<Range<Duration>>,
    /// Only exchanges that match all of these filters.
    pub filters: Vec<Filter>,
    /// At most this number of exchanges, the earliest ones.
    pub limit: usize,
    /// Recorded time divided by replayed time: 2 is twice as fast.
    pub speed: f64,
    /// Number of passes over the recording.
    pub loops: u32,
}

/// A condition on an exchange; `FromStr` parses `FIELD=TEXT`.
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
    /// A JSON pointer (RFC 6901) into the request body.
    Body(String),
}

impl Selection {
    /// Returns the exchanges to send, with their times relative to the beginning of the window.
    #[must_use]
    pub fn apply(&self, mut exchanges: Vec<Exchange>) -> Vec<Exchange> {
        if let Some(window) = &self.window {
            exchanges.retain(|exchange| window.contains(&exchange.at));
            for exchange in &mut exchanges {
                exchange.at -= window.start;
            }
        }
        exchanges.retain(|exchange| self.filters.iter().all(|filter| filter.matches(exchange)));
        exchanges.truncate(self.limit);
        exchanges
    }

    /// The schedule over all loops. `at` contains the ascending times of the exchanges.
    pub(super) fn schedule(&self, at: Vec<Duration>) -> impl Iterator<Item = Due> + Send + use<> {
        let speed = self.speed;
        let period = period(&at).div_f64(speed);
        (0..self.loops).flat_map(move |turn| {
            let at = at.clone();
            let start = period.saturating_mul(turn);
            at.into_iter().enumerate().map(move |(request, at)| Due {
                offset: start.saturating_add(at.div_f64(speed)),
                request,
            })
        })
    }

    /// The time in which requests are due, over all loops.
    pub(super) fn duration(&self, at: &[Duration]) -> Duration {
        period(at).div_f64(self.speed).saturating_mul(self.loops)
    }
}

/// The time between the beginnings of two loops: that of the last exchange plus one mean gap.
fn period(at: &[Duration]) -> Duration {
    let (Some(last), Ok(gaps)) = (at.last(), u32::try_from(at.len().saturating_sub(1))) else {
        return Duration::from_secs(1);
    };
    let gap = last.checked_div(gaps).unwrap_or_default();
    (*last + gap).max(Duration::from_millis(1))
}

impl Filter {
    fn matches(&self, exchange: &Exchange) -> bool {
        let text = self.text.as_str();
        match &self.field {
            Field::Session => exchange.session.as_deref() == Some(text),
            Field::Path => exchange
                .path
                .as_ref()
                .is_some_and(|path| path.path() == text),
            Field::Method => exchange.method.as_str() == text,
            Field::Status => {
                let status = exchange.response.status;
                status.is_some_and(|status| status.to_string() == text)
            }
            Field::Body(pointer) => {
                let RequestBody::Recorded { body, .. } = &exchange.body else {
                    return false;
                };
                let Ok(body) = serde_json::from_slice::<Value>(body) else {
                    return false;
                };
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
        let (field, text) = text.split_once('=').ok_or("must be FIELD=TEXT")?;
        let field = match field {
            "session" => Field::Session,
            "path" => Field::Path,
            "method" => Field::Method,
            "status" => Field::Status,
            pointer if pointer.starts_with('/') => Field::Body(pointer.to_owned()),
            _ => {
                let known = "the field must be session, path, method, status or a /json/pointer";
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
    use crate::replay::exchange::RecordedResponse;

    fn exchange(at_ms: u64, session: &str, body: &'static str) -> Exchange {
        Exchange {
            at: Duration::from_millis(at_ms),
            session: Some(session.to_owned()),
            method: Method::POST,
            path: Some("/a?b".parse().unwrap()),
            body: RequestBody::Recorded {
                content_type: "application/json",
                body: Bytes::from_static(body.as_bytes()),
            },
            response: RecordedResponse {
                status: Some(200),
                ..RecordedResponse::default()
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
        let found = selection.apply(exchanges);
        let at: Vec<u128> = found.iter().map(|found| found.at.as_millis()).collect();
        assert_eq!(at, expect);
    }

    #[test]
    fn windows_filters_and_limits_select() {
        let millis = Duration::from_millis;
        check(&all(), &[0, 100, 300]);
        let mut window = all();
        window.window = Some(millis(50)..millis(300));
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
        let error = "model=x".parse::<Filter>().unwrap_err();
        assert!(error.contains("must be session, path"), "{error}");
    }

    #[test]
    fn speed_and_loops_keep_the_recorded_spacing() {
        let mut fast = all();
        (fast.speed, fast.loops) = (2.0, 2);
        let at = [0, 100, 300].map(Duration::from_millis).to_vec();
        assert_eq!(fast.duration(&at), Duration::from_millis(450));
        let due: Vec<(u128, usize)> = fast
            .schedule(at)
            .map(|due| (due.offset.as_millis(), due.request))
            .collect();
        let expect = [(0, 0), (50, 1), (150, 2), (225, 0), (275, 1), (375, 2)];
        assert_eq!(due, expect);
        assert_eq!(all().duration(&[Duration::ZERO]), Duration::from_millis(1));
    }
}
