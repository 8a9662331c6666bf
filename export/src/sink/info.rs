//! What only MLflow's REST call can set of a trace: its client request id, and its metadata.
//!
//! Source: MLflow's REST API 3.0, `traces` (StartTraceV3). The call comes after the spans. It
//! merges into what they made, but sets state, time and duration anew, so it repeats them;
//! previews, user, session and usage stay as they are where it names none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use offpath_trace::{Status, Trace};
use serde_json::{Map, Value, json};

/// The trace's part of the call's body, as JSON text: all but where the trace is. `None`: the
/// trace needs no such call.
pub(crate) fn of(trace: &Trace) -> Option<Bytes> {
    let (info, root) = (trace.info.as_ref()?, trace.spans.first()?);
    let state = match root.status {
        Status::Ok => "OK",
        Status::Error(_) => "ERROR",
    };
    let took = root.end.duration_since(root.start).unwrap_or_default();
    let metadata: Map<String, Value> = info
        .metadata
        .iter()
        .map(|(key, value)| (key.to_string(), value.as_str().into()))
        .collect();
    let mut fields = json!({
        "trace_id": format!("tr-{}", trace.id),
        "request_time": timestamp(root.start),
        "execution_duration": format!("{}.{:03}s", took.as_secs(), took.subsec_millis()),
        "state": state,
        "trace_metadata": metadata,
    });
    if let (Some(id), Some(fields)) = (&info.client_request_id, fields.as_object_mut()) {
        fields.insert("client_request_id".to_owned(), id.as_str().into());
    }
    Some(Bytes::from(fields.to_string()))
}

/// The whole body of the call, for a trace of this experiment. The id is graphic ASCII.
pub(super) fn body(fields: &Bytes, experiment_id: &str) -> Vec<u8> {
    let location = json!({
        "type": "MLFLOW_EXPERIMENT",
        "mlflow_experiment": {"experiment_id": experiment_id},
    });
    let head = format!(r#"{{"trace":{{"trace_info":{{"trace_location":{location},"#);
    let rest = fields.get(1..).unwrap_or_default();
    [head.as_bytes(), rest, b"}}"].concat()
}

/// RFC 3339 with milliseconds, by UTC.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// Year, month and day, so many days after 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(millis: u64, expect: &str) {
        assert_eq!(
            timestamp(UNIX_EPOCH + Duration::from_millis(millis)),
            expect
        );
    }

    #[test]
    fn moments_are_written_as_the_calendar_has_them() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_700_000_000_123, "2023-11-14T22:13:20.123Z");
        check(4_107_542_399_999, "2100-02-28T23:59:59.999Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn the_body_is_one_json_value() {
        let fields = Bytes::from_static(br#"{"trace_id":"tr-1","state":"OK"}"#);
        let whole: Value = serde_json::from_slice(&body(&fields, "7")).unwrap();
        let info = &whole["trace"]["trace_info"];
        let experiment = &info["trace_location"]["mlflow_experiment"]["experiment_id"];
        assert_eq!((experiment, &info["state"]), (&"7".into(), &"OK".into()));
    }
}
