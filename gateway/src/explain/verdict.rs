//! The head decision and its reasons, and what may change it later.

use std::borrow::Cow;
use std::time::Instant;

use offpath_config::{Daily, ParentPolicy, Route, SampleBy};
use offpath_filters::{Incoming, propagate};
use offpath_trace::KeptBecause;
use serde::Serialize;

use super::identity::Identity;
use super::request::Asked;
use crate::proxy::caller;
use crate::route::Tracing;

/// Whether a request is kept as far as its head tells, and why.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) decision: Decision,
    pub(super) because: Option<&'static str>,
    pub(super) weight: Option<f64>,
    pub(super) ratio: f64,
    /// What is hashed: `session` or `user`, and else the trace's id.
    pub(super) by: &'static str,
    /// The session or user.
    pub(super) key: Option<String>,
    /// The hash, as a share of all; kept below the ratio. `None`: it is made anew each time.
    pub(super) share: Option<f64>,
    /// The caller's flag, where it decides or forbids.
    pub(super) caller_sampled: Option<bool>,
    /// Exchanges per second of the route at most.
    pub(super) max_per_second: Option<f64>,
    /// Whether a day's budget may lower the ratio.
    pub(super) budgeted: bool,
    /// What keeps it later, whatever was decided: it then ends as a sentence says.
    pub(super) rules: Vec<String>,
}

/// A head decision, as far as it is the same each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Decision {
    /// It is kept, unless the route's rate is reached.
    Kept,
    /// It is not, unless a rule keeps it.
    PassedOver,
    /// A fresh id decides.
    ByChance,
}

impl Verdict {
    pub(super) fn of(route: &Route, tracing: &Tracing, asked: &Asked) -> Self {
        let sampling = &route.sampling;
        let caller = caller(&asked.head.headers);
        let propagation = propagate(route.trace.context, caller, (1, 2, 3));
        let incoming = Incoming {
            id: propagation.sampled_by,
            caller,
            uri: &asked.head.uri,
            headers: &asked.head.headers,
        };
        let head = tracing.sampler.decide(incoming, Instant::now());
        let basis = tracing.sampler.basis(incoming);
        let fresh = caller.is_none() && basis.key.is_none();
        let decision = match head.kept {
            _ if fresh && sampling.ratio > 0.0 && sampling.ratio < 1.0 => Decision::ByChance,
            Some(_) => Decision::Kept,
            None => Decision::PassedOver,
        };
        let by = match (&basis.key, sampling.by) {
            (Some(_), SampleBy::Session) => "session",
            (Some(_), SampleBy::User) => "user",
            _ => "trace",
        };
        let heeded = caller.filter(|_| sampling.parent != ParentPolicy::Ignore);
        let because = head.kept.filter(|_| decision == Decision::Kept);
        Self {
            decision,
            because: because.map(KeptBecause::as_str),
            weight: head.weight,
            ratio: sampling.ratio,
            by,
            share: (!fresh).then_some(basis.share),
            key: basis.key.map(Cow::into_owned),
            caller_sampled: heeded.map(|caller| caller.sampled),
            max_per_second: sampling.max_per_second,
            budgeted: sampling.daily != Daily::default(),
            rules: rules(route),
        }
    }
}

impl Verdict {
    /// With the session or user as a trace shows it: masked where it is a credential.
    pub(super) fn shown_as(mut self, identity: &Identity) -> Self {
        let shown = match self.by {
            "session" => identity.session.clone(),
            "user" => identity.user.clone(),
            _ => None,
        };
        self.key = self.key.and(shown);
        self
    }
}

/// What may keep it after its end, in words.
fn rules(route: &Route) -> Vec<String> {
    let keep = &route.sampling.keep;
    let content = &route.sampling.keep_content;
    let mut rules = Vec::new();
    if keep.errors {
        rules.push("it fails".to_owned());
    }
    if keep.client_left {
        rules.push("its client leaves before the answer is whole".to_owned());
    }
    if let Some(limit) = keep.slower_than {
        rules.push(format!("it takes longer than {limit:?}"));
    }
    if let Some(limit) = keep.first_byte_slower_than {
        rules.push(format!("its first byte comes later than {limit:?}"));
    }
    if let Some(limit) = keep.larger_than {
        rules.push(format!("a body has more than {limit} bytes"));
    }
    if !content.finish_reasons.is_empty() {
        let reasons = content.finish_reasons.join(", ");
        rules.push(format!("the model stops for {reasons}"));
    }
    if content.stream_errors {
        rules.push("its response reports an error, or ends unfinished".to_owned());
    }
    if content.grpc_errors {
        rules.push("its gRPC status is an error".to_owned());
    }
    rules
}
