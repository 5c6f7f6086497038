//! What is asked for: where the repository is, which branch and path of it, and within which limits.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use reqwest::Url;

use super::error::GitError;

/// How to log in.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all: a public repository.
    #[default]
    None,
    /// User name and password or access token, as most Git servers take them.
    Basic {
        /// The user name; many servers take any with an access token.
        username: String,
        /// The password or access token.
        password: String,
    },
    /// A token sent as `Authorization: Bearer`.
    Bearer {
        /// The token.
        token: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(…)",
            Self::Bearer { .. } => "Bearer(…)",
        })
    }
}

impl Credentials {
    /// Whether there is nothing to log in with.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// `text` without the secret, should a server have echoed it.
    pub(super) fn scrub(&self, text: &str) -> String {
        let secret = match self {
            Self::None => return text.to_owned(),
            Self::Basic { password, .. } => password,
            Self::Bearer { token } => token,
        };
        let mut text = text.to_owned();
        if !secret.is_empty() {
            text = text.replace(secret.as_str(), "***");
        }
        for scheme in ["Basic ", "basic ", "Bearer ", "bearer "] {
            // What follows is the header's value, encoded or not.
            let mut parts = text.split(scheme);
            let first = parts.next().unwrap_or_default().to_owned();
            text = parts.fold(first, |text, part| {
                let value = part.find(char::is_whitespace).unwrap_or(part.len());
                text + scheme + "***" + &part[value..]
            });
        }
        text
    }
}

/// One look at a repository.
#[derive(Clone)]
pub struct Request {
    /// `https://`, `http://` or `file://`, without user or password.
    pub url: String,
    /// The branch, without `refs/heads/`; empty for the one that the repository's HEAD names.
    pub branch: String,
    /// The directory in the repository to read; empty for all of it.
    pub path: String,
    /// The commit the caller already has read at this path. While the branch still points to it nothing is fetched.
    pub last_seen: Option<String>,
    /// This very commit is wanted, wherever the branch points to by now.
    pub commit: Option<String>,
    /// How to log in.
    pub credentials: Credentials,
    /// Certificate authorities in PEM. When set only these are trusted, otherwise those of the system.
    pub ca: Option<String>,
    /// How long everything together may take.
    pub timeout: Duration,
    /// Set to true from elsewhere to give up early, such as at shutdown.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Request {
    /// The root of `branch` at `url`, without credentials, within 60 seconds.
    pub fn new(url: impl Into<String>, branch: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            branch: branch.into(),
            path: String::new(),
            last_seen: None,
            commit: None,
            credentials: Credentials::None,
            ca: None,
            timeout: Duration::from_mins(1),
            cancel: None,
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("url", &shown_url(&self.url))
            .field("branch", &self.branch)
            .field("path", &self.path)
            .field("last_seen", &self.last_seen)
            .field("commit", &self.commit)
            .field("credentials", &self.credentials)
            .field("ca", &self.ca.as_ref().map(|_| "…"))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// How much of a repository is taken. Each limit is there to keep a mistaken or hostile repository from costing more than
/// an error message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes received from the server in one fetch. Default 64 MiB.
    pub max_repository_bytes: u64,
    /// Memory that one unpacked object of the repository may take, read or not. Default 128 MiB.
    pub max_object_bytes: u64,
    /// Bytes of one manifest file; a larger one is reported and not read. Default 1 MiB.
    pub max_file_bytes: u64,
    /// Manifest files. Default 10,000.
    pub max_files: usize,
    /// Entries of all kinds looked at below the path, directories too. Default 200,000.
    pub max_entries: usize,
    /// Bytes of all manifest files together. Default 32 MiB.
    pub max_total_bytes: u64,
    /// Directories below one another, counted from the path. Default 32.
    pub max_depth: usize,
    /// Documents in one file, items of a `List` counted one by one. Default 1,000.
    pub max_documents: usize,
    /// Objects and lists inside one another in one document. Default 64.
    pub max_nesting: usize,
    /// Values in one document once aliases are expanded. Default 100,000.
    pub max_nodes: usize,
    /// Errors kept; the rest is only counted in a last one. Default 200.
    pub max_errors: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            max_repository_bytes: 64 * MIB,
            max_object_bytes: 128 * MIB,
            max_file_bytes: MIB,
            max_files: 10_000,
            max_entries: 200_000,
            max_total_bytes: 32 * MIB,
            max_depth: 32,
            max_documents: 1_000,
            max_nesting: 64,
            max_nodes: 100_000,
            max_errors: 200,
        }
    }
}

/// A request whose parts have been checked.
pub(super) struct Target {
    /// Where to connect to.
    pub url: Url,
    /// The same for people: never with user, password or query.
    pub shown: String,
    /// The branch's full name.
    pub full_ref: String,
    /// The path's parts.
    pub path: Vec<String>,
}

impl Target {
    pub fn check(request: &Request) -> Result<Self, GitError> {
        let shown = shown_url(&request.url);
        let url = check_url(request, &shown)?;
        let full_ref = match request.branch.as_str() {
            "" => "HEAD".to_owned(),
            branch => format!("refs/heads/{branch}"),
        };
        if request.branch.starts_with('-') || gix::validate::reference::name(full_ref.as_str().into()).is_err() {
            return Err(GitError::InvalidBranch {
                branch: printable(&request.branch, 200),
            });
        }
        Ok(Self {
            url,
            shown,
            full_ref,
            path: check_path(&request.path)?,
        })
    }
}

