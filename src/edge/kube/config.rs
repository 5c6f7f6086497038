//! The OperatorConfig named `default`: Prometheus servers with their Secrets, and limits.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::Event as Change;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::watch;

use super::feed::Feed;
use super::status::resource_of;
use super::watch::{WatchBackoff, Watching, drive, key_of_dynamic};
use super::{CallError, call};
use crate::api::OperatorConfig;
use crate::api::convert::{self, Invalid};
use crate::api::operator_config::{PrometheusServer, PrometheusTls};
use crate::core::event::Event;
use crate::core::names::{PolicyKey, PolicyKind, Uid};
use crate::core::policy::Limits;
use crate::edge::poll::Servers;
use crate::edge::prometheus::client::{Auth, PrometheusClient, Secret as Hidden, ServerConfig};
use crate::edge::prometheus::tls::{Identity, Tls};

/// The one OperatorConfig that is read.
const NAME: &str = "default";
/// Secrets are read again after this time, so that a rotated token is used …
const SECRETS_EVERY: Duration = Duration::from_mins(1);
/// … and after this one while something is missing.
const SECRETS_SOON: Duration = Duration::from_secs(5);

/// Keeps the servers and the limits as the OperatorConfig says. Secrets are those of the operator's own namespace.
pub async fn run(client: Client, namespace: String, servers: watch::Sender<Option<Servers>>, around: Watching) {
    let (latest, mut changed) = watch::channel::<Option<DynamicObject>>(None);
    let (listed, mut all_seen) = watch::channel(false);
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource_of(PolicyKind::OperatorConfig));
    let stream = watcher(api, watcher::Config::default())
        .backoff(WatchBackoff::default())
        .inspect_ok(move |change| {
            if matches!(change, Change::InitDone) {
                listed.send_replace(true);
            }
        });
    let watching = drive(
        stream.boxed(),
        None,
        around.clone(),
        |object: DynamicObject| {
            let key = key_of_dynamic(&object);
            if key.name == NAME {
                latest.send_replace(Some(object));
            }
            (key, None)
        },
        |key| {
            if key.name == NAME {
                latest.send_replace(None);
            }
            None
        },
    );
    let mut reader = Reader {
        client,
        namespace,
        servers,
        feed: around.feed.clone(),
        in_use: BTreeMap::new(),
        said: None,
        limits: None,
    };
    let applying = async {
        if all_seen.wait_for(|all| *all).await.is_err() {
            return;
        }
        loop {
            let object = changed.borrow_and_update().clone();
            let again = if reader.apply(object).await {
                SECRETS_EVERY
            } else {
                SECRETS_SOON
            };
            let again = tokio::time::timeout(again, changed.changed()).await;
            if matches!(again, Ok(Err(_))) {
                return;
            }
        }
    };
    tokio::select! {
        () = watching => {}
        () = applying => {}
    }
}

/// The servers as the OperatorConfig says now, for whoever asks once.
///
/// # Errors
/// The OperatorConfig cannot be read.
pub async fn servers_now(client: &Client, namespace: &str) -> Result<Servers, CallError> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource_of(PolicyKind::OperatorConfig));
    let object = call(format!("read OperatorConfig {NAME}"), api.get_opt(NAME)).await?;
    let (servers, published) = watch::channel(None);
    // Nobody listens to what a reader says beside the servers.
    let (feed, _) = Feed::new(1);
    let mut reader = Reader {
        client: client.clone(),
        namespace: namespace.to_owned(),
        servers,
        feed,
        in_use: BTreeMap::new(),
        said: None,
        limits: None,
    };
    reader.apply(object).await;
    let now = published.borrow().clone();
    Ok(now.unwrap_or_else(|| Servers {
        by_name: BTreeMap::new(),
        unknown: format!("OperatorConfig {NAME} cannot be used"),
    }))
}

