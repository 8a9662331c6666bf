//! Parses single values: sizes, durations, ratios, counts, addresses.
//!
//! Every function takes the text of a value and returns the value, or why the text is not one.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// The largest count: a thousand millions.
pub(crate) const COUNT_MAX: usize = 1_000_000_000;

/// Longer than any useful wait. The limit keeps sums of durations from overflowing.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// The units of a size and their bytes: powers of 1000 and, with an `i`, of 1024.
const SIZES: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// The units of a duration and their microseconds.
const TIMES: [(&str, u64); 5] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
];

/// A size: `4096`, `64KiB`, `8MiB`, `1GB`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let examples = "not a size (for example `4096`, `64KiB` or `1GB`)";
    scaled(text, &SIZES, examples)?
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes <= usize::MAX / 4)
        .ok_or_else(|| format!("`{text}` is too large"))
}

/// A duration: `250us`, `500ms`, `30s`, `5m`, `1h`. May be zero.
///
/// # Errors
/// Why the text is not a duration of at most a year.
pub fn duration(text: &str) -> Result<Duration, String> {
    let examples = "not a duration (for example `250us`, `500ms`, `30s`, `5m` or `1h`)";
    scaled(text, &TIMES, examples)?
        .map(Duration::from_micros)
        .filter(|duration| *duration <= DURATION_MAX)
        .ok_or_else(|| format!("`{text}` is longer than a year"))
}

/// Digits and a unit, multiplied; `None` if the product is too large. `examples` ends the message for
/// any other text.
fn scaled(text: &str, units: &[(&str, u64)], examples: &str) -> Result<Option<u64>, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let wrong = || format!("`{text}` is {examples}");
    let number = digits(number).ok_or_else(wrong)?;
    match units.iter().find(|(known, _)| *known == unit) {
        Some((_, factor)) => Ok(number.checked_mul(*factor)),
        None => Err(match meant(unit, units) {
            Some(known) => format!("{}, did you mean `{number}{known}`?", wrong()),
            None => wrong(),
        }),
    }
}

/// The unit that differs in case alone, or by the `B` that Kubernetes leaves out.
fn meant<'a>(unit: &str, units: &[(&'a str, u64)]) -> Option<&'a str> {
    let with_b = format!("{unit}B");
    let same =
        |known: &str| known.eq_ignore_ascii_case(unit) || known.eq_ignore_ascii_case(&with_b);
    let mut units = units.iter().map(|(known, _)| *known);
    units.find(|known| !unit.is_empty() && same(known))
}

/// A number from 0 to 1.
pub(crate) fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok();
    ratio
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| format!("`{text}` is not a number from 0 to 1{}", percent(text)))
}

/// A hint for a text like `5%`.
fn percent(text: &str) -> String {
    let number: Option<f64> = text.strip_suffix('%').and_then(|text| text.parse().ok());
    match number.filter(|number| (0.0..=100.0).contains(number)) {
        Some(number) => format!(", did you mean `{}`?", number / 100.0),
        None => String::new(),
    }
}

/// A number of events per second, more than 0.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate: &f64| *rate > 0.0 && rate.is_finite())
        .ok_or_else(|| format!("`{text}` is not a number above 0"))
}

/// A whole number from `least` to `most`.
pub(crate) fn whole(text: &str, least: usize, most: usize) -> Result<usize, String> {
    digits(text)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("`{text}` is not a whole number from {least} to {most}"))
}

/// `true` or `false`, as YAML 1.2 writes them.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err(format!("`{text}` is not `true` or `false`")),
    }
}

/// An address to listen on: `0.0.0.0:8080`, `[::1]:8080`, or `localhost:8080`.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong =
        || format!("`{text}` is not an address (for example `127.0.0.1:8080` or `[::1]:8080`)");
    let (host, port_text) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port(port_text)?;
    if host == "localhost" {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| wrong())
}

/// A TCP port that can be connected to.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    digits(text)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("port `{text}` is not a number from 1 to 65535"))
}

