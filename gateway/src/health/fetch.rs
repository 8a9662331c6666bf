//! Reads the traces of a window from MLflow, page by page, and sorts them into groups.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use offpath_config::{CaptureLevel, Config, ExperimentRef, MlflowSink};
use offpath_export::{FoundTrace, Reader};
use serde::Serialize;
use serde_json::Value;

use super::figures::{Observed, Tokens};

/// More traces than these are not judged: a narrower window says as much.
const TRACES_MAX: usize = 2_000_000;

/// Groups beyond this many are put together, as users and sessions are not bounded.
const GROUPS_MAX: usize = 1_000;

/// Name of the group of traces that do not say, and of those beyond the limit.
const OTHER: &str = "other";

/// Which of a trace's properties tells groups apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Tag(String),
    Metadata(&'static str),
}

/// What to read.
pub(super) struct Search<'a> {
    pub(super) config: &'a Config,
    /// Its name and settings.
    pub(super) sink: (&'a str, &'a MlflowSink),
    /// Names or ids; empty: those of the routes.
    pub(super) experiments: &'a [String],
    pub(super) window: Duration,
    pub(super) filter: Option<&'a str>,
    pub(super) by: Option<&'a Key>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The groups by name; one named `all` where nothing tells them apart.
    pub(super) groups: Vec<(String, Vec<Observed>)>,
    /// Experiments of routes that MLflow does not have yet.
    pub(super) absent: Vec<Absent>,
}

/// An experiment that does not exist: it is made with its first trace.
#[derive(Debug, Serialize)]
pub(super) struct Absent {
    pub(super) experiment: Arc<str>,
    /// The routes that record into it.
    pub(super) routes: Vec<Arc<str>>,
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("tag:")) {
            ("route", _) => Ok(Self::Tag("offpath.route".to_owned())),
            ("user", _) => Ok(Self::Metadata("mlflow.trace.user")),
            ("session", _) => Ok(Self::Metadata("mlflow.trace.session")),
            (_, Some(key)) if !key.is_empty() => Ok(Self::Tag(key.to_owned())),
            _ => Err(format!(
                "`{text}` is not `route`, `user`, `session` or `tag:KEY`"
            )),
        }
    }
}

impl Key {
    fn of(&self, trace: &FoundTrace) -> Option<String> {
        let value = match self {
            Self::Tag(key) => trace.tags.get(key),
            Self::Metadata(key) => trace.metadata.get(*key),
        };
        value.and_then(Value::as_str).map(str::to_owned)
    }
}

