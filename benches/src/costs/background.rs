//! Measures the CPU time of the background threads per kept exchange.
//!
//! Exchanges arrive at a constant rate, each in its own memory, with the default batching. The
//! figures include polling, wake-ups, batching and the connection to the sink.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::ensure;
use offpath_benches::background::{Background, ENCODER, EXPORTER};
use offpath_benches::clock::cpu_time;
use offpath_benches::request_path::RequestPath;
use offpath_benches::stub_sink::StubSink;
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Name of the traffic
    #[arg(long)]
    traffic: String,
    /// Exchanges per second
    #[arg(long)]
    rate: f64,
    /// Number of exchanges
    #[arg(long)]
    count: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Value> {
    let traffic = super::traffic(&options.traffic)?;
    let sink = StubSink::start()?;
    let background = Background::open(&sink.uri(), "{}")?;
    let path = RequestPath::new(1.0);
    let send = |count: u64, first: u64| {
        let start = Instant::now();
        for index in 0..count {
            let due = start + Duration::from_secs_f64(index as f64 / options.rate);
            let exchange = path.pass(&traffic.fresh(), first + index);
            sleep(due.saturating_duration_since(Instant::now()));
            if let Some(exchange) = exchange {
                background.handle().offer(exchange);
            }
        }
        background.rest()
    };
    // The warm-up connects to the sink and grows the heap to its final size.
    let warm_up = options.count.div_ceil(5);
    send(warm_up, 0)?;
    let (encoder_before, exporter_before) = (cpu_time(ENCODER)?, cpu_time(EXPORTER)?);
    send(options.count, warm_up)?;
    let encoder = cpu_time(ENCODER)? - encoder_before;
    let exporter = cpu_time(EXPORTER)? - exporter_before;
    let account = background.account();
    ensure!(account.dropped == 0, "traces were dropped: {account:?}");
    ensure!(account.exported == warm_up + options.count, "{account:?}");
    background.close();
    let per_exchange = |time: Duration| time.as_secs_f64() * 1e6 / options.count as f64;
    Ok(json!({
        "traffic": traffic.name,
        "body_bytes": traffic.body_bytes(),
        "count": options.count,
        "encoder_us": per_exchange(encoder),
        "exporter_us": per_exchange(exporter),
    }))
}
