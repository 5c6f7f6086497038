//! `homeostat explain`: why a policy decided as it did, in plain words with the numbers.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use kube::api::{Api, DynamicObject};
use kube::{Client, Config};

use crate::core::names::{PolicyKey, PolicyKind};
use crate::edge::kube::status::resource_of;
use crate::edge::kube::{CallError, call};
use crate::operator::explain::{Explanation, JournalReadError, explain, read_journal};

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
    /// Folder of the operator's journal: adds what was done and refused, and when.
    #[arg(long)]
    journal: Option<PathBuf>,
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
    /// The policy cannot be read.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalReadError),
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
pub fn run(args: Args) -> Result<(), Error> {
    let key = parse(&args.policy, &args.namespace).ok_or_else(|| Error::Name(args.policy.clone()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let object = runtime.block_on(read(&key))?;
    let entries = match &args.journal {
        Some(folder) => read_journal(folder, &key)?,
        None => Vec::new(),
    };
    let explanation = explain(&key, &object, entries);
    print!("{}", render(&explanation, args.output)?);
    Ok(())
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

async fn read(key: &PolicyKey) -> Result<DynamicObject, Error> {
    let config = Config::infer().await.map_err(|e| Error::Client(e.to_string()))?;
    let client = Client::try_from(config).map_err(|e| Error::Client(e.to_string()))?;
    let resource = resource_of(key.kind);
    let api: Api<DynamicObject> = if key.namespace.is_empty() {
        Api::all_with(client, &resource)
    } else {
        Api::namespaced_with(client, &key.namespace, &resource)
    };
    Ok(call(format!("read {key}"), api.get(&key.name)).await?)
}
