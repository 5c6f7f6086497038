//! The Prometheus servers that ScaledObjects ask. A policy names a server, whose address is in the OperatorConfig: each
//! distinct server gets one name, and all of them make one snippet.

use serde_json::{Value, json};

use crate::api::operator_config::PrometheusServer;
use crate::offline::convert::names::{LABEL, Unique, label};

#[derive(Default)]
pub(in super::super) struct Servers {
    list: Vec<PrometheusServer>,
    names: Unique,
}

impl Servers {
    /// The name of a server; a new one where nothing of the same address, headers and credentials was seen.
    pub(super) fn name(&mut self, server: PrometheusServer) -> String {
        let same = |known: &&PrometheusServer| {
            PrometheusServer {
                name: String::new(),
                ..(*known).clone()
            } == server
        };
        if let Some(known) = self.list.iter().find(same) {
            return known.name.clone();
        }
        let name = self.names.take(&wish(&server.url), LABEL);
        self.list.push(PrometheusServer {
            name: name.clone(),
            ..server
        });
        name
    }

    /// The OperatorConfig that has them.
    pub(in super::super) fn config(&self) -> Option<Value> {
        let servers = serde_json::to_value(&self.list)
            .ok()
            .filter(|_| !self.list.is_empty())?;
        Some(json!({
            "apiVersion": format!("{}/{}", crate::api::GROUP, crate::api::VERSION),
            "kind": "OperatorConfig",
            "metadata": {"name": "default"},
            "spec": {"prometheus": servers},
        }))
    }
}

/// `http://prometheus.monitoring.svc:9090` → `prometheus-monitoring`; an address of numbers stays whole.
fn wish(url: &str) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    let numbers = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let parts: Vec<&str> = host.split('.').take(if numbers { 4 } else { 2 }).collect();
    label(&parts.join("-"), "prometheus")
}
