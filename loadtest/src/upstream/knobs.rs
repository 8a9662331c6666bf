//! Knobs: the timing, length and faults that a request can set for its response.

use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;
use rand::rngs::SmallRng;

use super::distribution::Distribution;
use crate::units::whole_micros;

/// Maximum wait that a request can set.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Maximum spin that a request can set, in microseconds.
const SPIN_US_MAX: u64 = 1_000_000;
/// Maximum number of tokens that a request can set.
const TOKENS_MAX: u64 = 1_000_000;

/// The gaps between the events of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Gaps {
    Constant(Duration),
    /// Every gap is drawn from a distribution.
    Random(Distribution, Box<SmallRng>),
}

impl Gaps {
    /// Returns the next gap.
    pub(super) fn next(&mut self) -> Duration {
        match self {
            Self::Constant(gap) => *gap,
            Self::Random(distribution, rng) => distribution.draw(rng.as_mut()),
        }
    }
}

/// The knobs of one request. The table in the documentation of [`super`] describes them.
#[derive(Debug, PartialEq)]
pub(super) struct Knobs {
    pub(super) delay: Duration,
    pub(super) spin: Duration,
    pub(super) tokens: usize,
    pub(super) gap: Gaps,
    pub(super) status: Option<StatusCode>,
    pub(super) stall: Option<Duration>,
    pub(super) cut_after_bytes: Option<u64>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            spin: Duration::ZERO,
            tokens: 32,
            gap: Gaps::Constant(Duration::from_millis(2)),
            status: None,
            stall: None,
            cut_after_bytes: None,
        }
    }
}

impl Knobs {
    /// Reads the knobs from query and headers; the query takes precedence. Knobs in neither have
    /// the value of `default`. The error names the knob and its value.
    pub(super) fn read(parts: &Parts, default: Self) -> Result<Self, String> {
        let wait = |name, unit: fn(u64) -> Duration| {
            let units_max = whole_micros(WAIT_MAX) / whole_micros(unit(1));
            Ok::<_, String>(within(parts, name, units_max)?.map(unit))
        };
        Ok(Self {
            delay: wait("x-delay-us", Duration::from_micros)?.unwrap_or(default.delay),
            spin: within(parts, "x-spin-us", SPIN_US_MAX)?
                .map_or(default.spin, Duration::from_micros),
            tokens: within(parts, "x-tokens", TOKENS_MAX)?.map_or(default.tokens, |tokens| {
                usize::try_from(tokens).expect("TOKENS_MAX fits in usize")
            }),
            gap: wait("x-gap-us", Duration::from_micros)?.map_or(default.gap, Gaps::Constant),
            status: read(parts, "x-status")?.or(default.status),
            stall: wait("x-stall-ms", Duration::from_millis)?.or(default.stall),
            cut_after_bytes: read(parts, "x-cut-after")?.or(default.cut_after_bytes),
        })
    }
}

fn within(parts: &Parts, name: &str, max: u64) -> Result<Option<u64>, String> {
    match read(parts, name)? {
        Some(value) if value > max => Err(format!("{name}: `{value}` is greater than {max}")),
        value => Ok(value),
    }
}

fn read<T: FromStr>(parts: &Parts, name: &str) -> Result<Option<T>, String> {
    let key = name.trim_start_matches("x-");
    let query = parts.uri.query().unwrap_or_default();
    let in_query = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(found, _)| *found == key)
        .map(|(_, value)| value);
    let in_headers = || parts.headers.get(name).map(|value| value.as_bytes());
    let Some(value) = in_query.map(str::as_bytes).or_else(in_headers) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value);
    text.parse()
        .map(Some)
        .map_err(|_| format!("{name}: `{text}` is not a valid number"))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[track_caller]
    fn check(uri: &str, headers: &[(&str, &str)], expect: Result<fn(&mut Knobs), &str>) {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let expect = expect.map_err(str::to_owned).map(|change| {
            let mut knobs = Knobs::default();
            change(&mut knobs);
            knobs
        });
        assert_eq!(Knobs::read(&parts, Knobs::default()), expect);
    }

    #[test]
    fn knobs_are_read_from_headers_and_the_query_takes_precedence() {
        check("/", &[], Ok(|_| {}));
        check("/", &[("x-tokens", "7")], Ok(|knobs| knobs.tokens = 7));
        check(
            "/?tokens=5&gap-us=0",
            &[("x-tokens", "7")],
            Ok(|knobs| {
                knobs.tokens = 5;
                knobs.gap = Gaps::Constant(Duration::ZERO);
            }),
        );
        check(
            "/",
            &[
                ("x-stall-ms", "20"),
                ("x-cut-after", "0"),
                ("x-delay-us", "150"),
                ("x-spin-us", "200"),
            ],
            Ok(|knobs| {
                knobs.spin = Duration::from_micros(200);
                knobs.stall = Some(Duration::from_millis(20));
                knobs.cut_after_bytes = Some(0);
                knobs.delay = Duration::from_micros(150);
            }),
        );
    }

    #[test]
    fn a_broken_knob_is_named() {
        check(
            "/?tokens=many",
            &[],
            Err("x-tokens: `many` is not a valid number"),
        );
        check(
            "/",
            &[("x-status", "42")],
            Err("x-status: `42` is not a valid number"),
        );
        check(
            "/",
            &[("x-stall-ms", "600001")],
            Err("x-stall-ms: `600001` is greater than 600000"),
        );
    }
}
