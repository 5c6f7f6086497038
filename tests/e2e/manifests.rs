//! The manifests as people apply them.

use std::process::Command;

use homeostat_cluster::{Cluster, Options, binaries, objects, wait};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;

use crate::stage::LIMIT;

/// What kustomize makes of a folder of `manifests/`.
fn render(folder: &str) -> String {
    let path = homeostat_cluster::root().join("manifests").join(folder);
    let kustomize = binaries::kustomize().unwrap();
    let output = Command::new(kustomize).arg("build").arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn base_applies_and_its_pods_are_admitted() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let client = cluster.client().unwrap();
    for name in ["n1", "n2"] {
        objects::apply_yaml(&client, &objects::node(name, "8", "32Gi", 110))
            .await
            .unwrap();
    }
    objects::apply_yaml(&client, &render("base")).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "homeostat-system");
    let running = wait::until("both replicas to be admitted and run", LIMIT, || async {
        let status = deployments.get("homeostat").await.ok()?.status?;
        (status.ready_replicas == Some(2)).then_some(())
    });
    if let Err(error) = running.await {
        panic!("{error}; {:#?}", deployments.get("homeostat").await.unwrap().status);
    }
    // The namespace does refuse what is not restricted.
    let privileged = "{apiVersion: v1, kind: Pod, metadata: {name: root, namespace: homeostat-system},
  spec: {containers: [{name: app, image: app, securityContext: {privileged: true}}]}}";
    let refused = objects::apply_yaml(&client, privileged).await.unwrap_err();
    assert!(refused.to_string().contains("violates PodSecurity"), "{refused}");

    // With the Prometheus operator's definition there, the overlay applies too.
    let definition = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: ServiceMonitor, plural: servicemonitors}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}";
    objects::apply_yaml(&client, definition).await.unwrap();
    objects::apply_yaml(&client, &render("overlays/monitoring"))
        .await
        .unwrap();
}

#[test]
fn base_has_what_a_careful_cluster_asks_for() {
    let text = render("base");
    for kind in ["PodDisruptionBudget", "NetworkPolicy", "Deployment", "ServiceAccount"] {
        assert!(text.contains(&format!("\nkind: {kind}\n")), "{kind}");
    }
    assert!(text.contains("pod-security.kubernetes.io/enforce: restricted"));
    assert!(
        !text.contains("ServiceMonitor"),
        "a cluster without the Prometheus operator refuses it"
    );
    assert!(render("overlays/monitoring").contains("\nkind: ServiceMonitor\n"));
}
