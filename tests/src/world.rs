//! Time, names and disk as one process has them: a library of a few lines of C, put before the
//! system's, shifts the clocks that it reads, answers for names under `.test`, and refuses to read a
//! spool. All else stays as it is.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::Gateway;

/// What the gateways have that are started in it. At first clocks are right, there
/// are no names, and all can be read.
pub struct World {
    folder: TempDir,
    passed: AtomicI64,
}

impl World {
    /// Builds the library; needs a C compiler, as offpath itself does.
    pub fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/world.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let passed = AtomicI64::new(0);
        let world = Self { folder, passed };
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        command.arg(world.library()).arg(source).arg("-ldl");
        let output = command.output().expect("there is a C compiler");
        assert!(output.status.success(), "{output:?}");
        fs::write(world.state(), [0; 24]).unwrap();
        world.name(&[]);
        world
    }

    /// From now on the wall clock is so many seconds ahead; behind, where negative.
    pub fn set_wall_clock(&self, ahead: i64) {
        self.write(0, ahead);
    }

    /// So much time passes for `gateway`, to the second, in no time: what it waits for until then
    /// is over.
    pub fn pass(&self, time: Duration, gateway: &Gateway) {
        let seconds = i64::try_from(time.as_secs()).unwrap();
        let passed = self.passed.fetch_add(seconds, SeqCst) + seconds;
        self.write(8, passed);
        // Threads that sleep in the kernel are interrupted, look at the clock, and find it late
        // (signal(7), "Interruption of system calls and library functions by stop signals").
        gateway.signal(Signal::STOP);
        // Continued before, nobody would have been interrupted.
        while !stopped(gateway.pid()) {
            std::thread::yield_now();
        }
        gateway.signal(Signal::CONT);
    }

    /// From now on these are all names, each with an address; a name may have several.
    pub fn name(&self, names: &[(&str, &str)]) {
        let line = |(name, address): &(&str, &str)| format!("{name} {address}\n");
        let hosts: String = names.iter().map(line).collect();
        // In one step: a look-up never finds half of it.
        let new = self.folder.path().join("hosts.new");
        fs::write(&new, hosts).unwrap();
        fs::rename(new, self.hosts()).unwrap();
    }

    /// Whether what is in the spool can be read.
    pub fn let_spools_be_read(&self, readable: bool) {
        self.write(16, i64::from(!readable));
    }

    /// What a process needs in its environment to live in it.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", self.library()),
            ("OFFPATH_TESTS_WORLD", self.state()),
            ("OFFPATH_TESTS_HOSTS", self.hosts()),
        ]
    }

    fn write(&self, at: u64, number: i64) {
        let file = OpenOptions::new().write(true).open(self.state()).unwrap();
        file.write_all_at(&number.to_ne_bytes(), at).unwrap();
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("world.so")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn hosts(&self) -> PathBuf {
        self.folder.path().join("hosts")
    }
}

/// Whether all threads of a process are stopped: proc(5), the state that follows the name.
fn stopped(pid: u32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut stats =
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    stats.all(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}
