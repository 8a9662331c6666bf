//! Durations with a unit, as people write them, and conversions to the integers of reports.

use std::time::Duration;

/// Parses `250us`, `500ms`, `10s`, `5m` or `1h`: a whole number and a unit, above zero and at most
/// 24 hours.
///
/// # Errors
/// When the unit is missing or unknown, no whole number precedes it, or the duration is out of
/// bounds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let micros: u64 = match &text[digits.len()..] {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return Err("the unit must be us, ms, s, m or h".to_owned()),
    };
    let count: u64 = digits
        .parse()
        .map_err(|_| "must be a whole number with a unit".to_owned())?;
    match count.checked_mul(micros) {
        Some(micros) if (1..=86_400_000_000).contains(&micros) => Ok(Duration::from_micros(micros)),
        _ => Err("must be above zero and at most 24 hours".to_owned()),
    }
}

/// Converts a count to the integer type of reports.
pub(crate) fn count(count: usize) -> u64 {
    u64::try_from(count).expect("usize has at most 64 bits on every platform Rust supports")
}

/// Whole milliseconds, saturating: `Duration::MAX` has more than fit.
#[must_use]
pub fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whole microseconds, saturating: `Duration::MAX` has more than fit.
#[must_use]
pub fn whole_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Nanoseconds, saturating at 584 years.
#[must_use]
pub fn whole_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
        let out_of_bounds = "must be above zero and at most 24 hours";
        check(duration("10"), Err("the unit must be us, ms, s, m or h"));
        check(duration("-1s"), Err("must be a whole number with a unit"));
        check(duration("0s"), Err(out_of_bounds));
        check(duration("18446744073709551615h"), Err(out_of_bounds));
    }
}
