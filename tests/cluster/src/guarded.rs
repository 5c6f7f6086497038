//! A process that does not outlive its owner.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::binaries::Binaries;
use crate::{Error, Result};

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Added to the environment.
    pub env: BTreeMap<String, String>,
    /// Where standard output and standard error go.
    pub log: PathBuf,
    /// Stopped by SIGKILL at once, instead of SIGTERM and five seconds of grace.
    pub kill: bool,
}

/// A running process. Dropping it stops it; so does the end of this process, whatever ended it.
#[derive(Debug)]
pub struct Guarded {
    guard: Child,
    pid: u32,
    log: PathBuf,
}

impl Guarded {
    /// Starts a process.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(binaries: &Binaries, spec: &Spec) -> Result<Self> {
        let name = spec
            .command
            .first()
            .map(|c| c.to_string_lossy().into_owned())
            .unwrap_or_default();
        let err = |e: std::io::Error| Error::new(format!("start {name}"), e);
        let log = File::options().create(true).append(true).open(&spec.log).map_err(err)?;
        let mut command = Command::new(&binaries.guard);
        if spec.kill {
            command.arg("--kill");
        }
        command.arg("--").args(&spec.command).envs(&spec.env);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut guard = command.spawn().map_err(err)?;
        let mut line = String::new();
        if let Some(stdout) = guard.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(err)?;
        }
        let pid = line
            .trim()
            .parse()
            .map_err(|_| Error::new(format!("start {name}"), tail(&spec.log)))?;
        Ok(Self {
            guard,
            pid,
            log: spec.log.clone(),
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The end of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.guard.try_wait(), Ok(None))
    }

    /// Sends a signal to it.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.guard.wait();
    }

    /// SIGTERM, and waits for its end; its exit code, or `None` when it had not ended within the limit.
    pub fn terminate(&mut self, limit: Duration) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait(limit)
    }

    /// Waits for its end; its exit code, or `None` when it had not ended within the limit.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let started = Instant::now();
        while started.elapsed() < limit {
            if let Ok(Some(status)) = self.guard.try_wait() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The last 30 lines of a log.
#[must_use]
pub fn tail(log: &Path) -> String {
    let text = std::fs::read(log)
        .map(|b| String::from_utf8_lossy(&b).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
