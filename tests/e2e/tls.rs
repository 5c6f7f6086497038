//! Prometheus behind TLS: a private authority and a client certificate, from Secrets; renewed, they are used without a restart.

use std::time::Duration;

use crate::private::{Authority, Server};
use crate::stage::{Stage, deployment, scaling};

const ALL: &str = "caSecretRef: {name: authority, key: ca.crt}, clientCertificateSecretRef: {name: own},
      serverName: prometheus.example.com";

fn config(port: u16) -> String {
    format!(
        "apiVersion: homeostat.dev/v1alpha1
kind: OperatorConfig
metadata: {{name: default}}
spec:
  prometheus:
  - name: default
    url: https://127.0.0.1:{port}
    timeout: 2s
    tls: {{{ALL}}}
"
    )
}

fn secret(name: &str, kind: &str, data: &[(&str, &str)]) -> String {
    let data: serde_json::Map<_, _> = data.iter().map(|(key, text)| ((*key).into(), (*text).into())).collect();
    serde_json::json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "stringData": data,
        "metadata": {"name": name, "namespace": "homeostat-system"}})
    .to_string()
}

async fn hand_out(stage: &Stage, authority: &Authority) {
    let own = authority.issue("homeostat");
    let pair = [("tls.crt", own.certificate.as_str()), ("tls.key", own.key.as_str())];
    stage.apply(&secret("own", "kubernetes.io/tls", &pair)).await;
    stage
        .apply(&secret("authority", "Opaque", &[("ca.crt", &authority.pem)]))
        .await;
}

async fn refused(stage: &Stage, words: &str) {
    let found = stage
        .condition("OperatorConfig", "default", "Ready", "False", "InvalidPolicy")
        .await;
    let message = found["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("spec.prometheus[0]") && message.contains(words),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_is_asked_with_the_certificates_of_the_secrets_as_they_are_now() {
    let stage = Stage::set().await;
    let (first, second) = (Authority::new(), Authority::new());
    let server = Server::start(&first, "prometheus.example.com").await;
    server.set(300.0);
    stage.apply(&config(server.port)).await;
    stage.apply(&deployment("web", 1, "10m")).await;
    stage.apply(&scaling("web", "load", "")).await;
    let operator = stage.operator("one").await;
    refused(&stage, "there is no Secret homeostat-system/authority").await;

    hand_out(&stage, &first).await;
    stage.wants("web", 3).await;
    stage
        .condition("OperatorConfig", "default", "Ready", "True", "Accepted")
        .await;

    // Both sides get new certificates, of another authority: the operator notices by itself.
    server.renew(&second, "prometheus.example.com");
    server.set(500.0);
    let found = stage
        .condition("ScalingPolicy", "web", "MetricsAvailable", "False", "QueryFailed")
        .await;
    let message = found["message"].as_str().unwrap_or_default();
    assert!(message.contains("tls.caSecretRef"), "{message}");
    assert_eq!(stage.replicas("web").await, 3, "held without data");
    hand_out(&stage, &second).await;
    let again = homeostat_cluster::wait::until("the new certificates to be used", Duration::from_secs(90), || async {
        (stage.replicas("web").await == 5).then_some(())
    });
    again.await.unwrap();

    stage
        .apply(&secret("authority", "Opaque", &[("ca.crt", "not a certificate")]))
        .await;
    // Said at the latest when Secrets are read the next time; until they can be used nothing is asked.
    stage
        .apply(&config(server.port).replace("timeout: 2s", "timeout: 3s"))
        .await;
    refused(&stage, "tls.caSecretRef holds no certificate in PEM").await;
    assert_eq!(stage.replicas("web").await, 5, "held without a server");
    assert_eq!(operator.metric("homeostat_leader ").await, Some(1.0));
}