/// Digits alone: Rust's own parser accepts a `+` as well.
fn digits(text: &str) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    #[track_caller]
    fn check<T: PartialEq + Debug>(read: impl Fn(&str) -> Result<T, String>, good: &[(&str, T)]) {
        for (text, expect) in good {
            assert_eq!(read(text).as_ref(), Ok(expect), "{text}");
        }
    }

    #[track_caller]
    fn refuse<T: PartialEq + Debug>(read: impl Fn(&str) -> Result<T, String>, bad: &[&str]) {
        for text in bad {
            assert!(read(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        let good = [
            ("0", 0),
            ("4096", 4096),
            ("1B", 1),
            ("64KiB", 65_536),
            ("8MiB", 8 << 20),
            ("1GiB", 1 << 30),
            ("1KB", 1000),
            ("2MB", 2_000_000),
            ("1GB", 1_000_000_000),
        ];
        check(bytes, &good);
        refuse(
            bytes,
            &["", "KiB", "-1", "+1", "1.5MiB", "1 MiB", "1mib", "1TB"],
        );
        refuse(bytes, &["99999999999999999999", "99999999999GiB"]);
    }

    #[test]
    fn durations_need_a_unit() {
        let good = [
            ("0s", Duration::ZERO),
            ("250us", Duration::from_micros(250)),
            ("500ms", Duration::from_millis(500)),
            ("30s", Duration::from_secs(30)),
            ("5m", Duration::from_secs(300)),
            ("1h", Duration::from_secs(3600)),
        ];
        check(duration, &good);
        refuse(
            duration,
            &["", "30", "s", "-1s", "1.5s", "1 s", "1d", "1µs", "9000h"],
        );
    }

    #[test]
    fn ratios_lie_between_nothing_and_everything() {
        check(
            ratio,
            &[("0", 0.0), ("1", 1.0), ("0.05", 0.05), ("1e-3", 0.001)],
        );
        refuse(
            ratio,
            &["", "-0.1", "1.0001", "NaN", "inf", ".nan", "half", "5%"],
        );
    }

    #[test]
    fn rates_are_positive() {
        check(rate, &[("10", 10.0), ("0.5", 0.5)]);
        refuse(rate, &["", "0", "-1", "inf", "NaN", "10/s"]);
    }

    #[test]
    fn counts_are_positive_and_bounded() {
        let count = |text: &str| whole(text, 1, COUNT_MAX);
        check(count, &[("1", 1), ("10000", 10_000)]);
        refuse(count, &["0", "-1", "+1", "1.0", "many", "1000000001"]);
    }

    #[test]
    fn a_wrong_unit_that_is_nearly_right_is_corrected() {
        let message = |text: &str| bytes(text).unwrap_err();
        for text in ["128Mi", "128mib", "128MIB"] {
            let hint = "did you mean `128MiB`?";
            assert!(message(text).ends_with(hint), "{}", message(text));
        }
        for text in ["128", "128X", "Mi"] {
            let hint = bytes(text)
                .err()
                .filter(|message| message.contains("did you mean"));
            assert_eq!(hint, None, "{text}");
        }
        assert!(
            duration("30S")
                .unwrap_err()
                .ends_with("did you mean `30s`?")
        );
        assert!(ratio("5%").unwrap_err().ends_with("did you mean `0.05`?"));
    }

    #[test]
    fn addresses_have_a_port_that_is_not_zero() {
        let good = [
            ("0.0.0.0:8080", "0.0.0.0:8080".parse().unwrap()),
            ("[::1]:65535", "[::1]:65535".parse().unwrap()),
            ("localhost:1", "127.0.0.1:1".parse().unwrap()),
        ];
        check(address, &good);
        refuse(address, &["", "8080", ":8080", "0.0.0.0", "0.0.0.0:0"]);
        refuse(
            address,
            &["0.0.0.0:65536", "0.0.0.0:+80", "::1", "example.com:80"],
        );
    }
}