struct Reader {
    client: Client,
    namespace: String,
    servers: watch::Sender<Option<Servers>>,
    feed: Feed,
    /// The servers that could be used, as they were written and as they were understood.
    in_use: BTreeMap<String, (PrometheusServer, ServerConfig, PrometheusClient)>,
    said: Option<Event>,
    limits: Option<Limits>,
}

/// Why a server cannot be used.
struct Problem {
    invalid: Invalid,
    /// It will pass by itself: what was understood before still counts.
    passes: bool,
}

impl Reader {
    /// Takes over what the object says; false when some of it could not be used. That stops nothing else: the other servers
    /// are asked, and what cannot be read for now stays as it was.
    async fn apply(&mut self, object: Option<DynamicObject>) -> bool {
        let key = PolicyKey::new(PolicyKind::OperatorConfig, "", NAME);
        let Some(object) = object else {
            self.in_use.clear();
            let advice = format!(
                "there is no OperatorConfig named {NAME}: create it, with the Prometheus server in spec.prometheus"
            );
            self.publish(BTreeMap::new(), advice);
            self.limit(Limits::default()).await;
            self.say(Event::PolicyGone(key)).await;
            return true;
        };
        let generation = object.metadata.generation.unwrap_or(0);
        let uid = Uid(object.uid().unwrap_or_default());
        let problem = match convert::typed::<OperatorConfig>(object) {
            Err(invalid) => {
                if self.servers.borrow().is_none() {
                    self.publish(
                        BTreeMap::new(),
                        format!("OperatorConfig {NAME} cannot be used: {invalid}"),
                    );
                }
                Some(format!("{invalid}; what was in use before stays in use"))
            }
            Ok(config) => {
                let limits = match convert::limits(&config) {
                    Ok(limits) => {
                        self.limit(limits).await;
                        None
                    }
                    Err(invalid) => Some(invalid),
                };
                let first = limits.or(self.read_servers(&config).await);
                first.map(|invalid| format!("{invalid}; everything else is in use"))
            }
        };
        let fine = problem.is_none();
        self.say(match problem {
            None => Event::ConfigAccepted { key, uid, generation },
            Some(message) => Event::PolicyInvalid {
                key,
                generation,
                message,
                uid,
                target: None,
            },
        })
        .await;
        fine
    }

    async fn limit(&mut self, limits: Limits) {
        if self.limits.as_ref() != Some(&limits) {
            self.limits = Some(limits.clone());
            self.feed.send(Event::Limits(limits)).await;
        }
    }

    /// Says only what is new.
    async fn say(&mut self, event: Event) {
        if self.said.as_ref() != Some(&event) {
            self.said = Some(event.clone());
            self.feed.send(event).await;
        }
    }

    /// Takes over the servers; the first problem, if there is one.
    async fn read_servers(&mut self, config: &OperatorConfig) -> Option<Invalid> {
        let (mut in_use, mut servers, mut first) = (BTreeMap::new(), BTreeMap::new(), None);
        for (i, written) in config.spec.prometheus.iter().enumerate() {
            let name = written.name.clone();
            let before = self.in_use.remove(&name).filter(|(was, ..)| was == written);
            let usable = match (self.server(&format!("spec.prometheus[{i}]"), written).await, before) {
                (Ok(new), Some(old)) if new == old.1 => Ok(old),
                (Ok(new), _) => PrometheusClient::new(&new)
                    .map(|client| (written.clone(), new, client))
                    .map_err(|e| invalid(&format!("spec.prometheus[{i}]"), e.to_string())),
                (Err(problem), Some(old)) if problem.passes => Ok(old),
                (Err(problem), _) => Err(problem.invalid),
            };
            match usable {
                Ok(used) => {
                    servers.insert(name.clone(), Ok(used.2.clone()));
                    in_use.insert(name, used);
                }
                Err(problem) => {
                    servers.insert(name, Err(format!("OperatorConfig {NAME}: {problem}")));
                    first = first.or(Some(problem));
                }
            }
        }
        self.in_use = in_use;
        let names: Vec<&str> = servers.keys().map(String::as_str).collect();
        let advice = format!(
            "OperatorConfig {NAME} has no Prometheus server of this name (it has: {}): add it there, or correct the trigger's \
             prometheus.server",
            names.join(", ")
        );
        self.publish(servers, advice);
        first
    }

