//! Repositories on this machine: `git upload-pack` as a child process, ended with the fetch.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use gix::bstr::BString;
use gix::protocol::transport::{
    Protocol,
    client::git::{ConnectMode, blocking_io::Connection},
};

use super::guard::{Failure, Meter, Metered};
use super::request::printable;

/// Variables that would point the child to another repository or change what it hands out.
const UNWANTED: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
];

/// The child's words, kept in a file so that they can neither block it nor fill our memory.
fn words_file(dir: &Path) -> PathBuf {
    dir.join("upload-pack.err")
}

/// Starts the child for the repository at `path`; `dir` takes its error output.
pub(super) fn connect(
    path: &Path,
    dir: &Path,
    meter: &Arc<Meter>,
) -> io::Result<Connection<Metered<ChildStdout>, ChildStdin>> {
    if !path.is_dir() {
        return Err(meter.fail(Failure::NotFound));
    }
    let words = File::create(words_file(dir)).map_err(|err| meter.fail(Failure::Local(err.to_string())))?;
    let mut command = Command::new("git");
    command
        .arg("upload-pack")
        .arg("--")
        .arg(path)
        .env("GIT_PROTOCOL", "version=2")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(words);
    for name in UNWANTED {
        command.env_remove(name);
    }
    let mut child = command.spawn().map_err(|err| {
        meter.fail(Failure::Local(format!(
            "git cannot be started ({err}); file:// URLs need it installed"
        )))
    })?;
    let pipes = child.stdout.take().zip(child.stdin.take());
    meter.guard_child(child);
    let (stdout, stdin) = pipes.ok_or_else(|| meter.fail(Failure::Local("git has no pipes".into())))?;
    let stdout = Metered {
        inner: stdout,
        meter: Arc::clone(meter),
    };
    let shown = BString::from(path.to_string_lossy().as_bytes());
    let host = None::<(String, Option<u16>)>;
    Ok(Connection::new(
        stdout,
        stdin,
        Protocol::V2,
        shown,
        host,
        ConnectMode::Process,
        false,
    ))
}

/// What the child's words mean, after it failed.
pub(super) fn diagnose(dir: &Path) -> Option<Failure> {
    let words = fs::read(words_file(dir)).ok()?;
    let words = String::from_utf8_lossy(&words[..words.len().min(4096)]).into_owned();
    let words = words.trim();
    if words.is_empty() {
        None
    } else if words.contains("does not appear to be a git repository") || words.contains("not a git repository") {
        Some(Failure::NotFound)
    } else {
        Some(Failure::Local(printable(words, 400)))
    }
}
