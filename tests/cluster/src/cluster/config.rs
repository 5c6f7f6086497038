//! Keys, tokens, kubeconfigs.

use std::fs;
use std::path::Path;
use std::process::Command;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::binaries::Binaries;
use crate::{Error, Result};

/// Who may speak to the API server from outside, with which token. The components have the rights that Kubernetes' own
/// bootstrap roles give them.
pub(super) const IDENTITIES: [(&str, &str); 5] = [
    ("admin", "token-admin"),
    ("controller-manager", "token-controller-manager"),
    ("scheduler", "token-scheduler"),
    ("kwok", "token-kwok"),
    ("metrics-server", "token-metrics-server"),
];

const TOKENS: &str = r#"token-admin,admin,admin,"system:masters"
token-controller-manager,system:kube-controller-manager,system:kube-controller-manager
token-scheduler,system:kube-scheduler,system:kube-scheduler
token-kwok,kwok,kwok,"system:masters"
token-metrics-server,metrics-server,metrics-server,"system:masters"
"#;

pub(super) fn write_keys_and_tokens(binaries: &Binaries, dir: &Path) -> Result<()> {
    let status = Command::new(&binaries.guard)
        .arg("--key")
        .arg(dir.join("sa.key"))
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(Error::new("make the ServiceAccount key", status)),
        Err(error) => return Err(Error::new("make the ServiceAccount key", error)),
    }
    fs::write(dir.join("tokens.csv"), TOKENS).map_err(|e| Error::new("write tokens", e))
}

/// Every request of these users, and of nobody else.
pub(super) fn write_audit_policy(dir: &Path, users: &[String]) -> Result<()> {
    let users = users.iter().map(|u| format!("'{u}'")).collect::<Vec<_>>().join(", ");
    let policy = format!(
        "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {{level: Metadata, users: [{users}]}}
- {{level: None}}
"
    );
    fs::write(dir.join("audit-policy.yaml"), policy).map_err(|e| Error::new("write the audit policy", e))
}

pub(super) fn write_kubeconfig(path: &Path, url: &str, ca: &Path, token: &str) -> Result<()> {
    let text = format!(
        "apiVersion: v1
kind: Config
clusters:
- name: test
  cluster: {{server: '{url}', certificate-authority: '{}'}}
users:
- name: test
  user: {{token: '{token}'}}
contexts:
- name: test
  context: {{cluster: test, user: test}}
current-context: test
",
        ca.display()
    );
    fs::write(path, text).map_err(|e| Error::new(path.display(), e))
}

/// A client by a kubeconfig, without kube's own retries.
pub(super) async fn client(kubeconfig: &Path) -> Result<Client> {
    let err = |e: String| Error::new(kubeconfig.display(), e);
    let parsed = Kubeconfig::read_from(kubeconfig).map_err(|e| err(e.to_string()))?;
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await;
    let mut config = config.map_err(|e| err(e.to_string()))?;
    config.default_retry = false;
    Client::try_from(config).map_err(|e| err(e.to_string()))
}
