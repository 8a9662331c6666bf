//! The functions that Callgrind counts, which `--toggle-collect` finds by name.
//!
//! The figures contain only these functions: not the start of the program, not the generation of
//! traffic, and not the drop of an exchange, which the encoder does in the product.

use clap::ValueEnum;
use offpath_benches::background::Background;
use offpath_benches::decision::{Basis, Decision};
use offpath_benches::request_path::{RequestPath, find, router};
use offpath_benches::stub_sink::StubSink;
use offpath_benches::traffic::Traffic;
use offpath_export::Handle;
use offpath_filters::Router;
use offpath_trace::Exchange;
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The part of the request path to call
    subject: Subject,
    /// Name of the traffic
    #[arg(long, default_value = "chat_1k")]
    traffic: String,
    /// Number of calls
    #[arg(long, default_value_t = 200)]
    count: u64,
    /// Number of routes, for `decision`
    #[arg(long, default_value_t = 1)]
    routes: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Subject {
    /// The filters for an exchange that is sampled
    Kept,
    /// The filters for an exchange that is not sampled
    NotKept,
    /// The hand-off of a sampled exchange
    Offer,
    /// The route look-up among 100 routes by prefix
    Route,
    /// The route, the sampling decision and the keep rules, for each basis in turn
    Decision,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Value> {
    let traffic = super::traffic(&options.traffic)?;
    match options.subject {
        Subject::Kept => pass(1.0, &traffic, options.count),
        Subject::NotKept => pass(0.0, &traffic, options.count),
        Subject::Offer => offer(&traffic, options.count)?,
        Subject::Decision => {
            for (_, basis) in Basis::ALL {
                let decision = Decision::new(options.routes, basis, true);
                (0..options.count / 4).for_each(|seed| counted_decision(&decision, seed));
            }
        }
        Subject::Route => {
            let router = router(100, "path_prefix");
            (0..options.count).for_each(|_| counted_route(&router, &traffic));
        }
    }
    Ok(json!({"count": options.count}))
}

fn pass(ratio: f64, traffic: &Traffic, count: u64) {
    let path = RequestPath::new(ratio);
    for seed in 0..count {
        drop(counted_pass(&path, traffic, seed));
    }
}

fn offer(traffic: &Traffic, count: u64) -> anyhow::Result<()> {
    let sink = StubSink::start()?;
    let background = Background::open(&sink.uri(), "{linger: 1ms}")?;
    let path = RequestPath::new(1.0);
    let exchanges: Vec<_> = (0..count)
        .filter_map(|seed| path.pass(traffic, seed))
        .collect();
    for exchange in exchanges {
        counted_offer(background.handle(), exchange);
    }
    background.rest()?;
    background.close();
    Ok(())
}

#[inline(never)]
fn counted_pass(path: &RequestPath, traffic: &Traffic, seed: u64) -> Option<Exchange> {
    path.pass(traffic, seed)
}

#[inline(never)]
fn counted_offer(handle: &Handle, exchange: Exchange) {
    handle.offer(exchange);
}

#[inline(never)]
fn counted_route(router: &Router, traffic: &Traffic) {
    std::hint::black_box(find(router, traffic));
}

#[inline(never)]
fn counted_decision(decision: &Decision, seed: u64) {
    std::hint::black_box(decision.make(seed));
}
