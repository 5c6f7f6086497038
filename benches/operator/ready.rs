//! How all policies fare, as `kubectl get --watch` shows it: the API server sends only the columns, so that looking on costs little.

use std::collections::BTreeMap;

use futures::{AsyncBufReadExt, StreamExt};
use kube::Client;
use serde::Deserialize;
use serde_json::Value;

const PATH: &str = "/apis/homeostat.dev/v1alpha1/scalingpolicies";

/// Name of a policy → status and reason of its condition Ready; empty where it has none.
pub type Rows = BTreeMap<String, (String, String)>;

/// Looks on.
pub struct Watch {
    client: Client,
    version: String,
    columns: [usize; 3],
    rows: Rows,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "type")]
    kind: String,
    object: Table,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Table {
    metadata: Metadata,
    column_definitions: Option<Vec<Column>>,
    rows: Option<Vec<Row>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    resource_version: String,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

#[derive(Deserialize)]
struct Row {
    cells: Vec<Value>,
    object: Of,
}

#[derive(Deserialize)]
struct Of {
    metadata: Metadata,
}

impl Watch {
    /// Sees all policies as they are now.
    pub async fn open(client: &Client) -> Self {
        let text = client.request_text(request("")).await.unwrap();
        let table: Table = serde_json::from_str(&text).unwrap();
        let columns = table.column_definitions.unwrap();
        let column = |name| columns.iter().position(|c| c.name == name).unwrap();
        let mut watch = Self {
            client: client.clone(),
            version: table.metadata.resource_version.clone(),
            columns: ["Name", "Ready", "Reason"].map(column),
            rows: Rows::new(),
        };
        watch.take(&table.rows.unwrap_or_default());
        watch
    }

    /// All policies as they were seen last.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Looks on until they are as is wished.
    pub async fn until(&mut self, wished: impl Fn(&Rows) -> bool) {
        while !wished(&self.rows) {
            let query = format!("?watch=1&resourceVersion={}", self.version);
            let stream = self.client.request_stream(request(&query)).await.unwrap();
            let mut lines = std::pin::pin!(stream.lines().ready_chunks(1000));
            while let Some(some) = lines.next().await {
                for line in some {
                    let Ok(line) = line else { break };
                    let change: Change = serde_json::from_str(&line).unwrap();
                    assert_ne!(change.kind, "ERROR", "{line}");
                    let rows = change.object.rows.unwrap_or_default();
                    if let Some(last) = rows.last() {
                        self.version.clone_from(&last.object.metadata.resource_version);
                    }
                    self.take(&rows);
                }
                if wished(&self.rows) {
                    return;
                }
            }
        }
    }

    fn take(&mut self, rows: &[Row]) {
        for row in rows {
            let [name, status, reason] = self
                .columns
                .map(|i| row.cells[i].as_str().unwrap_or_default().to_owned());
            self.rows.insert(name, (status, reason));
        }
    }
}

fn request(query: &str) -> http::Request<Vec<u8>> {
    http::Request::get(format!("{PATH}{query}"))
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap()
}
