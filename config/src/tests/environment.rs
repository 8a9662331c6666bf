//! MLflow's environment variables: below the YAML, above the defaults.

use super::fixture::{MINIMAL, parse};
use crate::{Config, Env, ExperimentRef, MlflowAuth, MlflowSink, Secret, SinkKind};

fn config(yaml: &str, env: &[(&str, &str)]) -> Config {
    let env = Env::from_iter(env.iter().copied());
    parse(&format!("{MINIMAL}{yaml}"), &env).unwrap_or_else(|errors| panic!("{errors}"))
}

fn mlflow(yaml: &str, env: &[(&str, &str)]) -> MlflowSink {
    match config(yaml, env).export.sinks.remove(0).kind {
        SinkKind::Mlflow(sink) => sink,
        SinkKind::Otlp(sink) => panic!("{sink:?}"),
    }
}

fn basic(username: &str, password: &str) -> MlflowAuth {
    MlflowAuth::Basic {
        username: username.to_owned(),
        password: Secret::new(password),
    }
}

#[track_caller]
fn check_ratio(yaml: &str, env: &[(&str, &str)], expect: f64) {
    assert_eq!(config(yaml, env).routes[0].sampling.ratio, expect);
}

#[test]
fn the_ratio_is_the_routes_then_the_global_then_the_variables_then_one() {
    let env = [("MLFLOW_TRACE_SAMPLING_RATIO", "0.25")];
    check_ratio("", &[], 1.0);
    check_ratio("", &env, 0.25);
    check_ratio("sampling: {ratio: null}", &env, 0.25);
    check_ratio("sampling: {ratio: 0.5}", &env, 0.5);
    let both = "    sampling: {ratio: 0.125}\nsampling: {ratio: 0.5}";
    check_ratio(both, &env, 0.125);
}

#[test]
fn the_tracking_uri_is_the_sinks_then_the_variables() {
    let env = [("MLFLOW_TRACKING_URI", "https://mlflow.internal/")];
    assert_eq!(mlflow("", &env).tracking_uri, "https://mlflow.internal");
    let unset = "export: {sinks: {a: {type: mlflow, tracking_uri: null}}}";
    assert_eq!(mlflow(unset, &env).tracking_uri, "https://mlflow.internal");
    let set = "export: {sinks: {a: {type: mlflow, tracking_uri: 'http://b:1'}}}";
    assert_eq!(mlflow(set, &env).tracking_uri, "http://b:1");
    // A variable that is not used cannot be a fault.
    let sqlite = [("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")];
    assert_eq!(mlflow(set, &sqlite).tracking_uri, "http://b:1");
    let empty = [("MLFLOW_TRACKING_URI", "")];
    assert_eq!(mlflow("", &empty).tracking_uri, "http://127.0.0.1:5000");
}

#[track_caller]
fn check_auth(keys: &str, env: &[(&str, &str)], expect: MlflowAuth) {
    let yaml = format!("export: {{sinks: {{a: {{type: mlflow{keys}}}}}}}");
    assert_eq!(mlflow(&yaml, env).auth, expect);
}

#[test]
fn credentials_come_from_one_place_and_name_and_password_win_in_the_environment() {
    let token = ("MLFLOW_TRACKING_TOKEN", "t");
    let username = ("MLFLOW_TRACKING_USERNAME", "u");
    let password = ("MLFLOW_TRACKING_PASSWORD", "p");
    let bearer = |token: &str| MlflowAuth::Token(Secret::new(token));
    check_auth("", &[], MlflowAuth::None);
    check_auth("", &[token], bearer("t"));
    check_auth("", &[username, password], basic("u", "p"));
    check_auth("", &[token, username, password], basic("u", "p"));
    check_auth("", &[token, username], bearer("t"));
    check_auth(", token: y", &[username, password], bearer("y"));
    check_auth(", username: y, password: z", &[token], basic("y", "z"));
}

#[track_caller]
fn check_experiment(yaml: &str, env: &[(&str, &str)], expect: ExperimentRef) {
    assert_eq!(config(yaml, env).routes[0].trace.experiment, expect);
}

#[test]
fn the_experiment_is_the_routes_then_the_id_then_the_name() {
    let id = ("MLFLOW_EXPERIMENT_ID", "7");
    let name = ("MLFLOW_EXPERIMENT_NAME", "chat");
    check_experiment("", &[], ExperimentRef::Default);
    check_experiment("", &[name], ExperimentRef::Name("chat".into()));
    check_experiment("", &[id, name], ExperimentRef::Id("7".into()));
    let own = "    trace: {experiment: mine}";
    check_experiment(own, &[id, name], ExperimentRef::Name("mine".into()));
}

#[test]
fn mlflows_queue_size_and_workers_set_the_export() {
    let env = [
        ("MLFLOW_ASYNC_TRACE_LOGGING_MAX_QUEUE_SIZE", "50"),
        ("MLFLOW_ASYNC_TRACE_LOGGING_MAX_WORKERS", "3"),
    ];
    let export = config("", &env).export;
    assert_eq!((export.queue.max_traces, export.encoders.threads), (50, 3));
    let yaml = "export: {queue: {max_traces: 60}, encoders: {threads: 4}}";
    let export = config(yaml, &env).export;
    assert_eq!((export.queue.max_traces, export.encoders.threads), (60, 4));
}

#[test]
fn synchronous_logging_is_a_warning() {
    let name = "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING";
    for (value, warnings) in [("false", 1), ("0", 1), ("False", 1), ("true", 0), ("1", 0)] {
        let config = config("", &[(name, value)]);
        assert_eq!(config.warnings.len(), warnings, "{value}");
    }
}

#[track_caller]
fn check_broken(name: &str, value: &str) {
    let errors = parse(MINIMAL, &Env::from_iter([(name, value)])).unwrap_err();
    assert_eq!(errors.errors.len(), 1, "{errors}");
    assert_eq!((errors.errors[0].line, &*errors.errors[0].path), (0, name));
}

#[test]
fn an_invalid_variable_is_named() {
    check_broken("MLFLOW_TRACKING_URI", "databricks");
    check_broken("MLFLOW_TRACKING_URI", "http://u:p@host");
    check_broken("MLFLOW_TRACKING_TOKEN", "two\nlines");
    check_broken("MLFLOW_TRACE_SAMPLING_RATIO", "2");
    check_broken("MLFLOW_EXPERIMENT_ID", "chat");
    check_broken("MLFLOW_ASYNC_TRACE_LOGGING_MAX_QUEUE_SIZE", "0");
    check_broken("MLFLOW_ASYNC_TRACE_LOGGING_MAX_WORKERS", "many");
    check_broken("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "maybe");
}

#[test]
fn half_a_pair_of_credentials_names_the_missing_half() {
    let env = Env::from_iter([("MLFLOW_TRACKING_USERNAME", "u")]);
    let errors = parse(MINIMAL, &env).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "offpath.yaml: MLFLOW_TRACKING_PASSWORD: is required"
    );
}

#[test]
fn a_variable_that_two_sinks_fall_back_to_is_one_fault() {
    let yaml = format!("{MINIMAL}export: {{sinks: {{a: {{type: mlflow}}, b: {{type: mlflow}}}}}}");
    let env = Env::from_iter([("MLFLOW_TRACKING_URI", "databricks")]);
    let errors = parse(&yaml, &env).unwrap_err();
    assert_eq!(errors.errors.len(), 1, "{errors}");
}
