//! Keeps one fetch within its time and its bytes: counts what is read, and a watchdog ends what does not end by itself.

use std::io::{self, Read};
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Why a transport gave up. Kept beside the error that travels through the Git library, which would lose its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Timeout,
    Cancelled,
    TooManyBytes,
    Auth { status: u16 },
    NotFound,
    Status(u16),
    NotGit(String),
    Redirect { to: String, reason: String },
    Network(String),
    Tls(String),
    Local(String),
}

/// What one fetch has used and may use.
pub(super) struct Meter {
    deadline: Instant,
    max_bytes: u64,
    bytes: AtomicU64,
    cancel: Option<Arc<AtomicBool>>,
    /// Set when everything must end; the Git library looks at it too.
    pub stop: AtomicBool,
    failure: Mutex<Option<Failure>>,
    child: Mutex<Option<Child>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meter {
    pub fn new(timeout: Duration, max_bytes: u64, cancel: Option<Arc<AtomicBool>>) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            deadline: now.checked_add(timeout).unwrap_or(now),
            max_bytes,
            bytes: AtomicU64::new(0),
            cancel,
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
            child: Mutex::new(None),
        })
    }

    /// The time left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether it may go on.
    pub fn check(&self) -> io::Result<()> {
        if self
            .cancel
            .as_ref()
            .is_some_and(|cancel| cancel.load(Ordering::Relaxed))
        {
            return Err(self.fail(Failure::Cancelled));
        }
        if self.remaining().is_zero() {
            return Err(self.fail(Failure::Timeout));
        }
        Ok(())
    }

    /// Notes why it ends; the first reason stands.
    pub fn fail(&self, failure: Failure) -> io::Error {
        let error = io::Error::other(format!("{failure:?}"));
        lock(&self.failure).get_or_insert(failure);
        self.stop.store(true, Ordering::Relaxed);
        error
    }

    /// Why it ended, if a transport or the watchdog ended it.
    pub fn failure(&self) -> Option<Failure> {
        lock(&self.failure).clone()
    }

    /// The process to end when the time is over.
    pub fn guard_child(&self, child: Child) {
        if let Some(old) = lock(&self.child).replace(child) {
            reap(old);
        }
    }

    /// Ends the process, if there is one, and waits for it.
    pub fn end_child(&self) {
        let child = lock(&self.child).take();
        if let Some(child) = child {
            reap(child);
        }
    }

    fn kill_child(&self) {
        if let Some(child) = lock(&self.child).as_mut() {
            child.kill().ok();
        }
    }

    fn count(&self, read: usize) -> io::Result<()> {
        let before = self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        if before.saturating_add(read as u64) > self.max_bytes {
            return Err(self.fail(Failure::TooManyBytes));
        }
        Ok(())
    }
}

fn reap(mut child: Child) {
    child.kill().ok();
    child.wait().ok();
}

/// A reader that stays within its [`Meter`].
pub(super) struct Metered<R> {
    pub inner: R,
    pub meter: Arc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.meter.check()?;
        let read = self.inner.read(buf).inspect_err(|err| {
            if err.kind() == io::ErrorKind::TimedOut || self.meter.remaining().is_zero() {
                self.meter.fail(Failure::Timeout);
            }
        })?;
        self.meter.count(read)?;
        Ok(read)
    }
}

/// Ends a fetch whose time is over or that was cancelled. Dropping it ends the watching.
pub(super) struct Watchdog {
    done: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// How often a request to cancel is looked for.
    const POLL: Duration = Duration::from_millis(100);

    pub fn start(meter: &Arc<Meter>) -> io::Result<Self> {
        let (done, finished) = mpsc::channel();
        let meter = Arc::clone(meter);
        let thread = thread::Builder::new().name("git-watchdog".into()).spawn(move || {
            loop {
                let wait = match meter.cancel {
                    Some(_) => meter.remaining().min(Self::POLL),
                    None => meter.remaining(),
                };
                if finished.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                if meter.check().is_err() {
                    meter.kill_child();
                    return;
                }
            }
        })?;
        Ok(Self {
            done: Some(done),
            thread: Some(thread),
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
