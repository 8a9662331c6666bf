//! The metric families of this crate, registered once; their children are resolved at open, so
//! that no event hashes a label.

use std::sync::Arc;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, PullingGauge,
    Registry,
};

use crate::budget::Budget;

/// Every family, before its labels are resolved.
pub(crate) struct Metrics {
    pub(crate) kept: IntCounterVec,
    pub(crate) traces: IntCounterVec,
    pub(crate) dropped: IntCounterVec,
    pub(crate) pending: IntGaugeVec,
    pub(crate) encode_seconds: Histogram,
    pub(crate) export_seconds: HistogramVec,
    pub(crate) defects: IntCounterVec,
    pub(crate) tokens: IntCounterVec,
}

impl Metrics {
    pub(crate) fn register(
        registry: &Registry,
        budget: &Arc<Budget>,
    ) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let pending = IntGaugeVec::new(
            Opts::new(
                "offpath_traces_pending",
                "Kept traces that are neither exported nor dropped.",
            ),
            &["route", "sink", "where"],
        )?;
        registry.register(Box::new(pending.clone()))?;
        // From a 1 KB exchange to a body of many megabytes.
        let encode_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "offpath_encode_seconds",
                "Time to decode and encode one trace.",
            )
            .buckets(prometheus::exponential_buckets(5e-6, 4.0, 10)?),
        )?;
        registry.register(Box::new(encode_seconds.clone()))?;
        let export_seconds = HistogramVec::new(
            HistogramOpts::new(
                "offpath_export_seconds",
                "Time from a batch's send to its answer.",
            )
            .buckets(prometheus::exponential_buckets(2e-3, 2.0, 15)?),
            &["sink"],
        )?;
        registry.register(Box::new(export_seconds.clone()))?;
        let gauge = Arc::clone(budget);
        registry.register(Box::new(PullingGauge::new(
            "offpath_queue_bytes",
            "Bytes held by traces between offer and delivery.",
            Box::new(move || gauge.bytes() as f64),
        )?))?;
        Ok(Self {
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
            pending,
            encode_seconds,
            export_seconds,
            defects: counter(
                "offpath_defects_total",
                "Exchanges that were not as their format wants them.",
                &["kind"],
            )?,
            tokens: counter(
                "offpath_tokens_total",
                "Tokens, as the upstream of a decoded exchange counted them.",
                &["route", "kind"],
            )?,
        })
    }
}
