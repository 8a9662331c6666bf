//! Keep rules: what is kept by how the exchange went, whatever the head decision was.

use std::time::{Duration, Instant};

use http::StatusCode;
use offpath_config::Keep;
use offpath_trace::{EndReason, KeptBecause, RateCap};

use crate::Head;

/// How an exchange went, as far as rules look.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// The status that the client saw.
    pub status: Option<StatusCode>,
    /// How it ended.
    pub reason: EndReason,
    /// From the request's head to the end.
    pub took: Duration,
    /// From the request's head to the response body's first byte.
    pub first_byte: Option<Duration>,
    /// Bytes of the larger body.
    pub bytes: u64,
}

/// A head decision after the rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The decision, as far as the request path can take it.
    pub head: Head,
    /// A rule keeps it if its client left before the answer was whole. Whether it was whole, only
    /// decoding can say for certain, and the exchange is released where it was.
    pub kept_if_left: bool,
}

/// A route's rules, and the rate that they share.
#[derive(Debug)]
pub struct KeepRules {
    rules: Keep,
    cap: RateCap,
}

impl KeepRules {
    /// `None` where there is no rule.
    pub fn new(rules: &Keep, origin: Instant) -> Option<Self> {
        rules.any().then(|| Self {
            rules: rules.clone(),
            cap: RateCap::new(rules.max_per_second, origin),
        })
    }

    /// What becomes of the head decision: why the exchange is kept, and its weight.
    ///
    /// Every exchange that meets a rule takes from the cap, whether the head decision had kept it or
    /// not. So the cap's state says nothing of that decision, and the weight is known: 1 for
    /// what the cap lets through, which is kept in any case, and else that of the head decision.
    pub fn judge(&self, head: Head, end: &End, now: Instant) -> Judged {
        let rule = self.met(end).filter(|_| self.cap.take(now));
        let kept_if_left = rule == Some(KeptBecause::ClientLeft);
        let head = match rule.filter(|_| !kept_if_left) {
            Some(rule) => Head {
                kept: head.kept.or(Some(rule)),
                weight: head.weight.map(|_| 1.0),
            },
            None => head,
        };
        Judged { head, kept_if_left }
    }

