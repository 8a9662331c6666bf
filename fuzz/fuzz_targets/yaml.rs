//! Any text as a configuration: it is parsed, or every error is reported, without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offpath_config::{Config, Env};

fuzz_target!(|text: &str| {
    let read = Config::parse(text, "fuzz.yaml", &Env::from_iter([("NAME", "value")]));
    if let Ok(config) = read {
        // Every valid configuration has a memory bound.
        assert!(config.memory_bound().total_bytes() > 0);
        config.sink_load(100.0, 1_000);
    }
});
