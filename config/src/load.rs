//! From file and environment to a [`Config`]: the sections in their order.

use std::{fs::File, io::Read, path::Path};

use crate::{
    Config, ConfigError, ConfigErrors, Env,
    address::Addresses,
    export,
    field::{Field, Found},
    kind::{self, Type},
    limits, listener,
    reader::Reader,
    route::{self, Surroundings},
    route_trace, service, upstream, yaml,
};

const FILE_BYTES_MAX: usize = 1 << 20;

impl Config {
    /// Reads and checks a file of at most 1 MiB.
    ///
    /// # Errors
    /// Every fault of the file, or that it cannot be read.
    pub fn load(path: &Path, env: &Env) -> Result<Self, ConfigErrors> {
        let file = path.display().to_string();
        let text = content(path).map_err(|message| whole_file(&file, 0, message))?;
        Self::parse(&text, &file, env)
    }

    /// Checks a text. `file` is its name in errors, and relative paths start at its folder.
    ///
    /// # Errors
    /// Every fault of the text.
    pub fn parse(text: &str, file: &str, env: &Env) -> Result<Self, ConfigErrors> {
        if text.len() > FILE_BYTES_MAX {
            return Err(whole_file(file, 0, "is larger than 1 MiB".to_owned()));
        }
        let node =
            yaml::parse(text).map_err(|error| whole_file(file, error.line, error.message))?;
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        let reader = Reader::new(env, folder);
        let mut config = read(&reader.root(Found::Node(&node)), &reader);
        match reader.finish() {
            Ok(warnings) => {
                config.warnings = warnings;
                Ok(config)
            }
            Err(errors) => Err(ConfigErrors {
                file: file.to_owned(),
                errors,
            }),
        }
    }
}

fn content(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let mut bytes = Vec::new();
    // One byte more than allowed, so that `parse` sees that the file is too large.
    let limit = FILE_BYTES_MAX as u64 + 1;
    let file = File::open(path).map_err(cannot)?;
    file.take(limit).read_to_end(&mut bytes).map_err(cannot)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("is not UTF-8 from byte {at} on")
    })
}

fn whole_file(file: &str, line: usize, message: String) -> ConfigErrors {
    let path = String::new();
    ConfigErrors {
        file: file.to_owned(),
        errors: vec![ConfigError {
            line,
            path,
            message,
        }],
    }
}

/// Reads every section. The result is complete only if the reader has collected no fault.
pub(crate) fn read(root: &Field<'_>, reader: &Reader<'_>) -> Config {
    let map = root.map();
    // The keys in the order of the reference, and then their values in the order they need.
    let section = |name: &'static str, about: &'static str| map.key(name, about).section();
    let listeners = map
        .key(
            "listeners",
            "Addresses that clients connect to; at least one.",
        )
        .sections();
    let limits = section("limits", "Bounds of the whole process.");
    let upstreams = map
        .key("upstreams", "Model endpoints, by name; at least one.")
        .example("support-llm")
        .required_place(Type::Named);
    let sampling = section(
        "sampling",
        "Sampling of routes that set no ratio of their own.",
    );
    let routes = map.key("routes", "Which requests go where; the first route that matches is used, and without a match the answer is 404.").sections();
    let (export, sinks) = export::read(&section(
        "export",
        "Export of kept exchanges, after the response has been sent.",
    ));
    let telemetry = section(
        "telemetry",
        "Probes and metrics, read only and safe to expose to the pod.",
    );
    let admin = section("admin", "Status, for the operator alone.");
    let log = section("log", "offpath's own log.");
    let around = Surroundings {
        upstreams: upstreams.keys(),
        sinks,
        ratio: ratio(&sampling),
        experiment: route_trace::experiment_from_env(reader),
    };
    let mut addresses = Addresses::default();
    warn_of_synchronous_logging(reader);
    Config {
        // Before the listeners: two equal addresses are then reported at the listener's.
        telemetry: service::telemetry(&telemetry, &mut addresses),
        admin: service::admin(&admin, &mut addresses),
        listeners: listener::read(&listeners, &mut addresses),
        limits: limits::read(&limits),
        upstreams: upstream::read(&upstreams),
        routes: route::read(&routes, &around),
        export,
        log: service::log(&log),
        warnings: Vec::new(),
    }
}

fn ratio(field: &Field<'_>) -> f64 {
    field
        .map()
        .key("ratio", "Share of exchanges that are kept.")
        .var("MLFLOW_TRACE_SAMPLING_RATIO")
        .or("1", kind::ratio())
}

/// MLflow's switch for asynchronous logging, which offpath does not have.
fn warn_of_synchronous_logging(reader: &Reader<'_>) {
    let name = "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING";
    let switch = |text: &str| match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("`{text}` is not `true`, `false`, `1` or `0`")),
    };
    if reader.var(name).optional(switch) == Some(false) {
        reader.warn(format!(
            "{name} is false, but offpath always exports traces asynchronously"
        ));
    }
}
