//! One look at a branch: ask where it points to, and when that is news, fetch that one commit and read the path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gix::ObjectId;
use gix::progress::Discard;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::{Transport, http};
use gix::remote::ref_map;

use super::error::GitError;
use super::guard::{Failure, Meter, Watchdog};
use super::http::HttpClient;
use super::local;
use super::manifest::{ManifestError, Parsed, RepoFile};
use super::parse;
use super::request::{Limits, Request, Target, printable};
use super::tree;
use crate::core::time::Time;

/// What a look at a branch gave.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The branch still points to the commit the caller has seen last.
    Unchanged {
        /// That commit's id.
        revision: String,
    },
    /// The branch points to another commit; here is what it holds.
    Fetched(Box<Fetched>),
}

/// What one commit holds below the path.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The commit's id.
    pub revision: String,
    /// The same as Flux writes it: `main@sha1:<id>`.
    pub revision_text: String,
    /// When the commit was made, by the committer's clock.
    pub committed_at: Option<Time>,
    /// The first line of the commit's message, at most 200 characters of it.
    pub subject: String,
    /// The manifest files, sorted by path.
    pub files: Vec<RepoFile>,
    /// What lies below the path and cannot be read.
    pub problems: Vec<ManifestError>,
}

impl Fetched {
    /// The manifests in the files; its errors include [`Self::problems`].
    #[must_use]
    pub fn parse(&self, limits: &Limits) -> Parsed {
        let mut parsed = parse::parse(&self.files, limits);
        parsed.errors.splice(0..0, self.problems.iter().cloned());
        parsed.bound(limits.max_errors);
        parsed
    }
}

/// Fetches from one repository into one directory, which it keeps between fetches and makes anew now and then.
#[derive(Debug)]
pub struct Fetcher {
    dir: PathBuf,
    /// What the copy on disk was made from; none when it must be made anew.
    copy_of: Option<String>,
    fetches: u32,
}

impl Fetcher {
    /// Fetches into one copy before it is made anew: shallow fetches leave objects behind.
    const FETCHES_PER_COPY: u32 = 20;

    /// A fetcher that keeps its copy below `dir`, a directory of its own. What an earlier one left there is removed with the
    /// first fetch.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            copy_of: None,
            fetches: 0,
        }
    }

    /// Looks where the branch points to, and reads that commit unless it is the one last seen. Blocks until it is done, the
    /// time is over, or it is cancelled.
    ///
    /// # Errors
    ///
    /// See [`GitError`]; [`GitError::is_transient`] tells whether trying again may help.
    pub fn fetch(&mut self, request: &Request, limits: &Limits) -> Result<Outcome, GitError> {
        let target = Target::check(request)?;
        let meter = Meter::new(request.timeout, limits.max_repository_bytes, request.cancel.clone());
        let dir = self.dir.clone();
        let run = Run {
            request,
            limits,
            target: &target,
            meter: &meter,
            dir: &dir,
        };
        let watchdog = Watchdog::start(&meter).map_err(|err| run.local(&err))?;
        let used_before = self.copy_of.as_deref() == Some(request.url.as_str());
        let mut result = self.attempt(&run);
        if used_before && meter.failure().is_none() && result.as_ref().is_err_and(GitError::blames_copy) {
            // The copy may be at fault: once more with a new one.
            self.copy_of = None;
            result = self.attempt(&run);
        }
        if result.is_err() {
            self.copy_of = None;
        }
        drop(watchdog);
        meter.end_child();
        result
    }

    fn attempt(&mut self, run: &Run<'_>) -> Result<Outcome, GitError> {
        run.meter
            .check()
            .map_err(|err| run.explain(&gix::Error::from_error(err)))?;
        if self.fetches >= Self::FETCHES_PER_COPY || self.copy_of.as_deref() != Some(run.request.url.as_str()) {
            self.copy_of = None;
            run.remove_copy()?;
            self.fetches = 0;
        }
        let repo = run.open(self.copy_of.is_none())?;
        self.copy_of = Some(run.request.url.clone());
        let Some(id) = run.receive(&repo)? else {
            let revision = run.request.last_seen.clone().unwrap_or_default();
            return Ok(Outcome::Unchanged { revision });
        };
        self.fetches += 1;
        run.read(&repo, id).map(|fetched| Outcome::Fetched(Box::new(fetched)))
    }
}

/// One fetch under way.
struct Run<'a> {
    request: &'a Request,
    limits: &'a Limits,
    target: &'a Target,
    meter: &'a Arc<Meter>,
    dir: &'a Path,
}

