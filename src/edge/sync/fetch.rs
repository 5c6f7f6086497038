//! The repository, from a thread that may block, with the credentials that the source names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;
use tokio::task::JoinHandle;

use super::settings::Settings;
use super::trouble::Trouble;
use crate::edge::git::{Credentials, Fetcher, GitError, Limits, Outcome, Parsed, Request};
use crate::edge::kube::call;

/// A commit and what it declares.
#[derive(Debug)]
pub(super) struct Commit {
    pub id: String,
    /// As Flux writes it: `main@sha1:<id>`.
    pub text: String,
    pub parsed: Parsed,
}

/// What is asked of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The branch, unless it still points to this commit.
    Branch { unless: Option<String> },
    /// This one commit, wherever the branch points to.
    Commit(String),
}

/// A fetch under way; it is given up when this is dropped.
pub(super) struct Fetching {
    /// What it was asked with.
    pub used: Settings,
    pub ask: Ask,
    cancel: Arc<AtomicBool>,
    task: JoinHandle<Option<Ended>>,
}

/// How a fetch ended: the fetcher, to be used again, and news, or none.
pub(super) type Ended = (Fetcher, Result<Option<Commit>, Trouble>);

impl Drop for Fetching {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Fetching {
    /// Starts to look at the repository.
    pub fn start(mut fetcher: Fetcher, client: Client, namespace: String, used: Settings, ask: Ask) -> Self {
        let cancel = Arc::new(AtomicBool::new(false));
        let (settings, flag, asked) = (used.clone(), Arc::clone(&cancel), ask.clone());
        let task = tokio::spawn(async move {
            let credentials = match credentials(&client, &namespace, &settings).await {
                Ok(credentials) => credentials,
                Err(trouble) => return Some((fetcher, Err(trouble))),
            };
            let request = request(&settings, credentials, &asked, flag);
            let blocking = tokio::task::spawn_blocking(move || {
                let result = read(&mut fetcher, &request);
                (fetcher, result)
            });
            blocking.await.ok()
        });
        Self {
            used,
            ask,
            cancel,
            task,
        }
    }

    /// Makes it end soon.
    pub fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
    }

    /// Waits for the end; `None` when the thread broke off.
    pub async fn end(&mut self) -> Option<Ended> {
        (&mut self.task).await.ok().flatten()
    }
}

fn request(settings: &Settings, credentials: Credentials, ask: &Ask, cancel: Arc<AtomicBool>) -> Request {
    let (last_seen, commit) = match ask {
        Ask::Branch { unless } => (unless.clone(), None),
        Ask::Commit(id) => (None, Some(id.clone())),
    };
    Request {
        path: settings.path.clone(),
        last_seen,
        commit,
        credentials,
        timeout: settings.timeout,
        cancel: Some(cancel),
        ..Request::new(&settings.url, &settings.branch)
    }
}

fn read(fetcher: &mut Fetcher, request: &Request) -> Result<Option<Commit>, Trouble> {
    let limits = Limits::default();
    match fetcher.fetch(request, &limits) {
        Ok(Outcome::Unchanged { .. }) => Ok(None),
        Ok(Outcome::Fetched(content)) => Ok(Some(Commit {
            parsed: content.parse(&limits),
            id: content.revision,
            text: content.revision_text,
        })),
        Err(error) => {
            // A repository that is not there may come back by itself: a server's restart, a volume's mount.
            let may_pass = error.is_transient() || matches!(error, GitError::RepositoryNotFound { .. });
            let trouble = if may_pass { Trouble::retry } else { Trouble::stalled };
            Err(trouble(error.reason(), error.to_string()))
        }
    }
}

/// The credentials in the Secret that the source names.
async fn credentials(client: &Client, namespace: &str, settings: &Settings) -> Result<Credentials, Trouble> {
    let Some(name) = &settings.secret else {
        return Ok(Credentials::None);
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = call(format!("read Secret {namespace}/{name}"), api.get_opt(name)).await;
    let secret = secret.map_err(|error| Trouble::retry("SecretUnreadable", error.to_string()))?;
    let Some(secret) = secret else {
        let message = format!("spec.secretRef: there is no Secret {namespace}/{name}; create it");
        return Err(Trouble::stalled("SecretNotFound", message));
    };
    let data = secret.data.unwrap_or_default();
    let text = |key: &str| {
        let bytes = data.get(key)?;
        String::from_utf8(bytes.0.clone()).ok().map(|t| t.trim_end().to_owned())
    };
    match (text("bearerToken"), text("username"), text("password")) {
        (Some(token), ..) => Ok(Credentials::Bearer { token }),
        (None, username, Some(password)) => Ok(Credentials::Basic {
            username: username.unwrap_or_else(|| "git".into()),
            password,
        }),
        _ => {
            let message = format!("Secret {namespace}/{name} needs the keys username and password, or bearerToken");
            Err(Trouble::stalled("SecretIncomplete", message))
        }
    }
}
