//! The OperatorConfig named `default`: Prometheus servers with their Secrets, and limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::watch;

use super::call;
use super::status::{StatusWriter, resource_of};
use super::watch::{WatchBackoff, Watching, drive, key_of_dynamic};
use crate::api::OperatorConfig;
use crate::api::convert::{self, Invalid};
use crate::api::operator_config::PrometheusServer;
use crate::core::event::Event;
use crate::core::names::{PolicyKey, PolicyKind};
use crate::core::policy::Limits;
use crate::core::reason::Reason;
use crate::core::report::{ConditionReport, Detail, Report};
use crate::core::world::Status;
use crate::edge::prometheus::client::{Auth, PrometheusClient, Secret as Hidden, ServerConfig};
use crate::edge::prometheus::poller::Servers;

/// The one OperatorConfig that is read.
const NAME: &str = "default";
/// Secrets are read again after this time, so that a rotated token is used.
const SECRETS_EVERY: Duration = Duration::from_secs(60);

/// Keeps the servers and the limits as the OperatorConfig says. Secrets are those of the operator's own namespace.
pub async fn run(
    client: Client,
    namespace: String,
    servers: watch::Sender<Servers>,
    status: StatusWriter,
    around: Watching,
) {
    let (latest, mut changed) = watch::channel::<Option<DynamicObject>>(None);
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource_of(PolicyKind::OperatorConfig));
    let stream = watcher(api, watcher::Config::default()).backoff(WatchBackoff::default());
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
        configs: Vec::new(),
    };
    let applying = async {
        loop {
            let object = changed.borrow_and_update().clone();
            let (limits, report) = reader.apply(object).await;
            if let Some(limits) = limits {
                around.feed.send(Event::Limits(limits)).await;
            }
            if let Some(report) = report {
                status.send(report).await;
            }
            let again = tokio::time::timeout(SECRETS_EVERY, changed.changed()).await;
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

struct Reader {
    client: Client,
    namespace: String,
    servers: watch::Sender<Servers>,
    configs: Vec<ServerConfig>,
}

impl Reader {
    /// Takes over what the object says. What cannot be used changes nothing, and is said in the status.
    async fn apply(&mut self, object: Option<DynamicObject>) -> (Option<Limits>, Option<Report>) {
        let Some(object) = object else {
            self.publish(Vec::new(), BTreeMap::new());
            return (Some(Limits::default()), None);
        };
        let generation = object.metadata.generation.unwrap_or(0);
        let read = async {
            let config: OperatorConfig = convert::typed(object)?;
            let limits = convert::limits(&config)?;
            let (mut configs, mut clients) = (Vec::new(), BTreeMap::new());
            for (i, server) in config.spec.prometheus.iter().enumerate() {
                let field = format!("spec.prometheus[{i}]");
                let config = self.server(&field, server).await?;
                let client = PrometheusClient::new(&config);
                let client = client.map_err(|e| Invalid {
                    field,
                    problem: e.to_string(),
                })?;
                clients.insert(config.name.clone(), client);
                configs.push(config);
            }
            Ok::<_, Invalid>((limits, configs, clients))
        };
        match read.await {
            Ok((limits, configs, clients)) => {
                self.publish(configs, clients);
                (Some(limits), Some(report(generation, None)))
            }
            Err(invalid) => (None, Some(report(generation, Some(&invalid)))),
        }
    }

    fn publish(&mut self, configs: Vec<ServerConfig>, clients: BTreeMap<String, PrometheusClient>) {
        if configs != self.configs {
            self.configs = configs;
            self.servers.send_replace(Arc::new(clients));
        }
    }

    async fn server(&self, field: &str, written: &PrometheusServer) -> Result<ServerConfig, Invalid> {
        let invalid = |problem: String| Invalid {
            field: field.to_owned(),
            problem,
        };
        let timeout = match &written.timeout {
            Some(text) => text
                .span()
                .map_err(|e| invalid(e.to_string()))?
                .as_millis()
                .unsigned_abs(),
            None => 10_000,
        };
        let auth = match &written.auth {
            None => Auth::None,
            Some(auth) => match (&auth.bearer_token_secret_ref, &auth.basic_auth_secret_ref) {
                (Some(token), None) => Auth::Bearer(self.secret(field, &token.name, &token.key).await?),
                (None, Some(basic)) => Auth::Basic {
                    username: self.secret(field, &basic.name, "username").await?.0,
                    password: self.secret(field, &basic.name, "password").await?,
                },
                _ => {
                    return Err(invalid(
                        "auth must have exactly one of bearerTokenSecretRef, basicAuthSecretRef".into(),
                    ));
                }
            },
        };
        Ok(ServerConfig {
            name: written.name.clone(),
            url: written.url.clone(),
            timeout: Duration::from_millis(timeout),
            auth,
            headers: written.headers.clone(),
        })
    }

    async fn secret(&self, field: &str, name: &str, key: &str) -> Result<Hidden, Invalid> {
        let invalid = |problem: String| Invalid {
            field: format!("{field}.auth"),
            problem,
        };
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = call(format!("read Secret {}/{name}", self.namespace), api.get(name)).await;
        let secret = secret.map_err(|e| invalid(e.to_string()))?;
        let bytes = secret.data.as_ref().and_then(|d| d.get(key));
        let missing = || {
            invalid(format!(
                "Secret {}/{} has no key {key}",
                self.namespace,
                secret.name_any()
            ))
        };
        let text = String::from_utf8(bytes.ok_or_else(missing)?.0.clone());
        text.map(Hidden)
            .map_err(|_| invalid(format!("key {key} of Secret {name} is not text")))
    }
}

fn report(generation: i64, invalid: Option<&Invalid>) -> Report {
    let policy = PolicyKey::new(PolicyKind::OperatorConfig, "", NAME);
    match invalid {
        Some(invalid) => Report::invalid(&policy, generation, &invalid.to_string()),
        None => Report {
            policy,
            generation,
            conditions: vec![ConditionReport {
                kind: "Ready".into(),
                status: Status::True,
                reason: Reason::Accepted,
                message: "in use".into(),
            }],
            detail: Detail::None,
        },
    }
}