    /// The first rule that the exchange meets.
    fn met(&self, end: &End) -> Option<KeptBecause> {
        let rules = &self.rules;
        let server_error = end.status.is_some_and(|status| status.is_server_error());
        let failed =
            server_error || !matches!(end.reason, EndReason::Complete | EndReason::ClientLeft);
        let passed = |limit: Option<Duration>, time: Duration| limit.is_some_and(|l| time > l);
        // A body that never began is at least as late as the end.
        let first_byte = end.first_byte.unwrap_or(end.took);
        if rules.errors && failed {
            Some(KeptBecause::Error)
        } else if passed(rules.slower_than, end.took) {
            Some(KeptBecause::Slow)
        } else if passed(rules.first_byte_slower_than, first_byte) {
            Some(KeptBecause::FirstByte)
        } else if rules.larger_than.is_some_and(|limit| end.bytes > limit) {
            Some(KeptBecause::Large)
        } else if rules.client_left && end.reason == EndReason::ClientLeft {
            Some(KeptBecause::ClientLeft)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do as an origin"
        )]
        Instant::now()
    }

    fn rules() -> Keep {
        Keep {
            errors: true,
            client_left: true,
            slower_than: Some(Duration::from_secs(5)),
            first_byte_slower_than: Some(Duration::from_secs(1)),
            larger_than: Some(1_000),
            max_per_second: 1e6,
        }
    }

    /// Quick, small and whole.
    fn fine() -> End {
        End {
            status: Some(StatusCode::OK),
            reason: EndReason::Complete,
            took: Duration::from_millis(50),
            first_byte: Some(Duration::from_millis(10)),
            bytes: 1_000,
        }
    }

    const PASSED_OVER: Head = Head {
        kept: None,
        weight: Some(100.0),
    };

    #[track_caller]
    fn check(change: impl FnOnce(&mut End), expect: Option<KeptBecause>) {
        let rules = KeepRules::new(&rules(), origin()).unwrap();
        let mut end = fine();
        change(&mut end);
        let judged = rules.judge(PASSED_OVER, &end, origin());
        let weight = if expect.is_some() { 1.0 } else { 100.0 };
        let head = Head {
            kept: expect,
            weight: Some(weight),
        };
        let expect = Judged {
            head,
            kept_if_left: false,
        };
        assert_eq!(judged, expect, "{end:?}");
    }

    #[test]
    fn each_rule_keeps_what_it_names_and_the_first_says_why() {
        check(|_| {}, None);
        check(|end| end.status = Some(StatusCode::NOT_FOUND), None);
        let error = Some(KeptBecause::Error);
        check(|end| end.status = Some(StatusCode::BAD_GATEWAY), error);
        for reason in [
            EndReason::UpstreamCut,
            EndReason::UpstreamError,
            EndReason::Timeout,
            EndReason::Shutdown,
        ] {
            check(|end| end.reason = reason, error);
        }
        let slow = Some(KeptBecause::Slow);
        check(|end| end.took = Duration::from_millis(5_001), slow);
        let late = Some(KeptBecause::FirstByte);
        check(|end| end.first_byte = Some(Duration::from_secs(2)), late);
        let silent = |end: &mut End| {
            end.first_byte = None;
            end.took = Duration::from_secs(3);
        };
        check(silent, late);
        check(|end| end.bytes = 1_001, Some(KeptBecause::Large));
    }

    #[test]
    fn a_client_that_left_is_no_error_and_kept_for_now_by_its_own_rule() {
        let left = End {
            reason: EndReason::ClientLeft,
            ..fine()
        };
        let judge = |keep: Keep, end: &End| {
            let rules = KeepRules::new(&keep, origin()).unwrap();
            rules.judge(PASSED_OVER, end, origin())
        };
        let undecided = |kept_if_left| Judged {
            head: PASSED_OVER,
            kept_if_left,
        };
        let errors_alone = Keep {
            client_left: false,
            ..rules()
        };
        assert_eq!(judge(errors_alone.clone(), &left), undecided(false));
        assert_eq!(judge(rules(), &left), undecided(true));
        let failed = End {
            status: Some(StatusCode::BAD_GATEWAY),
            ..left
        };
        let judged = judge(errors_alone, &failed);
        assert_eq!(judged.head.kept, Some(KeptBecause::Error));
        let large = End {
            bytes: 1_001,
            ..left
        };
        let judged = judge(rules(), &large);
        let because = judged.head.kept.filter(|_| !judged.kept_if_left);
        assert_eq!(because, Some(KeptBecause::Large));
    }

    #[test]
    fn no_rule_is_none_at_all() {
        assert!(KeepRules::new(&Keep::default(), origin()).is_none());
    }

    #[test]
    fn past_the_cap_only_the_head_decision_keeps() {
        let origin = origin();
        let keep = Keep {
            max_per_second: 2.0,
            ..rules()
        };
        let rules = KeepRules::new(&keep, origin).unwrap();
        let failed = End {
            status: Some(StatusCode::BAD_GATEWAY),
            ..fine()
        };
        let kept = Head {
            kept: Some(KeptBecause::Ratio),
            weight: Some(100.0),
        };
        let judge = |head| rules.judge(head, &failed, origin).head;
        let certain = |because| Head {
            kept: Some(because),
            weight: Some(1.0),
        };
        assert_eq!(judge(kept), certain(KeptBecause::Ratio));
        assert_eq!(judge(PASSED_OVER), certain(KeptBecause::Error));
        assert_eq!(judge(PASSED_OVER), PASSED_OVER);
        assert_eq!(judge(kept), kept);
    }

    #[test]
    fn an_unknown_weight_stays_unknown() {
        let rules = KeepRules::new(&rules(), origin()).unwrap();
        let failed = End {
            reason: EndReason::Timeout,
            ..fine()
        };
        let head = Head {
            kept: None,
            weight: None,
        };
        let judged = rules.judge(head, &failed, origin()).head;
        assert_eq!(
            (judged.kept, judged.weight),
            (Some(KeptBecause::Error), None)
        );
    }
}
