//! Values of arguments.

use std::time::Duration;

use offpath_loadtest::client::Target;
use offpath_loadtest::compare::Named;
use offpath_loadtest::units;

/// Requests per second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.001..=1e6).contains(&rate) {
        Ok(rate)
    } else {
        Err("not within 0.001 to 1000000 per second".to_owned())
    }
}

/// Rates of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rates(pub(super) Vec<f64>);

/// `A,B,C`, or `FROM..TO:STEPS`, at most 100 of them.
pub(super) fn rates(text: &str) -> Result<Rates, String> {
    let broken = || "not like 500,1000,2000 or 500..4000:8".to_owned();
    let Some((ends, steps)) = text.split_once(':') else {
        let rates: Vec<f64> = text.split(',').map(rate).collect::<Result<_, _>>()?;
        return if (2..=100).contains(&rates.len()) {
            Ok(Rates(rates))
        } else {
            Err("a sweep has 2 to 100 rates".to_owned())
        };
    };
    let (from, to) = ends.split_once("..").ok_or_else(broken)?;
    let (from, to) = (rate(from)?, rate(to)?);
    let steps: u8 = steps.parse().map_err(|_| broken())?;
    if !(2..=100).contains(&steps) {
        return Err("a sweep has 2 to 100 rates".to_owned());
    }
    let step = (to - from) / f64::from(steps - 1);
    let rates = (0..steps).map(|index| from + step * f64::from(index));
    Ok(Rates(
        rates.map(|rate| (rate * 1000.0).round() / 1000.0).collect(),
    ))
}

/// `1%`, `0.01`: from 0 to 1.
pub(super) fn part(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent, 0.01),
        None => (text, 1.0),
    };
    let part: f64 = number.parse().map_err(|_| "not like 1% or 0.01")?;
    match part * unit {
        part if (0.0..=1.0).contains(&part) => Ok(part),
        _ => Err("not within 0% to 100%".to_owned()),
    }
}

/// `FROM..TO`, either of them left out: the begin, the end.
pub(super) fn window(text: &str) -> Result<(Duration, Duration), String> {
    let (from, to) = text.split_once("..").ok_or("not FROM..TO")?;
    let end = |text: &str, absent| match text {
        "" => Ok(absent),
        text => units::duration(text).map_err(|error| format!("`{text}`: {error}")),
    };
    let (from, to) = (end(from, Duration::ZERO)?, end(to, Duration::MAX)?);
    if from < to {
        Ok((from, to))
    } else {
        Err("it ends before it begins".to_owned())
    }
}

/// `2x`, `0.5x`, also without the `x`.
pub(super) fn times(text: &str) -> Result<f64, String> {
    let times = text.trim_end_matches('x').parse::<f64>();
    match times.map_err(|_| "not like `2x`".to_owned())? {
        times if (0.001..=10_000.0).contains(&times) => Ok(times),
        _ => Err("not within 0.001x to 10000x".to_owned()),
    }
}

/// The value of an `authorization` header (RFC 7617).
pub(super) fn basic(username: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let plain = format!("{username}:{password}");
    let mut out = "Basic ".to_owned();
    for chunk in plain.as_bytes().chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap_or_default();
            let digit = DIGITS.get(index).filter(|_| digit <= chunk.len());
            out.push(char::from(*digit.unwrap_or(&b'=')));
        }
    }
    out
}

/// `NAME=URL`.
pub(super) fn named(text: &str) -> Result<Named, String> {
    let (name, url) = text.split_once('=').ok_or("not NAME=URL")?;
    if name.is_empty() || name.contains([':', '/']) {
        return Err("not NAME=URL".to_owned());
    }
    let target = url.parse::<Target>().map_err(|error| error.to_string())?;
    Ok(Named {
        name: name.to_owned(),
        target,
    })
}

/// `name: value`.
pub(super) fn header(text: &str) -> Result<(http::HeaderName, http::HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("not `name: value`")?;
    let name = name
        .trim()
        .parse()
        .map_err(|_| "the name is not one http allows")?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| "the value is not one http allows")?;
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
        check(window("10s..1m"), Ok((seconds(10), seconds(60))));
        check(window("..1m"), Ok((Duration::ZERO, seconds(60))));
        check(window("1m..10s"), Err("it ends before it begins"));
        check(window("1m"), Err("not FROM..TO"));
        check(times("2.5x"), Ok(2.5));
        check(times("0x"), Err("not within 0.001x to 10000x"));
        // The example of RFC 7617, and the other two lengths.
        let known = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(basic("Aladdin", "open sesame"), known);
        assert_eq!(basic("a", "bc"), "Basic YTpiYw==");
        assert_eq!(basic("a", "b"), "Basic YTpi");
    }

    #[test]
    fn rates_are_checked() {
        check(rate("0.5"), Ok(0.5));
        check(rate("NaN"), Err("not within 0.001 to 1000000 per second"));
        check(rate("0"), Err("not within 0.001 to 1000000 per second"));
        check(rates("5,10.5"), Ok(Rates(vec![5.0, 10.5])));
        check(
            rates("500..2000:4"),
            Ok(Rates(vec![500.0, 1000.0, 1500.0, 2000.0])),
        );
        check(rates("5"), Err("a sweep has 2 to 100 rates"));
        check(
            rates("5..9:x"),
            Err("not like 500,1000,2000 or 500..4000:8"),
        );
        check(rates("5,0"), Err("not within 0.001 to 1000000 per second"));
        check(part("50%"), Ok(0.5));
        check(part("0.25"), Ok(0.25));
        check(part("101%"), Err("not within 0% to 100%"));
    }
}
