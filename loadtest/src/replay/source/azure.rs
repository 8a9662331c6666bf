//! Azure's LLM inference traces: `TIMESTAMP,ContextTokens,GeneratedTokens`, without text.
//!
//! Source: <https://github.com/Azure/AzurePublicDataset>, 2023 and 2024. Timestamps have up to seven
//! decimals of a second, and either no zone or that of UTC.

use std::time::{Duration, UNIX_EPOCH};

use http::Method;

use super::from_first;
use crate::bodies::LineError;
use crate::replay::exchange::{Exchange, Lengths, RecordedResponse, RequestBody};

const COLUMNS: [&str; 3] = ["timestamp", "contexttokens", "generatedtokens"];

/// Parses the text of a file.
pub(super) fn read(text: &str) -> Result<Vec<Exchange>, LineError> {
    let mut lines = (1..).zip(text.lines());
    let head: Vec<String> = lines
        .next()
        .map_or("", |(_, head)| head)
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    if !head.starts_with(&COLUMNS.map(str::to_owned)) {
        return Err(LineError {
            line: 1,
            reason: "the columns must be TIMESTAMP,ContextTokens,GeneratedTokens".to_owned(),
        });
    }
    let mut exchanges = Vec::new();
    for (line, row) in lines.filter(|(_, row)| !row.trim().is_empty()) {
        exchanges.push(exchange(row, line).map_err(|reason| LineError { line, reason })?);
    }
    Ok(from_first(exchanges))
}

fn exchange(row: &str, number: usize) -> Result<Exchange, String> {
    let mut fields = row.split(',').map(str::trim);
    let mut field = |name| fields.next().ok_or_else(|| format!("{name} is missing"));
    let timestamp = field("TIMESTAMP")?;
    let at = instant(timestamp).ok_or_else(|| format!("`{timestamp}` is not a timestamp"))?;
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
        body: RequestBody::Generated(Lengths {
            input: usize::try_from(input).expect("usize has at least 32 bits"),
            output: Some(output.into()),
            blocks: Vec::new(),
            number,
        }),
        response: RecordedResponse {
            input_tokens: Some(input.into()),
            output_tokens: Some(output.into()),
            ..RecordedResponse::default()
        },
    })
}

/// Parses `2023-11-16 18:17:03.9799600`, in UTC, as the time since the epoch.
fn instant(text: &str) -> Option<Duration> {
    let without_zone = text.strip_suffix("+00:00").unwrap_or(text);
    let time = humantime::parse_rfc3339_weak(without_zone).ok()?;
    time.duration_since(UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_parsed_to_the_last_digit_across_months_and_years() {
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
        let broken = [
            "",
            "2023-11-16",
            "2023-13-16 18:17:03",
            "2023-02-29 18:17:03",
            "2023-11-16 18:17",
        ];
        for broken in broken {
            assert_eq!(instant(broken), None, "{broken}");
        }
    }

    #[test]
    fn rows_are_sorted_and_an_invalid_one_is_named() {
        let head = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
        let rows = "2023-11-16 00:00:01.5,8,2\r\n2023-11-16 00:00:00.0,4,1";
        let read = |rows: &str| super::read(&format!("{head}{rows}"));
        let exchanges = read(rows).unwrap();
        let at: Vec<u128> = exchanges.iter().map(|found| found.at.as_millis()).collect();
        assert_eq!(at, [0, 1500]);
        assert_eq!(exchanges[1].response.output_tokens, Some(2));
        let error = read(&format!("{rows}\n2023-11-16 00:00:02,x,1")).unwrap_err();
        let expect = "line 4: ContextTokens: `x` is not a number of tokens";
        assert_eq!(error.to_string(), expect);
        assert_eq!(super::read("a,b\n").unwrap_err().line, 1);
    }
}
