//! From proposals to one recommendation: `computeReplicasForMetrics` of `horizontal.go`. The highest counts; where a metric
//! has none, the others may scale up but not down.

use super::answer::{MetricError, Proposal};
use super::input::{Input, Source};

/// What the metrics ask for together.
#[derive(Debug, PartialEq, Eq)]
pub enum Combined {
    /// Nothing, for this reason.
    Failed(&'static str),
    /// So many replicas, by the metric of this number.
    Replicas(i32, Option<usize>),
}

/// Combines the proposals of the input's metrics.
pub fn combine(input: &Input, proposals: &[Result<Proposal, MetricError>]) -> Combined {
    if input.metrics.is_empty() {
        // What the controller gives for an empty list, which the API server never lets it see.
        return Combined::Replicas(-1, None);
    }
    let (mut replicas, mut leader) = (0, None);
    let mut first_invalid = None;
    let mut invalid = 0;
    for (number, (metric, proposal)) in input.metrics.iter().zip(proposals).enumerate() {
        match proposal {
            Err(_) => {
                first_invalid.get_or_insert(&metric.source);
                invalid += 1;
            }
            Ok(proposal) if replicas == 0 || proposal.replicas > replicas => {
                replicas = proposal.replicas;
                leader = Some(number);
            }
            Ok(_) => {}
        }
    }
    match first_invalid {
        Some(source) if invalid == input.metrics.len() || replicas < input.replicas => {
            Combined::Failed(failed_reason(source))
        }
        _ => Combined::Replicas(replicas, leader),
    }
}

/// The reason of the condition ScalingActive.
const fn failed_reason(source: &Source) -> &'static str {
    match source {
        Source::Resource { .. } => "FailedGetResourceMetric",
        Source::ContainerResource { .. } => "FailedGetContainerResourceMetric",
        Source::Pods { .. } => "FailedGetPodsMetric",
        Source::Object { .. } => "FailedGetObjectMetric",
        Source::External { .. } => "FailedGetExternalMetric",
    }
}
