//! The answer for people: a line per question.

use super::verdict::{Decision, Verdict};
use super::{Answer, Identity, Traced};

/// The lines.
pub(super) fn page(answer: &Answer) -> String {
    let Some(route) = &answer.route else {
        return "no route takes this request: it is answered 404, and not traced".to_owned();
    };
    let mut page = Page::default();
    page.line("route", &route.name);
    page.line("upstream", &route.upstream);
    match &route.tracing {
        Some(traced) => traced.put(&mut page),
        None => page.line("sampling", "not traced: the route's capture is off"),
    }
    page.0.join("\n")
}

#[derive(Default)]
struct Page(Vec<String>);

impl Page {
    /// Without what a terminal would obey: parts of it are a stranger's words.
    fn line(&mut self, name: &str, text: &str) {
        let text: String = text.chars().filter(|char| !char.is_control()).collect();
        self.0.push(format!("{name:<12}{text}"));
    }
}

impl Traced {
    fn put(&self, page: &mut Page) {
        self.sampling.put(page);
        self.identity.put(page);
        page.line("trace", &self.trace.name);
        if let Some(experiment) = &self.trace.experiment {
            page.line("experiment", experiment);
        }
        page.line("sinks", &self.trace.sinks.join(", "));
        let stored = match self.trace.max_body {
            Some(bytes) => format!("bodies, up to {bytes} bytes of each"),
            None => "sizes, shapes and usage, no content".to_owned(),
        };
        page.line("stored", &stored);
    }
}

impl Verdict {
    fn put(&self, page: &mut Page) {
        page.line("sampling", &self.decided());
        if let Some(rate) = self.max_per_second {
            page.line("", &format!("at most {rate} a second of the route"));
        }
        if self.budgeted {
            page.line("", "less of them where the day's budget would not last");
        }
        for rule in &self.rules {
            page.line("", &format!("kept in any case if {rule}"));
        }
        if let Some(weight) = self.weight {
            page.line("weight", &weight.to_string());
        }
    }

    fn decided(&self) -> String {
        let ratio = self.ratio;
        let key = match &self.key {
            Some(key) => format!("{} `{key}`", self.by),
            None => "the trace's id".to_owned(),
        };
        let hash = match self.share {
            Some(share) => format!("{key} hashes to {share:.4}"),
            None => key,
        };
        match (self.decision, self.because, self.caller_sampled) {
            (Decision::ByChance, ..) => {
                format!("kept with probability {ratio}, by an id of its own")
            }
            (Decision::Kept, Some("parent"), _) => "kept: the caller sampled it".to_owned(),
            (Decision::Kept, ..) => format!("kept: {hash}, and {ratio} of all are"),
            (Decision::PassedOver, _, Some(false)) => {
                "passed over: the caller did not sample it".to_owned()
            }
            (Decision::PassedOver, ..) => {
                format!("passed over: {hash}, and {ratio} of all are kept")
            }
        }
    }
}

impl Identity {
    fn put(&self, page: &mut Page) {
        for (who, name) in [("user", &self.user), ("session", &self.session)] {
            if let Some(name) = name {
                page.line(who, name);
            }
        }
        for (key, value) in &self.tags {
            page.line("tag", &format!("{key} = {value}"));
        }
        if !self.needs_body.is_empty() {
            let names = self.needs_body.join(", ");
            page.line(
                "",
                &format!("{names}: perhaps in the body, see with --body"),
            );
        }
    }
}
