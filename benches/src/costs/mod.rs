//! The subcommands of the measured program.

pub(crate) mod background;
pub(crate) mod mlflow_rate;
pub(crate) mod path;

use anyhow::Context;
use offpath_benches::traffic::Traffic;

/// Returns the traffic with this name.
fn traffic(name: &str) -> anyhow::Result<Traffic> {
    let found = Traffic::all().into_iter().find(|t| t.name == name);
    found.with_context(|| format!("there is no traffic `{name}`"))
}
