//! `homeostat explain`: why a policy decided as it did, in plain words with the numbers.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, Config, ResourceExt};

use crate::core::names::{PolicyKey, PolicyKind};
use crate::core::time::{Span, Time};
use crate::edge::clock;
use crate::edge::kube::status::resource_of;
use crate::edge::kube::{CallError, call};
use crate::operator::explain::{Explanation, History, explain, from_events, read_journal};
use crate::operator::replay::ReplayError;
use crate::operator::run::LEASE;

/// Say in plain words why a policy decided as it did.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  homeostat explain scalingpolicy/checkout -n shop
  homeostat explain nodepoolpolicy/general --journal ./journal
  homeostat explain healingpolicy/shop -n shop -o json")]
pub struct Args {
    /// Kind and name, such as scalingpolicy/checkout; short names of kinds work too.
    #[arg(value_name = "KIND/NAME")]
    policy: String,
    /// Namespace of the policy.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Folder of the operator's journal: what was done and refused is read there, and not from Events.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Where the operator runs: it is said when none acts.
    #[arg(long, default_value = "homeostat-system")]
    operator_namespace: String,
    /// How it is said.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
    /// For machines and people.
    Yaml,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The argument names no policy.
    #[error(
        "`{0}` is not KIND/NAME with a kind of scalingpolicy, nodepoolpolicy, healingpolicy, gitsource, operatorconfig"
    )]
    Name(String),
    /// There is no way to the API server.
    #[error("no way to the API server: {0}; set KUBECONFIG")]
    Client(String),
    /// There is no such policy.
    #[error("there is no {0}; `kubectl get homeostat -A` lists what there is")]
    NotFound(PolicyKey),
    /// The user may not read it.
    #[error("you may not read {0}: {1}; you need the right to get it")]
    Forbidden(PolicyKey, CallError),
    /// The policy cannot be read.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] ReplayError),
    /// It cannot be rendered.
    #[error("cannot be rendered: {0}")]
    Render(String),
    /// The runtime cannot be started.
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
}

/// Explains.
///
/// # Errors
/// See [`Error`].
pub fn run(args: &Args) -> Result<(), Error> {
    let key = parse(&args.policy, &args.namespace).ok_or_else(|| Error::Name(args.policy.clone()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let explanation = runtime.block_on(ask(&key, args))?;
    print!("{}", render(&explanation, args.output)?);
    Ok(())
}

async fn ask(key: &PolicyKey, args: &Args) -> Result<Explanation, Error> {
    let mut config = Config::infer().await.map_err(|e| Error::Client(e.to_string()))?;
    config.default_retry = false;
    let client = Client::try_from(config).map_err(|e| Error::Client(e.to_string()))?;
    let object = match read(&client, key).await {
        Err(error) if error.code() == Some(404) => return Err(Error::NotFound(key.clone())),
        Err(error) if error.code() == Some(403) => return Err(Error::Forbidden(key.clone(), error)),
        read => read?,
    };
    let history = match &args.journal {
        Some(folder) => History {
            from: format!("from the journal in {}", folder.display()),
            entries: read_journal(folder, key)?,
        },
        None => told(&client, key, object.uid().unwrap_or_default()).await,
    };
    let now = clock::now();
    let operator = leader(&client, &args.operator_namespace, now).await;
    Ok(explain(key, &object, operator, history, now))
}

/// What the policy's Events say.
async fn told(client: &Client, key: &PolicyKey, uid: String) -> History {
    let namespace = if key.namespace.is_empty() {
        "default"
    } else {
        &key.namespace
    };
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields(&format!("regarding.uid={uid}"));
    match call("list Events", api.list(&params)).await {
        Ok(list) => History {
            from: "from its Events, which the cluster keeps for about an hour; --journal tells more".into(),
            entries: from_events(list.items),
        },
        Err(error) => History {
            from: format!("its Events cannot be read: {error}"),
            entries: Vec::new(),
        },
    }
}

/// Says so where nobody acts. Who may not read the Lease is told nothing.
async fn leader(client: &Client, namespace: &str, now: Time) -> Option<String> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let nobody = format!("no operator acts at the moment: see `kubectl -n {namespace} get pods`");
    let lease = match call("read the Lease", api.get(LEASE)).await {
        Ok(lease) => lease.spec.unwrap_or_default(),
        Err(error) if error.code() == Some(404) => return Some(nobody),
        Err(_) => return None,
    };
    let holder = lease.holder_identity.filter(|holder| !holder.is_empty());
    let renewed = lease.renew_time.map_or(0, |at| at.0.as_millisecond());
    let lasts = Span::from_secs(lease.lease_duration_seconds.unwrap_or(0).into());
    let is_held = holder.is_some() && now.since(Time::from_millis(renewed)) <= lasts.times(2);
    (!is_held).then_some(nobody)
}

fn render(explanation: &Explanation, output: Output) -> Result<String, Error> {
    match output {
        Output::Text => Ok(explanation.to_string()),
        Output::Json => serde_json::to_string_pretty(explanation)
            .map(|text| text + "\n")
            .map_err(|e| Error::Render(e.to_string())),
        Output::Yaml => serde_saphyr::to_string(explanation).map_err(|e| Error::Render(e.to_string())),
    }
}

fn parse(text: &str, namespace: &str) -> Option<PolicyKey> {
    let (kind, name) = text.split_once('/').filter(|(_, name)| !name.is_empty())?;
    let kind = match kind.to_ascii_lowercase().as_str() {
        "scalingpolicy" | "scalingpolicies" | "scp" => PolicyKind::ScalingPolicy,
        "nodepoolpolicy" | "nodepoolpolicies" | "npp" => PolicyKind::NodePoolPolicy,
        "healingpolicy" | "healingpolicies" | "hlp" => PolicyKind::HealingPolicy,
        "gitsource" | "gitsources" | "gsrc" => PolicyKind::GitSource,
        "operatorconfig" | "operatorconfigs" | "opcfg" => PolicyKind::OperatorConfig,
        _ => return None,
    };
    let cluster_scoped = matches!(kind, PolicyKind::NodePoolPolicy | PolicyKind::OperatorConfig);
    Some(PolicyKey::new(kind, if cluster_scoped { "" } else { namespace }, name))
}

async fn read(client: &Client, key: &PolicyKey) -> Result<DynamicObject, CallError> {
    let resource = resource_of(key.kind);
    let api: Api<DynamicObject> = if key.namespace.is_empty() {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), &key.namespace, &resource)
    };
    call(format!("read {key}"), api.get(&key.name)).await
}