impl Search<'_> {
    /// Reads all pages.
    pub(super) async fn run(&self) -> anyhow::Result<Found> {
        let reader = Reader::new(self.sink.1).context("cannot read from the sink")?;
        let (ids, absent) = self.experiment_ids(&reader).await?;
        let groups = if ids.is_empty() {
            Vec::new()
        } else {
            self.groups(&reader, &ids).await?
        };
        Ok(Found { groups, absent })
    }

    async fn groups(
        &self,
        reader: &Reader,
        ids: &[String],
    ) -> anyhow::Result<Vec<(String, Vec<Observed>)>> {
        let filter = self.filter_since(SystemTime::now());
        let mut groups: BTreeMap<String, Vec<Observed>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut page: Option<String> = None;
        loop {
            let found = reader.search(ids, &filter, page.as_deref()).await?;
            let before = seen.len();
            for trace in found.traces {
                if seen.insert(trace.id.clone()) {
                    let name = self.group(&trace, &groups);
                    groups.entry(name).or_default().push(observed(&trace));
                }
            }
            ensure!(
                seen.len() <= TRACES_MAX,
                "there are more than {TRACES_MAX} traces: choose a shorter window"
            );
            match found.next {
                // A server that gives the same page for ever.
                Some(_) if seen.len() == before => bail!("MLflow's pages do not end"),
                Some(next) => page = Some(next),
                None => return Ok(groups.into_iter().collect()),
            }
        }
    }

    fn group(&self, trace: &FoundTrace, groups: &BTreeMap<String, Vec<Observed>>) -> String {
        let Some(key) = self.by else {
            return "all".to_owned();
        };
        let name = key.of(trace).unwrap_or_else(|| OTHER.to_owned());
        if groups.len() < GROUPS_MAX || groups.contains_key(&name) {
            name
        } else {
            OTHER.to_owned()
        }
    }

    fn filter_since(&self, now: SystemTime) -> String {
        let since = now.checked_sub(self.window).unwrap_or(UNIX_EPOCH);
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let window = format!("trace.timestamp_ms > {}", since.as_millis());
        match self.filter {
            Some(filter) => format!("{window} AND {filter}"),
            None => window,
        }
    }

    /// The ids to search, and the experiments of routes that are not there. One that the command
    /// names has to be there: a misspelt name must not pass for an idle route.
    async fn experiment_ids(&self, reader: &Reader) -> anyhow::Result<(Vec<String>, Vec<Absent>)> {
        let mut ids = BTreeSet::new();
        for given in self.experiments {
            let digits = given.bytes().all(|byte| byte.is_ascii_digit());
            ids.insert(match digits {
                true => given.clone(),
                false => reader
                    .experiment_id(given)
                    .await?
                    .with_context(|| format!("there is no experiment `{given}`"))?,
            });
        }
        let mut absent = Vec::new();
        if ids.is_empty() {
            let wanted = self.experiments_of_routes();
            ensure!(!wanted.is_empty(), "no route records into this sink");
            for (experiment, routes) in wanted {
                match experiment {
                    ExperimentRef::Default => ids.insert("0".to_owned()),
                    ExperimentRef::Id(id) => ids.insert(id.to_string()),
                    ExperimentRef::Name(name) => match reader.experiment_id(&name).await? {
                        Some(id) => ids.insert(id),
                        None => {
                            absent.push(Absent {
                                experiment: name,
                                routes,
                            });
                            continue;
                        }
                    },
                };
            }
        }
        Ok((ids.into_iter().collect(), absent))
    }

    /// The experiments of the sink's routes, with the names of these.
    fn experiments_of_routes(&self) -> BTreeMap<ExperimentRef, Vec<Arc<str>>> {
        let recorded = self.config.routes.iter().filter(|route| {
            let here = route.sinks.iter().any(|sink| **sink == *self.sink.0);
            here && route.capture.level != CaptureLevel::Off
        });
        let mut wanted: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for route in recorded {
            let routes = wanted.entry(route.trace.experiment.clone()).or_default();
            routes.push(Arc::clone(&route.name));
        }
        wanted
    }
}

fn observed(trace: &FoundTrace) -> Observed {
    let weight = trace.tags.get("offpath.weight").and_then(Value::as_str);
    let weight = weight.and_then(|text| text.parse::<f64>().ok());
    let usage = trace.metadata.get("mlflow.trace.tokenUsage");
    let usage = usage.and_then(Value::as_str).unwrap_or_default();
    let usage: Value = serde_json::from_str(usage).unwrap_or_default();
    let tokens = |key: &str| usage.get(key).and_then(Value::as_u64).unwrap_or(0);
    Observed {
        weight: weight.filter(|weight| weight.is_finite() && *weight >= 1.0),
        finished: trace.state != "IN_PROGRESS",
        failed: trace.state == "ERROR",
        took: trace.took,
        tokens: Tokens {
            input: tokens("input_tokens"),
            output: tokens("output_tokens"),
            total: tokens("total_tokens"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_tells_groups_apart_is_named_as_it_is_called() {
        let key = |text: &str| text.parse::<Key>();
        assert_eq!(key("route"), Ok(Key::Tag("offpath.route".to_owned())));
        assert_eq!(key("tag:tenant"), Ok(Key::Tag("tenant".to_owned())));
        assert_eq!(key("user"), Ok(Key::Metadata("mlflow.trace.user")));
        assert!(key("tag:").is_err() && key("tenant").is_err());
    }

    #[test]
    fn a_trace_says_what_it_stands_for() {
        let usage = json!({"input_tokens": 12, "output_tokens": 5, "total_tokens": 17});
        let mut trace = FoundTrace {
            state: "ERROR".to_owned(),
            took: Some(Duration::from_millis(80)),
            ..FoundTrace::default()
        };
        trace.metadata.insert(
            "mlflow.trace.tokenUsage".to_owned(),
            usage.to_string().into(),
        );
        let unweighted = observed(&trace);
        assert_eq!(unweighted.weight, None);
        assert!(unweighted.failed && unweighted.finished);
        assert_eq!(unweighted.tokens.total, 17);
        for (text, weight) in [
            ("20", Some(20.0)),
            ("0", None),
            ("many", None),
            ("inf", None),
        ] {
            trace.tags.insert("offpath.weight".to_owned(), text.into());
            assert_eq!(observed(&trace).weight, weight, "{text}");
        }
    }
}
