//! Parsers of option values.

use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use offpath_loadtest::client::Target;
use offpath_loadtest::compare::NamedTarget;
use offpath_loadtest::units;

const RATE_RANGE: &str = "must be from 0.001 to 1000000 requests per second";
const RATES_COUNT: &str = "a sweep must have 2 to 100 rates";

/// Parses a rate in requests per second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if (0.001..=1e6).contains(&rate) {
        Ok(rate)
    } else {
        Err(RATE_RANGE.to_owned())
    }
}

/// The rates of a sweep, in requests per second.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rates(pub(super) Vec<f64>);

/// Parses `A,B,C` or `FROM..TO:STEPS`.
pub(super) fn rates(text: &str) -> Result<Rates, String> {
    let broken =
        || "must be a list such as 500,1000,2000 or a range such as 500..4000:8".to_owned();
    let Some((ends, steps)) = text.split_once(':') else {
        let rates: Vec<f64> = text.split(',').map(rate).collect::<Result<_, _>>()?;
        return if (2..=100).contains(&rates.len()) {
            Ok(Rates(rates))
        } else {
            Err(RATES_COUNT.to_owned())
        };
    };
    let (from, to) = ends.split_once("..").ok_or_else(broken)?;
    let (from, to) = (rate(from)?, rate(to)?);
    let steps: u8 = steps.parse().map_err(|_| broken())?;
    if !(2..=100).contains(&steps) {
        return Err(RATES_COUNT.to_owned());
    }
    let step = (to - from) / f64::from(steps - 1);
    let rates = (0..steps)
        .map(|index| from + step * f64::from(index))
        .map(|rate| (rate * 1000.0).round() / 1000.0)
        .collect();
    Ok(Rates(rates))
}

/// Parses a fraction from 0 to 1, written as `1%` or `0.01`.
pub(super) fn fraction(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent, 0.01),
        None => (text, 1.0),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "must be a fraction such as 1% or 0.01")?;
    match number * unit {
        fraction if (0.0..=1.0).contains(&fraction) => Ok(fraction),
        _ => Err("must be from 0% to 100%".to_owned()),
    }
}

/// Parses `FROM..TO`. Without FROM the range begins at zero, without TO it has no end.
pub(super) fn window(text: &str) -> Result<Range<Duration>, String> {
    let (from, to) = text.split_once("..").ok_or("must be FROM..TO")?;
    let bound = |text: &str, default| match text {
        "" => Ok(default),
        text => units::duration(text).map_err(|error| format!("`{text}`: {error}")),
    };
    let (from, to) = (bound(from, Duration::ZERO)?, bound(to, Duration::MAX)?);
    if from < to {
        Ok(from..to)
    } else {
        Err("the range must end after it begins".to_owned())
    }
}

/// Parses a speed such as `2x` or `0.5x`; the `x` is optional.
pub(super) fn times(text: &str) -> Result<f64, String> {
    let times = text
        .trim_end_matches('x')
        .parse::<f64>()
        .map_err(|_| "must be a factor such as 2x".to_owned())?;
    if (0.001..=10_000.0).contains(&times) {
        Ok(times)
    } else {
        Err("must be from 0.001x to 10000x".to_owned())
    }
}

/// Formats the value of an `authorization` header for basic authentication (RFC 7617).
pub(super) fn basic(username: &str, password: &str) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{username}:{password}"))
    )
}

/// Parses a named target, `NAME=URL`.
pub(super) fn named(text: &str) -> Result<NamedTarget, String> {
    let (name, url) = text.split_once('=').ok_or("must be NAME=URL")?;
    if name.is_empty() || name.contains([':', '/']) {
        return Err("must be NAME=URL".to_owned());
    }
    let target = url.parse::<Target>().map_err(|error| error.to_string())?;
    Ok(NamedTarget {
        name: name.to_owned(),
        target,
    })
}

/// Parses a header field, `name: value`.
pub(super) fn header(text: &str) -> Result<(http::HeaderName, http::HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("must be `name: value`")?;
    let name = name
        .trim()
        .parse()
        .map_err(|_| "the name is not a valid HTTP header name")?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| "the value is not a valid HTTP header value")?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug>(found: Result<T, String>, expect: Result<T, &str>) {
        assert_eq!(found, expect.map_err(str::to_owned));
    }

    #[test]
    fn windows_speeds_and_credentials_are_read() {
        let seconds = Duration::from_secs;
        check(window("10s..1m"), Ok(seconds(10)..seconds(60)));
        check(window("..1m"), Ok(Duration::ZERO..seconds(60)));
        let reversed = "the range must end after it begins";
        check(window("1m..10s"), Err(reversed));
        check(window("1m"), Err("must be FROM..TO"));
        check(times("2.5x"), Ok(2.5));
        check(times("0x"), Err("must be from 0.001x to 10000x"));
        // The example of RFC 7617, section 2.
        let known = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(basic("Aladdin", "open sesame"), known);
    }

    #[test]
    fn rates_are_checked() {
        check(rate("0.5"), Ok(0.5));
        check(rate("NaN"), Err(RATE_RANGE));
        check(rate("0"), Err(RATE_RANGE));
        check(rates("5,10.5"), Ok(Rates(vec![5.0, 10.5])));
        check(
            rates("500..2000:4"),
            Ok(Rates(vec![500.0, 1000.0, 1500.0, 2000.0])),
        );
        check(rates("5"), Err(RATES_COUNT));
        let forms = "must be a list such as 500,1000,2000 or a range such as 500..4000:8";
        check(rates("5..9:x"), Err(forms));
        check(rates("5,0"), Err(RATE_RANGE));
        check(fraction("50%"), Ok(0.5));
        check(fraction("0.25"), Ok(0.25));
        check(fraction("101%"), Err("must be from 0% to 100%"));
    }
}
