//! Durations with a unit, as people write them.

use std::time::Duration;

/// `250us`, `500ms`, `10s`, `5m`, `1h`; above zero and at most 24 hours.
///
/// # Errors
/// When there is no unit, no whole number before it, or the duration is out of bounds.
pub fn duration(text: &str) -> Result<Duration, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: Result<Duration, String>, expect: Result<Duration, &str>) {
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
}
