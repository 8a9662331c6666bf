//! How long threads ran, by the kernel's own account (nanoseconds, user and system together).
//!
//! Source: Linux, `Documentation/scheduler/sched-stats.rst`, `/proc/<pid>/schedstat`. Exact for
//! a thread that sleeps; a running one is behind by up to a tick.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};

/// Time on a CPU of this process's threads whose names begin so. The kernel cuts a name after
/// 15 bytes.
///
/// # Errors
/// Where there is no such thread, or the kernel keeps no such account.
pub fn cpu_time(prefix: &str) -> anyhow::Result<Duration> {
    let mut sum = 0;
    let mut threads = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        // A thread may end between the listing and the look.
        let Ok(name) = fs::read_to_string(task.join("comm")) else {
            continue;
        };
        if name.starts_with(prefix) {
            let account = fs::read_to_string(task.join("schedstat"))
                .context("this kernel has no /proc/<pid>/schedstat")?;
            let on_cpu = account.split(' ').next().unwrap_or_default();
            sum += on_cpu.parse::<u64>()?;
            threads += 1;
        }
    }
    ensure!(threads > 0, "no thread's name begins with `{prefix}`");
    Ok(Duration::from_nanos(sum))
}
