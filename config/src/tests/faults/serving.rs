//! Faults of listeners, limits and upstreams.

use super::{check, check_top, check_upstream};

#[test]
fn listeners_need_distinct_addresses_and_matching_certificates() {
    check(
        3,
        "  - address: 127.0.0.1:8080",
        "3: listeners[1].address: `127.0.0.1:8080` is already used",
    );
    check(
        3,
        "  - address: 0.0.0.0:8080",
        "3: listeners[1].address: `0.0.0.0:8080` is already used",
    );
    check(
        3,
        "  - address: 127.0.0.1:65536",
        "3: listeners[1].address: port `65536`",
    );
    check(
        3,
        "  - address: 127.0.0.1:9902",
        "3: listeners[1].address: `127.0.0.1:9902` is already used",
    );
    check_top(
        "admin: {address: '127.0.0.1:8080'}",
        "2: listeners[0].address: `127.0.0.1:8080` is already used",
    );
    check(3, "    tls:", "3: listeners[0].tls: is empty");
    let tls = |keys: &str| format!("    tls: {{{keys}}}");
    let missing = "3: listeners[0].tls.cert: is required\n3: listeners[0].tls.key: is required";
    check(3, &tls(""), missing);
    check(
        3,
        &tls("cert: no.pem, key: server.key"),
        "3: listeners[0].tls.cert: cannot read",
    );
    check(
        3,
        &tls("cert: ., key: server.key"),
        "3: listeners[0].tls.cert: cannot read",
    );
    check(
        3,
        &tls("cert: text.pem, key: server.key"),
        "3: listeners[0].tls.cert: `",
    );
    check(
        3,
        &tls("cert: server.pem, key: ca.pem"),
        "3: listeners[0].tls.key: `",
    );
    let garbage = "3: listeners[0].tls.cert: `";
    check(3, &tls("cert: garbage.pem, key: server.key"), garbage);
    let other = "3: listeners[0].tls.key: is not the key of certificate";
    check(3, &tls("cert: server.pem, key: other.key"), other);
    let ca = "cert: server.pem, key: server.key, client_ca";
    for file in ["text.pem", "garbage.pem", "server.key"] {
        let put = tls(&format!("{ca}: {file}"));
        check(3, &put, "3: listeners[0].tls.client_ca: `");
    }
}

#[test]
fn limits_outside_their_range_are_refused() {
    check_top(
        "limits: {connections: 0}",
        "9: limits.connections: `0` is not a whole number",
    );
    check_top(
        "limits: {head_bytes: 2MiB}",
        "9: limits.head_bytes: must be at most 1MiB",
    );
    check_top(
        "limits: {head_bytes: 0}",
        "9: limits.head_bytes: must be more than 0",
    );
    check_top(
        "limits: {drain: 30}",
        "9: limits.drain: `30` is not a duration",
    );
    check_top(
        "limits: {capture_bytes: lots}",
        "9: limits.capture_bytes: `lots` is not a size",
    );
}

#[test]
fn upstreams_need_endpoints_that_can_be_verified() {
    check(
        6,
        "  b: {}",
        "6: upstreams.b.endpoints: at least one endpoint is needed",
    );
    check(
        6,
        "  b: {endpoints: []}",
        "6: upstreams.b.endpoints: at least one endpoint is needed",
    );
    check(
        6,
        "  b: {endpoints: [http://a/v1]}",
        "6: upstreams.b.endpoints[0]: `/v1` is not part of",
    );
    check(
        6,
        "  b: {endpoints: [http://a, http://A]}",
        "6: upstreams.b.endpoints[1]: is given twice",
    );
    check(
        6,
        "  ' b': {endpoints: [http://a]}",
        "6: upstreams. b: must be a name",
    );
    let ip = "6: upstreams.b.tls.sni: is required: endpoint `https://10.0.0.1` has no name";
    check(6, "  b: {endpoints: [https://10.0.0.1]}", ip);
    check(
        6,
        "  b: {endpoints: ['https://[::1]']}",
        "6: upstreams.b.tls.sni: is required",
    );
    check_upstream(
        "tls: {sni: a}",
        "6: upstreams.model.tls: is set, but endpoint",
    );
    let sni = "  b: {endpoints: [https://a], tls: {sni: 1.2.3.4}}";
    check(
        6,
        sni,
        "6: upstreams.b.tls.sni: `1.2.3.4` is not a host name",
    );
    let ca = "  b: {endpoints: [https://a], tls: {ca: no.pem}}";
    check(6, ca, "6: upstreams.b.tls.ca: cannot read");
    let half = "  b: {endpoints: [https://a], tls: {client_cert: server.pem}}";
    check(6, half, "6: upstreams.b.tls.client_key: is required");
    let other = "  b: {endpoints: [https://a], tls: {client_cert: ca.pem, client_key: other.key}}";
    check(6, other, "6: upstreams.b.tls.client_key: is not the key");
}

#[test]
fn settings_of_upstreams_that_do_not_exist_are_refused() {
    check_upstream(
        "http: 3",
        "6: upstreams.model.http: `3` is not one of `auto`, `1`, `2`",
    );
    check_upstream(
        "host: a b",
        "6: upstreams.model.host: `a b` is not a host name, and not",
    );
    check_upstream("host: a:0", "6: upstreams.model.host: port `0`");
    check_upstream(
        "path: {strip_prefix: v1}",
        "6: upstreams.model.path.strip_prefix: must begin",
    );
    check_upstream(
        "path: {add_prefix: v1}",
        "6: upstreams.model.path.add_prefix: must begin",
    );
    for key in ["connect", "read", "write", "keepalive_idle"] {
        let put = format!("timeouts: {{{key}: 0s}}");
        let expect = format!("6: upstreams.model.timeouts.{key}: must be more than 0");
        check_upstream(&put, &expect);
    }
    check_upstream(
        "retry_stale_connection: 1",
        "6: upstreams.model.retry_stale_connection: `1`",
    );
}