fn check_url(request: &Request, shown: &str) -> Result<Url, GitError> {
    let invalid = |reason: &str| GitError::InvalidUrl {
        url: shown.to_owned(),
        reason: reason.to_owned(),
    };
    let url = Url::parse(&request.url)
        .map_err(|_| invalid("it does not read as a URL; write it like https://git.example.com/team/repository.git"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "it holds a user or password; put them into the Secret of the source",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it has a `?` or `#` part; leave that out"));
    }
    match url.scheme() {
        "https" => {}
        "http" if request.credentials.is_none() || is_loopback(&url) => {}
        "http" => return Err(GitError::ClearTextCredentials { url: shown.to_owned() }),
        "file" if matches!(url.host_str(), None | Some("localhost")) => {}
        _ => return Err(invalid("only https://, http:// and file:// are supported")),
    }
    Ok(url)
}

/// Whether what is sent to `url` stays on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    })
}

fn check_path(path: &str) -> Result<Vec<String>, GitError> {
    let invalid = |reason: &str| GitError::InvalidPath {
        path: printable(path, 200),
        reason: reason.to_owned(),
    };
    if path.starts_with('/') {
        return Err(invalid(
            "it starts with `/`; write it relative to the repository's root",
        ));
    }
    if path.contains(|c: char| c == '\\' || c.is_control()) {
        return Err(invalid(
            "it holds a backslash or a control character; separate directories by `/`",
        ));
    }
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts
        .map(|part| match part {
            ".." => Err(invalid("it holds `..`; name the directory itself")),
            ".git" => Err(invalid("`.git` is not part of a repository's content")),
            part => Ok(part.to_owned()),
        })
        .collect()
}

/// A URL as people may see it: without user, password, query and fragment.
pub(super) fn shown_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    // A password may hold any character: whatever stands before the last `@` may be part of one.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let shown = if scheme.is_empty() {
        rest.to_owned()
    } else {
        format!("{scheme}://{rest}")
    };
    printable(&shown, 500)
}

/// Foreign text made fit for one line of a message: no control characters, at most `max` characters.
pub(super) fn printable(text: &str, max: usize) -> String {
    let mut out: String = text
        .chars()
        .take(max)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(max).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, path: &str) -> Result<Vec<String>, String> {
        let mut request = Request::new(url, "main");
        request.path = path.to_owned();
        Target::check(&request).map(|t| t.path).map_err(|e| e.to_string())
    }

    #[test]
    fn paths() {
        let url = "https://git.example.com/a.git";
        assert_eq!(check(url, "./a//b/").unwrap(), ["a", "b"]);
        assert!(check(url, "").unwrap().is_empty());
        for bad in ["/etc", "a/../../b", "..", "a\\b", "a\0b", ".git/hooks"] {
            assert!(check(url, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls_never_show_secrets() {
        for url in [
            "https://user:hunter2@git.example.com/a.git",
            "https://user:hunter2/x@git.example.com/a.git",
            "https://user:a#hunter2@git.example.com/a.git",
            "https://hunter2#a@git.example.com/a.git",
            "https://git.example.com/a.git?token=hunter2",
            "user:hunter2@git.example.com:a.git",
            "ssh://git:hunter2@git.example.com/a",
        ] {
            let message = check(url, "").unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
            let debug = format!("{:?}", Request::new(url, "main"));
            assert!(!debug.contains("hunter2"), "{debug}");
        }
    }

    #[test]
    fn credentials_do_not_travel_in_clear_text() {
        let mut request = Request::new("http://git.example.com/a.git", "main");
        request.credentials = Credentials::Bearer {
            token: "hunter2".into(),
        };
        assert!(matches!(
            Target::check(&request),
            Err(GitError::ClearTextCredentials { .. })
        ));
        assert!(!format!("{request:?}").contains("hunter2"));
        request.url = "http://127.0.0.1:3000/a.git".into();
        assert!(Target::check(&request).is_ok());
    }

    #[test]
    fn echoes_are_scrubbed() {
        let credentials = Credentials::Basic {
            username: "bot".into(),
            password: "hunter2".into(),
        };
        let text = "you sent hunter2 as Authorization: Basic Ym90Omh1bnRlcjI= and bearer x, Basic";
        let wanted = "you sent *** as Authorization: Basic *** and bearer *** Basic";
        assert_eq!(credentials.scrub(text), wanted);
        assert_eq!(Credentials::None.scrub(text), text);
    }

    #[test]
    fn branches() {
        for bad in ["a..b", "-x", "a b", "a~1", "x.lock", "a\nb"] {
            assert!(
                Target::check(&Request::new("https://git.example.com/a", bad)).is_err(),
                "{bad}"
            );
        }
        assert!(Target::check(&Request::new("https://git.example.com/a", "feature/x")).is_ok());
        let head = Target::check(&Request::new("https://git.example.com/a", "")).unwrap();
        assert_eq!(head.full_ref, "HEAD", "no branch: the one that HEAD names");
    }
}
