//! The resource use of a local process, read from `/proc` (Linux, proc(5)).
//!
//! CPU time is the sum of the scheduler's nanoseconds over all threads, because the process's own
//! figure has a resolution of 10 ms. The time of a thread that ended between two readings is lost.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fs, io};

use serde::Serialize;

/// A process to observe; `FromStr` parses `NAME=PID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The name in the tables.
    pub name: String,
    /// The process id.
    pub pid: u32,
}

/// The resources that a process has used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in nanoseconds.
    pub cpu_ns: u64,
    /// Page faults served from memory.
    pub minor_faults: u64,
    /// Page faults that read from disk.
    pub major_faults: u64,
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident memory now.
    pub resident_bytes: u64,
    /// Peak resident memory since the process started.
    pub peak_bytes: u64,
}

impl FromStr for Process {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let broken = || format!("`{text}` is not NAME=PID");
        let (name, pid) = text.split_once('=').ok_or_else(broken)?;
        let pid = pid.parse().map_err(|_| broken())?;
        if name.is_empty() || pid == 0 {
            return Err(broken());
        }
        Ok(Self {
            name: name.to_owned(),
            pid,
        })
    }
}

impl Process {
    /// Reads the resources used so far.
    ///
    /// # Errors
    /// When there is no such process, or its files cannot be read.
    pub fn usage(&self) -> io::Result<Usage> {
        let folder = self.folder();
        let (minor_faults, major_faults) = read(&folder.join("stat"), faults)?;
        let mut cpu_ns = 0;
        for thread in fs::read_dir(folder.join("task"))? {
            let path = thread?.path().join("schedstat");
            // A thread may end while the list is read.
            if let Ok(thread_ns) = read(&path, on_cpu) {
                cpu_ns += thread_ns;
            }
        }
        Ok(Usage {
            cpu_ns,
            minor_faults,
            major_faults,
        })
    }

    /// Reads the memory in use.
    ///
    /// # Errors
    /// When there is no such process, or its files cannot be read.
    pub fn memory(&self) -> io::Result<Memory> {
        read(&self.folder().join("status"), memory)
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.pid))
    }
}

impl Usage {
    /// The difference to an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            minor_faults: self.minor_faults.saturating_sub(earlier.minor_faults),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
        }
    }

    /// The sum of two differences.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_add(other.cpu_ns),
            minor_faults: self.minor_faults.saturating_add(other.minor_faults),
            major_faults: self.major_faults.saturating_add(other.major_faults),
        }
    }
}

fn read<T>(path: &Path, parse: fn(&str) -> Option<T>) -> io::Result<T> {
    let text = fs::read_to_string(path)?;
    let broken = || io::Error::other(format!("cannot read `{}`", path.display()));
    parse(&text).ok_or_else(broken)
}

/// Minor and major faults: fields 10 and 12 of `stat`. They are counted from the end of the name,
/// which may contain spaces and parentheses.
fn faults(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(7);
    let minor = fields.next()?.parse().ok()?;
    let major = fields.nth(1)?.parse().ok()?;
    Some((minor, major))
}

fn on_cpu(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

fn memory(status: &str) -> Option<Memory> {
    let kibibytes = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    Some(Memory {
        resident_bytes: kibibytes("VmRSS:")? * 1024,
        peak_bytes: kibibytes("VmHWM:")? * 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_parentheses() {
        let stat = "14518 (a) b) R 14514 14514 5655 0 -1 4194304 105 0 7 0 20 3 0 0 20 0 1";
        assert_eq!(faults(stat), Some((105, 7)));
        assert_eq!(faults("1 (x) R 1"), None);
        assert_eq!(on_cpu("197563 4927 2\n"), Some(197_563));
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let expect = Memory {
            resident_bytes: 1 << 20,
            peak_bytes: 2 << 20,
        };
        assert_eq!(memory(status), Some(expect));
        assert_eq!(memory("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn work_shows_in_the_usage_of_this_process_and_a_missing_process_is_an_error() {
        let this = Process {
            name: "this".to_owned(),
            pid: std::process::id(),
        };
        let before = this.usage().unwrap();
        // The scheduler updates its figure only at a tick or a context switch.
        let mut used = Usage::default();
        while used.cpu_ns == 0 || used.minor_faults == 0 {
            std::hint::black_box(vec![1_u8; 1 << 20]);
            std::thread::yield_now();
            used = this.usage().unwrap().since(before);
        }
        assert!(this.memory().unwrap().peak_bytes > 0);
        let nobody = Process {
            name: "nobody".to_owned(),
            pid: u32::MAX,
        };
        assert!(nobody.usage().is_err());
    }

    #[test]
    fn a_name_and_a_pid_are_parsed() {
        let expect = Process {
            name: "proxy".to_owned(),
            pid: 12,
        };
        assert_eq!("proxy=12".parse(), Ok(expect));
        for broken in ["12", "=12", "a=0", "a=b", "a=-1"] {
            assert_eq!(
                broken.parse::<Process>(),
                Err(format!("`{broken}` is not NAME=PID"))
            );
        }
    }
}
