//! From file and environment to a [`Config`]: the sections in their order, then what holds
//! between them.

use std::{fs::File, io::Read, path::Path};

use crate::{
    Config, ConfigError, ConfigErrors, Env,
    address::Addresses,
    export,
    field::Field,
    limits, listener,
    reader::Reader,
    route::{self, Surroundings},
    route_trace, service, units, upstream, yaml,
};

const FILE_BYTES_MAX: usize = 1 << 20;

impl Config {
    /// Reads and checks a file of at most 1 MiB.
    ///
    /// # Errors
    /// Everything that is wrong with it, or that it cannot be read.
    pub fn load(path: &Path, env: &Env) -> Result<Self, ConfigErrors> {
        let file = path.display().to_string();
        let text = content(path).map_err(|message| whole_file(&file, 0, message))?;
        Self::parse(&text, &file, env)
    }

    /// Checks a text. `file` is its name in errors, and relative paths start at its folder.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, file: &str, env: &Env) -> Result<Self, ConfigErrors> {
        if text.len() > FILE_BYTES_MAX {
            return Err(whole_file(file, 0, "is larger than 1 MiB".to_owned()));
        }
        let node =
            yaml::parse(text).map_err(|error| whole_file(file, error.line, error.message))?;
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        let reader = Reader::new(env, folder);
        let mut config = read(&reader.root(&node), &reader);
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
    // One byte more than allowed, so that `parse` sees that it is too many.
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

/// Reads every section. What comes back is only whole where the reader has no fault to tell.
pub(crate) fn read(root: &Field<'_>, reader: &Reader<'_>) -> Config {
    let map = root.map();
    let upstreams = map.field("upstreams");
    let (export, sinks) = export::read(&map.field("export"));
    let ratio = map
        .field("sampling")
        .map()
        .field("ratio")
        .or_var("MLFLOW_TRACE_SAMPLING_RATIO")
        .or(1.0, units::ratio);
    let around = Surroundings {
        upstreams: upstreams.keys(),
        sinks,
        ratio,
        experiment: route_trace::experiment_from_env(reader),
    };
    let mut addresses = Addresses::default();
    warn_of_synchronous_logging(reader);
    Config {
        // Before the listeners, whose faults are then shown where their addresses stand.
        telemetry: service::telemetry(&map.field("telemetry"), &mut addresses),
        admin: service::admin(&map.field("admin"), &mut addresses),
        listeners: listener::read(&map.field("listeners"), &mut addresses),
        limits: limits::read(&map.field("limits")),
        upstreams: upstream::read(&upstreams),
        routes: route::read(&map.field("routes"), &around),
        export,
        log: service::log(&map.field("log")),
        warnings: Vec::new(),
    }
}

/// MLflow's switch for asynchronous logging, which here cannot be turned off.
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
