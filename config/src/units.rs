//! Values with units, from their text: sizes, times, ratios, counts, addresses.
//!
//! Every function takes the text of one scalar and returns the value or what is wrong with it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Longer than any wait that is meant; it keeps sums of times from overflowing.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// A size: `4096`, `64KiB`, `8MiB`, `1GB`. Units are powers of 1024 with the `i`, of 1000 without.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let wrong = || format!("`{text}` is not a size, as `4096`, `64KiB` or `1GB`");
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(factor)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes <= usize::MAX / 4)
        .ok_or_else(|| format!("`{text}` is too large"))
}

/// A size of at least one byte.
pub(crate) fn some_bytes(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        0 => Err("must be more than 0".to_owned()),
        bytes => Ok(bytes),
    }
}

/// A time: `250us`, `500ms`, `30s`, `5m`, `1h`. Zero is one too.
///
/// # Errors
/// What is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time, as `250us`, `500ms`, `30s`, `5m` or `1h`");
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let micros: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(micros)
        .map(Duration::from_micros)
        .filter(|duration| *duration <= DURATION_MAX)
        .ok_or_else(|| format!("`{text}` is longer than a year"))
}

/// A time that is not zero.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() {
        return Err("must be more than 0".to_owned());
    }
    Ok(duration)
}

/// A number from 0 to 1.
pub(crate) fn ratio(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| format!("`{text}` is not a number from 0 to 1"))
}

/// A number of events per second, more than 0.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate: &f64| *rate > 0.0 && rate.is_finite())
        .ok_or_else(|| format!("`{text}` is not a number of more than 0"))
}

/// A whole number of at least 1, at most a thousand millions.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    whole(text, 1, 1_000_000_000)
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
    let wrong = || format!("`{text}` is not an address, as `127.0.0.1:8080` or `[::1]:8080`");
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
        .ok_or_else(|| format!("port `{text}` is not in 1..=65535"))
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((digits(number)?, unit))
}

/// Digits alone: Rust's own parser takes a `+` as well.
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
    fn check<T: PartialEq + Debug>(read: fn(&str) -> Result<T, String>, good: &[(&str, T)]) {
        for (text, expect) in good {
            assert_eq!(read(text).as_ref(), Ok(expect), "{text}");
        }
    }

    #[track_caller]
    fn refuse<T: PartialEq + Debug>(read: fn(&str) -> Result<T, String>, bad: &[&str]) {
        for text in bad {
            assert!(read(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn sizes_know_both_kinds_of_units() {
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
        refuse(some_bytes, &["0", "0MiB"]);
    }

    #[test]
    fn times_need_a_unit() {
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
        refuse(some_duration, &["0s", "0us"]);
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
        check(count, &[("1", 1), ("10000", 10_000)]);
        refuse(count, &["0", "-1", "+1", "1.0", "many", "1000000001"]);
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
