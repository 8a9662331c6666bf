//! A wall clock that jumps, for one process: a library of a few lines of C, put before the
//! system's, shifts what the process reads. All else that tells time stays as it is.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// The wall clock of the gateways that are started with it. Right at first.
pub struct WallClock {
    folder: TempDir,
}

impl WallClock {
    /// Builds the library; needs a C compiler, as offpath itself does.
    pub fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/clock.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let clock = Self { folder };
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        let output = command.arg(clock.library()).arg(source).output();
        let output = output.expect("there is a C compiler");
        assert!(output.status.success(), "{output:?}");
        fs::write(clock.file(), 0_i64.to_ne_bytes()).unwrap();
        clock
    }

    /// From now on it is so many seconds ahead; behind, where negative.
    pub fn set(&self, ahead: i64) {
        let file = OpenOptions::new().write(true).open(self.file()).unwrap();
        file.write_all_at(&ahead.to_ne_bytes(), 0).unwrap();
    }

    /// What a process needs in its environment to go by it.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("LD_PRELOAD", self.library()),
            ("OFFPATH_TESTS_CLOCK", self.file()),
        ]
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("clock.so")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ahead")
    }
}
