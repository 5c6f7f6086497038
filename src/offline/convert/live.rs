//! A live cluster → objects. Only ever lists.

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Client, Config, ResourceExt};

use super::Source;
use super::read::Input;
use super::report::Problem;
use crate::edge::kube::{CallError, call};

/// What is listed: group, version, kind, plural, and whether it is a namespace's.
const KINDS: [(&str, &str, &str, &str, bool); 5] = [
    (
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        true,
    ),
    ("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects", true),
    ("keda.sh", "v1alpha1", "ScaledJob", "scaledjobs", true),
    (
        "keda.sh",
        "v1alpha1",
        "TriggerAuthentication",
        "triggerauthentications",
        true,
    ),
    (
        "keda.sh",
        "v1alpha1",
        "ClusterTriggerAuthentication",
        "clustertriggerauthentications",
        false,
    ),
];
const PAGE: u32 = 500;

/// There is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// No configuration, or one that cannot be used.
    #[error("no way to the API server: {0}; set KUBECONFIG")]
    Client(String),
    /// The runtime cannot be started.
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
}

/// Lists the autoscalers of a namespace, or of all. A kind that cannot be listed is a problem; one that the server does not
/// know is none.
///
/// # Errors
/// See [`LiveError`].
pub fn read(namespace: Option<&str>) -> Result<Input, LiveError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(LiveError::Runtime)?;
    runtime.block_on(async {
        let mut config = Config::infer().await.map_err(|e| LiveError::Client(e.to_string()))?;
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|e| LiveError::Client(e.to_string()))?;
        Ok(list(&client, namespace).await)
    })
}

async fn list(client: &Client, namespace: Option<&str>) -> Input {
    let mut input = Input::default();
    for (group, version, kind, plural, namespaced) in KINDS {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) if namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
            _ => Api::all_with(client.clone(), &resource),
        };
        match pages(&api, plural).await {
            Ok(objects) => input
                .sources
                .extend(objects.into_iter().map(|object| source(object, &resource))),
            Err(error) if error.code() == Some(404) => {}
            Err(error) => input.problems.push(Problem {
                place: format!("{plural}.{group}"),
                message: error.to_string(),
            }),
        }
    }
    input
}

async fn pages(api: &Api<DynamicObject>, plural: &str) -> Result<Vec<DynamicObject>, CallError> {
    let mut objects = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = call(format!("list {plural}"), api.list(&params)).await?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

fn source(object: DynamicObject, resource: &ApiResource) -> Source {
    Source {
        place: "the cluster".to_owned(),
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
        namespace: object.namespace(),
        name: object.name_any(),
        object: serde_json::to_value(object).unwrap_or_default(),
        comments: 0,
    }
}
