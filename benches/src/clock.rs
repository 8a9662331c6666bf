//! CPU time of threads in nanoseconds, user and system together, as the kernel counts it.
//!
//! Source: Linux, `Documentation/scheduler/sched-stats.rst`, `/proc/<pid>/schedstat`. The value is
//! exact for a sleeping thread and behind by up to a tick for a running one.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};

/// Returns the CPU time of this process's threads whose names begin with `prefix`. The kernel
/// truncates thread names to 15 bytes.
///
/// # Errors
/// When there is no such thread, or the kernel does not count CPU time by thread.
pub fn cpu_time(prefix: &str) -> anyhow::Result<Duration> {
    let mut sum = 0;
    let mut threads = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        // A thread may end after it was listed.
        let Ok(name) = fs::read_to_string(task.join("comm")) else {
            continue;
        };
        if name.starts_with(prefix) {
            let account = fs::read_to_string(task.join("schedstat"))
                .context("this kernel has no /proc/<pid>/schedstat")?;
            let (on_cpu, _) = account
                .split_once(' ')
                .context("/proc/<pid>/schedstat has fewer than two fields")?;
            sum += on_cpu.parse::<u64>()?;
            threads += 1;
        }
    }
    ensure!(
        threads > 0,
        "there is no thread whose name begins with `{prefix}`"
    );
    Ok(Duration::from_nanos(sum))
}
