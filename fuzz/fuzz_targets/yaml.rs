//! Any text as a configuration: it is read, or every fault is told, without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offpath_config::{Config, Env};

fuzz_target!(|text: &str| {
    let read = Config::parse(text, "fuzz.yaml", &Env::from_iter([("NAME", "value")]));
    if let Ok(config) = read {
        // What is valid has a bound.
        assert!(config.memory_bound().total_bytes() > 0);
        config.sink_load(100.0, 1_000);
    }
});
