//! Azure's LLM inference traces: `TIMESTAMP,ContextTokens,GeneratedTokens`, no text.
//!
//! Source: <https://github.com/Azure/AzurePublicDataset>, 2023 and 2024. Timestamps are dates with
//! up to seven digits of a second, without a zone or with one of UTC.

use std::time::Duration;

use http::Method;

use super::from_first;
use crate::replay::exchange::{Answer, Content, Exchange, Lengths};

const COLUMNS: [&str; 3] = ["timestamp", "contexttokens", "generatedtokens"];

/// Reads a whole file. The error is a line and what is wrong with it.
pub(super) fn read(text: &str) -> Result<Vec<Exchange>, (usize, String)> {
    let mut lines = (1..).zip(text.lines());
    let (_, head) = lines.next().unwrap_or((1, ""));
    let head: Vec<String> = head
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    if !head.starts_with(&COLUMNS.map(str::to_owned)) {
        let reason = "the columns are not TIMESTAMP,ContextTokens,GeneratedTokens";
        return Err((1, reason.to_owned()));
    }
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let mut exchanges = Vec::new();
    for (number, line) in lines {
        exchanges.push(exchange(line, number).map_err(|reason| (number, reason))?);
    }
    Ok(from_first(exchanges))
}

fn exchange(line: &str, number: usize) -> Result<Exchange, String> {
    let mut fields = line.split(',').map(str::trim);
    let mut field = |name| fields.next().ok_or(format!("no {name}"));
    let timestamp = field("TIMESTAMP")?;
    let at = instant(timestamp).ok_or(format!("`{timestamp}` is not a time"))?;
    let mut tokens = |name| {
        let text = field(name)?;
        text.parse::<u32>()
            .map_err(|_| format!("{name}: `{text}` is not a number of tokens"))
    };
    let (input, output) = (tokens("ContextTokens")?, tokens("GeneratedTokens")?);
    Ok(Exchange {
        at,
        session: None,
        method: Method::POST,
        path: None,
        content: Content::Lengths(Lengths {
            input: usize::try_from(input).unwrap_or(usize::MAX),
            output: Some(output.into()),
            blocks: Vec::new(),
            number,
        }),
        answer: Answer {
            input_tokens: Some(input.into()),
            output_tokens: Some(output.into()),
            ..Answer::default()
        },
    })
}

/// `2023-11-16 18:17:03.9799600` since the epoch.
fn instant(text: &str) -> Option<Duration> {
    let text = text.trim_end_matches('Z').trim_end_matches("+00:00");
    let (date, time) = text.split_once([' ', 'T'])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let hour: u64 = time.next()?.parse().ok().filter(|hour| *hour < 24)?;
    let minute: u64 = time.next()?.parse().ok().filter(|minute| *minute < 60)?;
    let (second, fraction) = time.next().map(|s| s.split_once('.').unwrap_or((s, "0")))?;
    let second: u64 = second.parse().ok().filter(|second| *second <= 60)?;
    if fraction.is_empty() || fraction.len() > 9 || !(1..=12).contains(&month) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").parse().ok()?;
    let days = u64::try_from(days_since_epoch(year, month, day)).ok()?;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Duration::new(seconds, nanos))
}

/// Days of the Gregorian calendar; the year is taken to begin in March, so that a leap day is its
/// last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_last_digit_across_months_and_years() {
        assert_eq!(
            instant("1970-01-01 00:00:00.0000001"),
            Some(Duration::from_nanos(100))
        );
        assert_eq!(
            instant("2024-03-01 00:00:00"),
            Some(Duration::from_secs(1_709_251_200))
        );
        assert_eq!(
            instant("2023-11-16T18:17:03.9799600+00:00"),
            Some(Duration::new(1_700_158_623, 979_960_000))
        );
        for broken in ["", "2023-11-16", "2023-13-16 18:17:03", "2023-11-16 18:17"] {
            assert_eq!(instant(broken), None, "{broken}");
        }
    }

    #[test]
    fn rows_are_ordered_and_a_broken_one_is_named() {
        let head = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
        let rows = "2023-11-16 00:00:01.5,8,2\r\n2023-11-16 00:00:00.0,4,1";
        let read = |rows: &str| super::read(&format!("{head}{rows}"));
        let exchanges = read(rows).unwrap();
        let at: Vec<u128> = exchanges.iter().map(|found| found.at.as_millis()).collect();
        assert_eq!(at, [0, 1500]);
        assert_eq!(exchanges[1].answer.output_tokens, Some(2));
        let error = read(&format!("{rows}\n2023-11-16 00:00:02,x,1")).unwrap_err();
        let reason = "ContextTokens: `x` is not a number of tokens";
        assert_eq!(error, (4, reason.to_owned()));
        assert_eq!(super::read("a,b\n").unwrap_err().0, 1);
    }
}
