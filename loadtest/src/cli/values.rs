//! Values of arguments.

use std::time::Duration;

/// `250us`, `500ms`, `10s`, `5m`, `1h`; above zero.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits).unwrap_or_default();
    let micros: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return Err("the unit is one of us, ms, s, m, h".to_owned()),
    };
    let count: u64 = digits
        .parse()
        .map_err(|_| "not a whole number".to_owned())?;
    match count.checked_mul(micros) {
        Some(micros) if (1..=86_400_000_000).contains(&micros) => Ok(Duration::from_micros(micros)),
        _ => Err("not above zero and at most 24 hours".to_owned()),
    }
}

/// Requests per second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.001..=1e6).contains(&rate) {
        Ok(rate)
    } else {
        Err("not within 0.001 to 1000000 per second".to_owned())
    }
}

/// `ROWSxCOLS`.
pub(super) fn shape(text: &str) -> Result<(usize, usize), String> {
    let broken = || "not ROWSxCOLS, as in 1000x20".to_owned();
    let (rows, cols) = text.split_once('x').ok_or_else(broken)?;
    let rows: usize = rows.parse().map_err(|_| broken())?;
    let cols: usize = cols.parse().map_err(|_| broken())?;
    match rows.checked_mul(cols) {
        Some(cells) if cells <= 20_000_000 => Ok((rows, cols)),
        _ => Err("over 20 million cells".to_owned()),
    }
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
    fn durations_have_a_unit_and_a_limit() {
        check(duration("250us"), Ok(Duration::from_micros(250)));
        check(duration("10s"), Ok(Duration::from_secs(10)));
        check(duration("1h"), Ok(Duration::from_secs(3600)));
        check(duration("10"), Err("the unit is one of us, ms, s, m, h"));
        check(duration("-1s"), Err("not a whole number"));
        check(duration("0s"), Err("not above zero and at most 24 hours"));
        check(
            duration("18446744073709551615h"),
            Err("not above zero and at most 24 hours"),
        );
    }

    #[test]
    fn rates_and_shapes_are_checked() {
        check(rate("0.5"), Ok(0.5));
        check(rate("NaN"), Err("not within 0.001 to 1000000 per second"));
        check(rate("0"), Err("not within 0.001 to 1000000 per second"));
        check(shape("1000x20"), Ok((1000, 20)));
        check(shape("1000"), Err("not ROWSxCOLS, as in 1000x20"));
        check(shape("9999999999x9999999999"), Err("over 20 million cells"));
    }
}