    fn publish(&self, by_name: BTreeMap<String, Result<PrometheusClient, String>>, unknown: String) {
        let now = Servers { by_name, unknown };
        self.servers.send_if_modified(|old| {
            let changed = old.as_ref() != Some(&now);
            *old = Some(now);
            changed
        });
    }

    async fn server(&self, field: &str, written: &PrometheusServer) -> Result<ServerConfig, Problem> {
        let wrong = |problem: String| Problem {
            invalid: invalid(field, problem),
            passes: false,
        };
        let timeout = match &written.timeout {
            Some(text) => text
                .span()
                .map_err(|e| wrong(e.to_string()))?
                .as_millis()
                .unsigned_abs(),
            None => 10_000,
        };
        let auth = match &written.auth {
            None => Auth::None,
            Some(auth) => match (&auth.bearer_token_secret_ref, &auth.basic_auth_secret_ref) {
                (Some(token), None) => {
                    Auth::Bearer(self.secret(&format!("{field}.auth"), &token.name, &token.key).await?)
                }
                (None, Some(basic)) => {
                    let field = format!("{field}.auth");
                    Auth::Basic {
                        username: self.secret(&field, &basic.name, "username").await?.0,
                        password: self.secret(&field, &basic.name, "password").await?,
                    }
                }
                _ => {
                    return Err(wrong(
                        "auth must have exactly one of bearerTokenSecretRef, basicAuthSecretRef".into(),
                    ));
                }
            },
        };
        let tls = match &written.tls {
            None => None,
            Some(tls) => Some(self.tls(&format!("{field}.tls"), tls).await?),
        };
        Ok(ServerConfig {
            name: written.name.clone(),
            url: written.url.clone(),
            timeout: Duration::from_millis(timeout),
            auth,
            tls,
            headers: written.headers.clone(),
        })
    }

    async fn tls(&self, field: &str, written: &PrometheusTls) -> Result<Tls, Problem> {
        let ca = match &written.ca_secret_ref {
            None => None,
            Some(ca) => Some(self.secret(field, &ca.name, &ca.key).await?),
        };
        let identity = match &written.client_certificate_secret_ref {
            None => None,
            Some(own) => Some(Identity {
                certificate: self.secret(field, &own.name, "tls.crt").await?,
                key: self.secret(field, &own.name, "tls.key").await?,
            }),
        };
        Ok(Tls {
            ca,
            identity,
            server_name: written.server_name.clone(),
        })
    }

    async fn secret(&self, field: &str, name: &str, key: &str) -> Result<Hidden, Problem> {
        let namespace = &self.namespace;
        let wrong = |problem: String| Problem {
            invalid: invalid(field, problem),
            passes: false,
        };
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = match call(format!("read Secret {namespace}/{name}"), api.get(name)).await {
            Ok(secret) => secret,
            Err(error) if error.code() == Some(404) => {
                return Err(wrong(format!(
                    "there is no Secret {namespace}/{name}: create it there, with the key {key}"
                )));
            }
            Err(error) => {
                return Err(Problem {
                    passes: true,
                    ..wrong(error.to_string())
                });
            }
        };
        let bytes = secret.data.as_ref().and_then(|d| d.get(key));
        let bytes = bytes.ok_or_else(|| wrong(format!("Secret {namespace}/{name} has no key {key}: add it")))?;
        let text = String::from_utf8(bytes.0.clone());
        text.map(Hidden)
            .map_err(|_| wrong(format!("key {key} of Secret {namespace}/{name} is not text")))
    }
}

fn invalid(field: &str, problem: String) -> Invalid {
    Invalid {
        field: field.to_owned(),
        problem,
    }
}