impl Run<'_> {
    fn copy_dir(&self) -> PathBuf {
        self.dir.join("repository.git")
    }

    fn url(&self) -> String {
        self.target.shown.clone()
    }

    fn local(&self, err: &io::Error) -> GitError {
        GitError::Local {
            url: self.url(),
            reason: err.to_string(),
        }
    }

    fn remove_copy(&self) -> Result<(), GitError> {
        match fs::remove_dir_all(self.copy_dir()) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(self.local(&err)),
            _ => Ok(()),
        }
    }

    /// Opens the copy without any configuration but our own.
    fn open(&self, create: bool) -> Result<gix::Repository, GitError> {
        let options = gix::open::Options::isolated().config_overrides([
            format!("gitoxide.objects.allocLimit={}", self.limits.max_object_bytes),
            "pack.threads=1".to_owned(),
        ]);
        let opened = if create {
            fs::create_dir_all(self.dir).map_err(|err| self.local(&err))?;
            let kind = gix::create::Kind::Bare;
            gix::ThreadSafeRepository::init_opts(self.copy_dir(), kind, gix::create::Options::default(), options)
        } else {
            options.open(self.copy_dir())
        };
        opened.map(Into::into).map_err(|err| GitError::Local {
            url: self.url(),
            reason: reason(&err),
        })
    }

    fn transport(&self) -> Result<Box<dyn Transport + Send>, GitError> {
        let url = &self.target.url;
        if url.scheme() == "file" {
            let path = url
                .to_file_path()
                .map_err(|()| GitError::RepositoryNotFound { url: self.url() })?;
            let transport = local::connect(&path, self.dir, self.meter);
            return match transport {
                Ok(transport) => Ok(Box::new(transport)),
                Err(err) => Err(self.explain(&gix::Error::from_error(err))),
            };
        }
        let request = self.request;
        let client =
            HttpClient::new(url, &request.credentials, request.ca.as_deref(), self.meter).map_err(|reason| {
                match &request.ca {
                    Some(_) => GitError::InvalidCa {
                        url: self.url(),
                        reason,
                    },
                    None => GitError::Local {
                        url: self.url(),
                        reason,
                    },
                }
            })?;
        let git_url = gix::url::parse(url.as_str()).map_err(|err| self.explain(&err))?;
        Ok(Box::new(http::Transport::new_http(
            client,
            git_url,
            Protocol::V2,
            false,
        )))
    }

    /// Asks for the branch and fetches its commit; none when it is the one last seen.
    fn receive(&self, repo: &gix::Repository) -> Result<Option<ObjectId>, GitError> {
        let full_ref = self.target.full_ref.as_str();
        let wanted = self.request.commit.as_deref().unwrap_or(full_ref);
        let explain = |err: gix::Error| self.explain(&err);
        let remote = repo
            .remote_at(self.target.url.as_str())
            .and_then(|remote| {
                remote.with_fetch_tags(gix::remote::fetch::Tags::None).with_refspecs(
                    [format!("+{wanted}:refs/homeostat/tip").as_str()],
                    gix::remote::Direction::Fetch,
                )
            })
            .map_err(explain)?;
        let mut connection = remote.to_connection_with_transport(self.transport()?);
        connection.set_credentials(|_| Ok(None));
        let prepared = connection
            .prepare_fetch(Discard, ref_map::Options::default())
            .map_err(explain)?;
        let tip = match &self.request.commit {
            Some(id) => ObjectId::from_hex(id.as_bytes()).ok(),
            None => prepared.ref_map().remote_refs.iter().find_map(|remote_ref| {
                let (name, target, peeled) = remote_ref.unpack();
                (name == full_ref)
                    .then(|| peeled.or(target).map(ToOwned::to_owned))
                    .flatten()
            }),
        };
        let Some(tip) = tip else {
            drop(prepared);
            return Err(self.no_branch(&remote));
        };
        if self.request.last_seen.as_deref() == Some(tip.to_string().as_str()) {
            return Ok(None);
        }
        let depth = std::num::NonZeroU32::MIN;
        prepared
            .with_shallow(gix::remote::fetch::Shallow::DepthAtRemote(depth))
            .receive(Discard, &self.meter.stop)
            .map_err(explain)?;
        if self.meter.stop.load(Ordering::Relaxed) {
            return Err(self.explain(&gix::Error::from_error(io::Error::from(io::ErrorKind::Interrupted))));
        }
        Ok(Some(tip))
    }

    /// Says which branches there are instead.
    fn no_branch(&self, remote: &gix::Remote<'_>) -> GitError {
        let transport = match self.transport() {
            Ok(transport) => transport,
            Err(err) => return err,
        };
        let mut connection = remote.to_connection_with_transport(transport);
        connection.set_credentials(|_| Ok(None));
        let everything = ref_map::Options {
            prefix_from_spec_as_filter_on_remote: false,
            ..ref_map::Options::default()
        };
        let refs = match connection.ref_map(Discard, everything) {
            Ok((ref_map, _)) => ref_map.remote_refs,
            Err(err) => return self.explain(&err),
        };
        let born = refs.iter().filter(|r| r.unpack().1.is_some());
        let names: Vec<String> = born.map(|r| r.unpack().0.to_string()).collect();
        if names.is_empty() {
            return GitError::EmptyRepository { url: self.url() };
        }
        let branches = names.iter().filter_map(|name| name.strip_prefix("refs/heads/"));
        GitError::BranchMissing {
            url: self.url(),
            branch: printable(&self.request.branch, 200),
            branches: branches.take(10).map(|name| printable(name, 80)).collect(),
        }
    }

    fn read(&self, repo: &gix::Repository, id: ObjectId) -> Result<Fetched, GitError> {
        let revision = id.to_string();
        let content = tree::read(repo, id, self.target, self.limits, self.meter).map_err(|problem| match problem {
            tree::Problem::Git(err) => self.explain(&err),
            tree::Problem::Known(err) => err,
            tree::Problem::Interrupted(err) => self.explain(&gix::Error::from_error(err)),
        })?;
        Ok(Fetched {
            revision_text: match self.request.branch.as_str() {
                "" => format!("HEAD@sha1:{revision}"),
                branch => format!("{branch}@sha1:{revision}"),
            },
            revision,
            committed_at: content.committed_at,
            subject: content.subject,
            files: content.files,
            problems: content.problems,
        })
    }

    /// What went wrong: what a transport or the watchdog noted, or else what Git's error says.
    fn explain(&self, err: &gix::Error) -> GitError {
        if let Some(failure) = self.meter.failure() {
            return self.failed(failure);
        }
        if self.target.url.scheme() == "file" {
            self.meter.end_child();
            if let Some(failure) = local::diagnose(self.dir) {
                return self.failed(failure);
            }
        }
        let url = self.url();
        let reason = self.request.credentials.scrub(&reason(err));
        if err.is_resource_exhausted() {
            GitError::TooLarge {
                url,
                what: "bytes in one object",
                limit: self.limits.max_object_bytes,
            }
        } else if err.is_corrupted() {
            GitError::Corrupt { url, reason }
        } else if err.is_unsupported() {
            GitError::Unsupported { url, reason }
        } else {
            GitError::Protocol { url, reason }
        }
    }

    fn failed(&self, failure: Failure) -> GitError {
        let url = self.url();
        let scrub = |text: String| self.request.credentials.scrub(&text);
        match failure {
            Failure::Timeout => GitError::Timeout {
                url,
                after: self.request.timeout,
            },
            Failure::Cancelled => GitError::Cancelled { url },
            Failure::TooManyBytes => GitError::TooLarge {
                url,
                what: "bytes",
                limit: self.limits.max_repository_bytes,
            },
            Failure::Auth { status } => GitError::AuthFailed {
                url,
                status,
                sent: !self.request.credentials.is_none(),
            },
            Failure::NotFound => GitError::RepositoryNotFound { url },
            Failure::Status(status) => GitError::Server { url, status },
            Failure::NotGit(reason) => GitError::NotGit {
                url,
                reason: scrub(reason),
            },
            Failure::Redirect { to, reason } => GitError::Redirect {
                url,
                to: scrub(to),
                reason,
            },
            Failure::Network(reason) => GitError::Network {
                url,
                reason: scrub(reason),
            },
            Failure::Tls(reason) => GitError::Tls {
                url,
                reason: scrub(reason),
            },
            Failure::Local(reason) => GitError::Local { url, reason },
        }
    }
}

/// An error of the Git library and its causes in one line.
fn reason(err: &gix::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in err.iter_errors() {
        let text = cause.to_string();
        if !text.is_empty() && parts.last() != Some(&text) {
            parts.push(text);
        }
    }
    printable(&parts.join(": "), 400)
}
