//! The definitions on a real API server: it takes them, and gives every object of `tests/cases/crds` the verdict, and the
//! message, that its file declares.

#[path = "../it/crds/cases.rs"]
mod cases;

use cases::{Case, Expect};
use futures::{StreamExt, stream};
use homeostat_cluster::{Cluster, Options, objects, wait};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ListParams};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::stage::LIMIT;

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_the_definitions_and_judges_objects_as_their_files_say() {
    let options = Options {
        kwok: false,
        ..Options::default()
    };
    let cluster = Cluster::start(options).await.unwrap();
    let client = cluster.client().unwrap();
    let root = homeostat_cluster::root();
    objects::apply_dir(&client, &root.join("crds")).await.unwrap();
    let plurals = established(&client).await;
    assert_eq!(plurals.len(), homeostat::api::all_crds().len());

    let cases = cases::load();
    assert!(cases.len() > 100, "the cases are there");
    let verdicts = stream::iter(&cases).map(|case| judge(&client, &plurals, case));
    let failures: Vec<String> = verdicts
        .buffer_unordered(16)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Kind → plural, of the definitions that are in use and have no schema trouble.
async fn established(client: &Client) -> BTreeMap<String, String> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    wait::until("the definitions to be established", LIMIT, || async {
        let list = api.list(&ListParams::default()).await.ok()?;
        let mut plurals = BTreeMap::new();
        for crd in list {
            let conditions = crd.status?.conditions?;
            let is = |kind: &str| conditions.iter().any(|c| c.type_ == kind && c.status == "True");
            assert!(!is("NonStructuralSchema"), "{conditions:#?}");
            if !is("Established") {
                return None;
            }
            plurals.insert(crd.spec.names.kind, crd.spec.names.plural);
        }
        Some(plurals)
    })
    .await
    .unwrap()
}

/// Creates the object without storing it; what is wrong with the verdict, if anything is.
async fn judge(client: &Client, plurals: &BTreeMap<String, String>, case: &Case) -> Option<String> {
    let Case { name, object, expect } = case;
    let plural = &plurals[object["kind"].as_str().unwrap()];
    let namespace = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("namespaces/{namespace}/"),
        None => String::new(),
    };
    let path = format!("/apis/homeostat.dev/v1alpha1/{namespace}{plural}?dryRun=All&fieldValidation=Strict");
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(object).unwrap())
        .unwrap();
    let verdict = match client.request::<Value>(request).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) => Some(status.message),
        Err(error) => panic!("{name}: {error}"),
    };
    match (expect, verdict) {
        (Expect::Accepted, None) => None,
        (Expect::Accepted, Some(message)) => Some(format!("{name}: should be accepted, but: {message}")),
        (Expect::Rejected(text), Some(message)) if message.contains(text) => None,
        (Expect::Rejected(text), verdict) => {
            Some(format!("{name}: should be rejected with `{text}`, but: {verdict:?}"))
        }
    }
}
