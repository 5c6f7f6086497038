//! Grafana boards and Prometheus rules, generated from the metric registry. Nothing here knows a metric by its text: a query
//! begins with a field of the registry's catalogue.

mod alerts;
mod board;
mod fleet;
mod policy;
mod promql;
mod rules;

use super::metrics::Metrics;

pub use promql::TARGET_LABELS;

/// A file could not be rendered.
#[derive(Debug, thiserror::Error)]
#[error("cannot render {name}: {problem}")]
pub struct RenderError {
    /// Which file.
    pub name: String,
    /// Why.
    pub problem: String,
}

/// Every file: its name and its text.
///
/// # Errors
/// When one cannot be rendered, which would be a bug: a query uses a label that its metric does not have, for example.
pub fn files() -> Result<Vec<(String, String)>, RenderError> {
    let metrics = Metrics::catalogue();
    let mut files = Vec::new();
    for board in [fleet::board(&metrics), policy::board(&metrics)] {
        files.push((format!("{}.json", board.uid), board.render()?));
    }
    let boards: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let kustomization = rules::kustomization(&boards);
    let groups = alerts::groups(&metrics);
    files.push((rules::PLAIN.into(), rules::plain(&groups)?));
    files.push((rules::MANIFEST.into(), rules::manifest(&groups)?));
    files.push(("kustomization.yaml".into(), kustomization));
    Ok(files)
}
