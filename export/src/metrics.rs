//! The metric families of this crate, registered once; their children are resolved at open, so
//! that no event hashes a label.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, PullingGauge,
    Registry,
};

use crate::budget::Budget;
use crate::shelf::Shelf;

/// Every family, before its labels are resolved.
pub(crate) struct Metrics {
    pub(crate) exchanges: IntCounterVec,
    pub(crate) kept: IntCounterVec,
    pub(crate) traces: IntCounterVec,
    pub(crate) dropped: IntCounterVec,
    pub(crate) pending: IntGaugeVec,
    pub(crate) encode_seconds: Histogram,
    pub(crate) export_seconds: HistogramVec,
    pub(crate) defects: IntCounterVec,
    pub(crate) redactions: IntCounterVec,
    pub(crate) tokens: IntCounterVec,
    pub(crate) spool_damaged: IntCounterVec,
    pub(crate) degraded: IntCounterVec,
}

impl Metrics {
    pub(crate) fn register(
        registry: &Registry,
        budget: &Arc<Budget>,
    ) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registered(registry, family)
        };
        let gauge = Arc::clone(budget);
        registry.register(Box::new(PullingGauge::new(
            "offpath_queue_bytes",
            "Bytes held by traces between offer and delivery.",
            Box::new(move || gauge.bytes() as f64),
        )?))?;
        Ok(Self {
            exchanges: counter(
                "offpath_exchanges_total",
                "Exchanges by what was decided about keeping them.",
                &["route", "decision"],
            )?,
            kept: counter(
                "offpath_kept_total",
                "Exchanges kept.",
                &["route", "because"],
            )?,
            traces: counter(
                "offpath_traces_total",
                "Kept traces that were exported or dropped.",
                &["route", "sink", "outcome"],
            )?,
            dropped: counter(
                "offpath_traces_dropped_total",
                "Kept traces that were dropped.",
                &["route", "sink", "reason"],
            )?,
            pending: registered(registry, pending()?)?,
            encode_seconds: registered(registry, encode_seconds()?)?,
            export_seconds: registered(registry, export_seconds()?)?,
            defects: counter(
                "offpath_defects_total",
                "Exchanges that were not as their format wants them.",
                &["kind"],
            )?,
            redactions: counter(
                "offpath_redactions_total",
                "Values masked before a trace was sent, by the rule that found them.",
                &["rule"],
            )?,
            tokens: counter(
                "offpath_tokens_total",
                "Tokens, as the upstream of a decoded exchange counted them.",
                &["route", "kind"],
            )?,
            spool_damaged: counter(
                "offpath_spool_damaged_total",
                "Places on disk that hold no whole trace: torn ends, changed bytes, failed reads.",
                &["sink"],
            )?,
            degraded: counter(
                "offpath_degraded_total",
                "Traces without contents, because something was nearly full or too slow.",
                &["route", "because"],
            )?,
        })
    }
}

/// The gauge of all destinations' bytes on disk.
pub(crate) fn register_spool_bytes(
    registry: &Registry,
    shelves: Vec<Arc<Shelf>>,
) -> Result<(), prometheus::Error> {
    let bytes = move || {
        shelves
            .iter()
            .map(|shelf| shelf.status().bytes)
            .sum::<u64>() as f64
    };
    registry.register(Box::new(PullingGauge::new(
        "offpath_spool_bytes",
        "Bytes of the spool's segments, delivered records in them included.",
        Box::new(bytes),
    )?))
}

/// Puts `family` into `registry` and hands it back; its handles share one set of figures.
fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn pending() -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(
        Opts::new(
            "offpath_traces_pending",
            "Kept traces that are neither exported nor dropped.",
        ),
        &["route", "sink", "where"],
    )
}

/// Its buckets run from a 1 KB exchange to a body of many megabytes.
fn encode_seconds() -> Result<Histogram, prometheus::Error> {
    let buckets = prometheus::exponential_buckets(5e-6, 4.0, 10)?;
    Histogram::with_opts(
        HistogramOpts::new(
            "offpath_encode_seconds",
            "Time to decode and encode one trace.",
        )
        .buckets(buckets),
    )
}

fn export_seconds() -> Result<HistogramVec, prometheus::Error> {
    let buckets = prometheus::exponential_buckets(2e-3, 2.0, 15)?;
    HistogramVec::new(
        HistogramOpts::new(
            "offpath_export_seconds",
            "Time from a batch's send to its answer.",
        )
        .buckets(buckets),
        &["sink"],
    )
}
