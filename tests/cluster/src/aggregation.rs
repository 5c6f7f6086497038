//! APIs that something else than the API server serves, behind it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::Client;

use crate::{Error, Result, objects, wait};

/// Registers an API that is served on loopback at this port, by TLS, and waits until the API server reaches it.
///
/// # Errors
/// The API server refuses it, or cannot reach it in time.
pub async fn register(client: &Client, group: &str, version: &str, port: u16) -> Result<()> {
    // A Service may not have an endpoint on loopback. An external name may be anything, an address too, and the API server
    // connects to it as it stands.
    let service = format!("{version}-{}", group.replace('.', "-"));
    let yaml = format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {service}, namespace: kube-system}}
spec: {{type: ExternalName, externalName: 127.0.0.1}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {{name: {version}.{group}}}
spec:
  group: {group}
  version: {version}
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {{namespace: kube-system, name: {service}, port: {port}}}
"
    );
    objects::apply_yaml(client, &yaml).await?;
    let path = format!("/apis/{group}/{version}");
    let last = Mutex::new(String::new());
    let served = wait::until(format!("the API {group}/{version}"), Duration::from_mins(1), || async {
        let request = http::Request::get(&path).body(Vec::new()).ok()?;
        let answer = client.request_text(request).await;
        answer
            .map_err(|error| *last.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string())
            .is_ok()
            .then_some(())
    });
    let last = || last.lock().map(|text| text.clone()).unwrap_or_default();
    served.await.map_err(|e| Error::new(e, last()))
}
