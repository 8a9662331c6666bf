//! What a local process used, read from `/proc` (Linux, proc(5)).
//!
//! CPU time is the sum over the threads of what the scheduler counted, in nanoseconds: the
//! process's own figure comes in ticks of 10 ms. A thread that ended between two readings takes
//! its time with it.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fs, io};

use serde::Serialize;

/// A process to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// What it is called in the tables.
    pub name: String,
    /// Its id.
    pub pid: u32,
}

/// What a process used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// On a CPU, in nanoseconds.
    pub cpu_ns: u64,
    /// Page faults served from memory.
    pub minor_faults: u64,
    /// Page faults that read from disk.
    pub major_faults: u64,
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident now.
    pub resident_bytes: u64,
    /// The most that was resident since it began.
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
    /// What it used so far.
    ///
    /// # Errors
    /// When there is no such process, or its files may not be read.
    pub fn usage(&self) -> io::Result<Usage> {
        let folder = self.folder();
        let (minor_faults, major_faults) = read(&folder.join("stat"), faults)?;
        let mut cpu_ns = 0;
        for thread in fs::read_dir(folder.join("task"))? {
            let path = thread?.path().join("schedstat");
            // A thread may end while the list is read.
            cpu_ns += read(&path, on_cpu).unwrap_or_default();
        }
        Ok(Usage {
            cpu_ns,
            minor_faults,
            major_faults,
        })
    }

    /// Its memory.
    ///
    /// # Errors
    /// As [`Process::usage`].
    pub fn memory(&self) -> io::Result<Memory> {
        read(&self.folder().join("status"), memory)
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.pid))
    }
}

impl Usage {
    /// What was used from `earlier` to this.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            minor_faults: self.minor_faults.saturating_sub(earlier.minor_faults),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
        }
    }

    /// Both together.
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

/// Minor and major faults: fields 10 and 12 of `stat`, counted after the name, which may hold
/// blanks and brackets.
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
    fn fields_are_found_behind_a_name_with_brackets() {
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
    fn work_done_shows_in_this_process_and_a_missing_one_is_an_error() {
        let this = Process {
            name: "this".to_owned(),
            pid: std::process::id(),
        };
        let before = this.usage().unwrap();
        // Until it shows: the scheduler updates its figure at a tick or a switch.
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
    fn a_name_and_a_pid_are_read() {
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
