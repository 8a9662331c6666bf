//! Finds the route of a request. Compiled once; a look-up allocates nothing.

use std::collections::HashMap;

use http::HeaderMap;
use offpath_config::{PathMatch, Route, RouteMatch};

use crate::{glob, prefix::rest_below};

/// The part of a request that routes look at.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The host, with or without a port, in any case.
    pub host: &'a str,
    /// The path without its query.
    pub path: &'a str,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// The routes in order; the first that matches wins.
#[derive(Debug)]
pub struct Router {
    rules: Vec<RouteMatch>,
    /// Rules that name one whole path, by it; each list ascends.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// All other rules, ascending.
    scanned: Vec<usize>,
}

impl Router {
    /// The routes of a configuration, in its order.
    pub fn new(routes: &[Route]) -> Self {
        let rules: Vec<RouteMatch> = routes.iter().map(|route| route.matcher.clone()).collect();
        let mut exact: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut scanned = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            match &rule.path {
                PathMatch::Exact(path) => exact.entry((**path).into()).or_default().push(index),
                _ => scanned.push(index),
            }
        }
        Self {
            rules,
            exact,
            scanned,
        }
    }

    /// Index of the first route that matches this request.
    pub fn find(&self, target: Target<'_>) -> Option<usize> {
        let named = self.exact.get(target.path).map_or(&[][..], Vec::as_slice);
        let first = |indexes: &[usize]| {
            let takes = |index: &usize| self.rules.get(*index).is_some_and(|r| matches(r, target));
            indexes.iter().copied().find(takes)
        };
        match first(named) {
            // An earlier pattern still goes before a later whole path.
            Some(index) => {
                let earlier = self.scanned.partition_point(|scanned| *scanned < index);
                first(self.scanned.get(..earlier).unwrap_or_default()).or(Some(index))
            }
            None => first(&self.scanned),
        }
    }
}

/// Whether a request meets every condition of a route.
fn matches(rule: &RouteMatch, target: Target<'_>) -> bool {
    let path = match &rule.path {
        PathMatch::Any => true,
        PathMatch::Exact(path) => **path == *target.path,
        PathMatch::Prefix(prefix) => {
            rest_below(target.path.as_bytes(), prefix.as_bytes()).is_some()
        }
        PathMatch::Glob(pattern) => glob::fits(pattern, target.path),
    };
    let host = |want: &str| want.eq_ignore_ascii_case(without_port(target.host));
    let methods = &rule.methods;
    path && rule.host.as_deref().is_none_or(host)
        && (methods.is_empty() || methods.iter().any(|method| *method == target.method))
        && rule.headers.iter().all(|header| {
            let mut values = target.headers.get_all(&header.name).iter();
            values.any(|value| value == header.value)
        })
}

/// `name:port` and `[v6]:port` to the name.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.contains(':') => {
            name
        }
        Some((name, _)) if name.ends_with(']') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use offpath_config::{Config, Env};

    use super::*;

    const ROUTES: &str = r#"
listeners: [{address: "127.0.0.1:8080"}]
upstreams: {model: {endpoints: ["http://127.0.0.1:9000"]}}
routes:
  - {name: billing, match: {path: /v1/chat/completions, headers: {x-task: billing}}, upstream: model}
  - {name: posts, match: {path_prefix: /v1/, methods: [POST]}, upstream: model}
  - {name: chat, match: {path: /v1/chat/completions}, upstream: model}
  - {name: tenant, match: {path_glob: "/t/*/invocations", host: ml.internal}, upstream: model}
  - {name: rest, match: {host: "other.internal"}, upstream: model}
"#;

    #[track_caller]
    fn check(line: &str, headers: &[(&'static str, &'static str)], expect: Option<&str>) {
        let config = Config::parse(ROUTES, "offpath.yaml", &Env::default()).unwrap();
        let router = Router::new(&config.routes);
        let (method, rest) = line.split_once(' ').unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let found = router.find(Target {
            method,
            host,
            path,
            headers: &map,
        });
        assert_eq!(
            found.map(|index| &*config.routes[index].name),
            expect,
            "{line}"
        );
    }

    #[test]
    fn the_first_match_wins() {
        check(
            "POST h/v1/chat/completions",
            &[("x-task", "billing")],
            Some("billing"),
        );
        check(
            "POST h/v1/chat/completions",
            &[("x-task", "faq")],
            Some("posts"),
        );
        check("GET h/v1/chat/completions", &[], Some("chat"));
        check("POST h/v1/models", &[], Some("posts"));
        check("GET h/v1/models", &[], None);
        check("GET ML.internal:8080/t/a/invocations", &[], Some("tenant"));
        check("GET ml.internal/t/a/b/invocations", &[], None);
        check("GET other.internal/anything", &[], Some("rest"));
    }

    #[test]
    fn a_path_prefix_matches_whole_segments_with_and_without_a_slash() {
        for path in ["/v1", "/v1/", "/v1/chat"] {
            check(&format!("POST h{path}"), &[], Some("posts"));
        }
        for path in ["/v10", "/v10/v1", "/v"] {
            check(&format!("POST h{path}"), &[], None);
        }
    }

    #[test]
    fn every_header_of_a_route_is_required() {
        let values = [("x-task", "other"), ("x-task", "billing")];
        check("POST h/v1/chat/completions", &values, Some("billing"));
        check("POST h/v1/chat/completions", &[], Some("posts"));
    }

    #[test]
    fn a_port_is_no_part_of_the_host() {
        assert_eq!(without_port("a.b:80"), "a.b");
        assert_eq!(without_port("a.b"), "a.b");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }
}
