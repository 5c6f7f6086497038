//! The components and their flags.

use std::ffi::OsString;
use std::path::Path;

use super::{Options, front_proxy};
use crate::binaries::Binaries;

/// A component of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// etcd.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// kwok.
    Kwok,
    /// metrics-server, where it was asked for.
    MetricsServer,
}

/// The ports of a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub etcd: u16,
    pub peer: u16,
    pub api: u16,
    pub kwok: u16,
    pub metrics: u16,
}

impl Component {
    /// Its name, as its log file is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kwok => "kwok",
            Self::MetricsServer => "metrics-server",
        }
    }

    pub(super) fn command(self, binaries: &Binaries, dir: &Path, ports: Ports, options: &Options) -> Vec<OsString> {
        let file = |name: &str| dir.join(name).display().to_string();
        let flags = match self {
            Self::Etcd => etcd(dir, ports),
            Self::ApiServer => {
                let mut flags = api_server(dir, ports);
                if !options.audited.is_empty() {
                    flags.extend([
                        format!("--audit-policy-file={}", file("audit-policy.yaml")),
                        format!("--audit-log-path={}", file("audit.log")),
                        "--audit-log-mode=blocking".into(),
                    ]);
                }
                flags
            }
            Self::ControllerManager => {
                let mut flags = vec![
                    format!("--kubeconfig={}", file("controller-manager.kubeconfig")),
                    "--use-service-account-credentials".into(),
                    format!("--service-account-private-key-file={}", file("sa.key")),
                    format!("--root-ca-file={}", file("certs/apiserver.crt")),
                    "--secure-port=0".into(),
                    "--leader-elect=false".into(),
                    "--kube-api-qps=1000".into(),
                    "--kube-api-burst=2000".into(),
                ];
                flags.extend(options.controller_manager.iter().cloned());
                flags
            }
            Self::Scheduler => vec![
                format!("--kubeconfig={}", file("scheduler.kubeconfig")),
                "--secure-port=0".into(),
                "--leader-elect=false".into(),
                "--kube-api-qps=1000".into(),
                "--kube-api-burst=2000".into(),
            ],
            Self::Kwok => kwok(dir, ports, options),
            Self::MetricsServer => metrics_server(dir, ports),
        };
        let mut command = match self {
            Self::Kwok => vec![binaries.kwok.clone().into()],
            Self::MetricsServer => vec![binaries.metrics_server.clone().unwrap_or_default().into()],
            _ => vec![binaries.control_plane.clone().into(), self.name().into()],
        };
        command.extend(flags.into_iter().map(OsString::from));
        command
    }
}

fn kwok(dir: &Path, ports: Ports, options: &Options) -> Vec<String> {
    let stages = concat!(env!("CARGO_MANIFEST_DIR"), "/stages");
    let mut flags = vec![
        format!("--kubeconfig={}", dir.join("kwok.kubeconfig").display()),
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".into(),
        "--node-lease-duration-seconds=40".into(),
        format!("--server-address=127.0.0.1:{}", ports.kwok),
    ];
    for stage in ["node", "node-chaos", "pod", "pod-chaos"] {
        flags.push(format!("--config={stages}/{stage}.yaml"));
    }
    if options.metrics {
        // The one address of every node is where kwok serves what it measures.
        flags.push("--node-ip=127.0.0.1".into());
        flags.push(format!("--config={stages}/metrics.yaml"));
    }
    flags
}

fn metrics_server(dir: &Path, ports: Ports) -> Vec<String> {
    let kubeconfig = dir.join("metrics-server.kubeconfig");
    let mut flags = [
        "--kubeconfig",
        "--authentication-kubeconfig",
        "--authorization-kubeconfig",
    ]
    .map(|flag| format!("{flag}={}", kubeconfig.display()))
    .to_vec();
    flags.extend([
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={}", ports.metrics),
        format!("--cert-dir={}", dir.join("metrics-server").display()),
        format!("--kubelet-port={}", ports.kwok),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--kubelet-insecure-tls".into(),
        // The shortest that it takes; a request must fit in nine tenths of it.
        "--metric-resolution=10s".into(),
        "--kubelet-request-timeout=5s".into(),
    ]);
    flags
}

fn etcd(dir: &Path, ports: Ports) -> Vec<String> {
    vec![
        format!("--data-dir={}", dir.join("etcd").display()),
        format!("--client-url=http://127.0.0.1:{}", ports.etcd),
        format!("--peer-url=http://127.0.0.1:{}", ports.peer),
    ]
}

fn api_server(dir: &Path, ports: Ports) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    let mut flags = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={}", ports.api),
        format!("--cert-dir={}", file("certs")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=Node,RBAC".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", file("sa.key")),
        format!("--service-account-signing-key-file={}", file("sa.key")),
        "--service-cluster-ip-range=10.0.0.0/16".into(),
        "--endpoint-reconciler-type=none".into(),
        "--allow-privileged".into(),
        "--profiling=true".into(),
        "--max-requests-inflight=1000".into(),
        "--max-mutating-requests-inflight=1000".into(),
    ];
    flags.extend(front_proxy::flags(dir));
    flags
}
