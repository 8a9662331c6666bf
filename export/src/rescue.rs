//! Delivers what a spool holds, without a proxy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use offpath_config::{Config, Route};
use prometheus::Registry;

use crate::spool::{ShelfView, SpoolView};
use crate::{Drained, Handle, OpenError, open};

/// How often it looks whether all is delivered.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Delivers everything in the spool of a configuration to its sinks, for so long at most. What
/// is for a sink that the configuration does not have stays.
///
/// # Errors
/// As [`open`]; another process that uses the spool is one of them.
pub fn rescue(config: &Config, limit: Duration) -> Result<Drained, OpenError> {
    let mut config = config.clone();
    if let Some(spool) = &config.export.spool {
        // A folder that is not there yet is an empty spool.
        let view = SpoolView::open(&spool.path);
        let shelves = view.map(|view| view.shelves()).unwrap_or_default();
        let routes: Vec<_> = shelves
            .iter()
            .filter_map(|shelf| route(&config, shelf))
            .collect();
        config.routes.extend(routes);
    }
    let before = Instant::now();
    let (handle, pipeline) = open(&config, &Registry::new())?;
    let delivered = exported(&handle);
    while pending(&handle) > 0 && before.elapsed() < limit {
        std::thread::sleep(LOOK_AGAIN);
    }
    let delivered = exported(&handle) - delivered;
    let drained = pipeline.drain(Duration::ZERO);
    Ok(Drained {
        delivered: drained.delivered + delivered,
        ..drained
    })
}

/// A route to a destination that no route of the configuration names (any more).
fn route(config: &Config, shelf: &ShelfView) -> Option<Route> {
    let sink = shelf.sink.as_ref()?;
    config
        .export
        .sinks
        .iter()
        .find(|known| known.name == *sink)?;
    let named = config.routes.iter().any(|route| {
        let same = shelf
            .experiment
            .as_ref()
            .is_none_or(|e| *e == route.trace.experiment);
        same && route.sinks.contains(sink)
    });
    let mut route = config.routes.first().filter(|_| !named)?.clone();
    route.name = format!("other in {}", shelf.folder.file_name()?.display()).into();
    route.sinks = vec![Arc::clone(sink)];
    if let Some(experiment) = &shelf.experiment {
        route.trace.experiment = experiment.clone();
    }
    Some(route)
}

fn exported(handle: &Handle) -> u64 {
    let routes = handle.status().routes;
    let sinks = routes.iter().flat_map(|route| &route.sinks);
    sinks.map(|sink| sink.exported).sum()
}

fn pending(handle: &Handle) -> u64 {
    let routes = handle.status().routes;
    let sinks = routes.iter().flat_map(|route| &route.sinks);
    sinks
        .map(|sink| sink.pending.spool + sink.pending.in_flight + sink.pending.queue)
        .sum()
}
