//! NodePoolPolicy.

use std::collections::BTreeMap;

use super::{DAY, HOUR, Invalid, SECOND, count, meta, span};
use crate::api::NodePoolPolicy;
use crate::api::node_pool_policy as api;
use crate::api::scalar::QuantityText;
use crate::core::event::Event;
use crate::core::names::PolicyKind;
use crate::core::policy as core;
use crate::core::quantity::{Replicas, Resources};
use crate::core::time::Span;
use crate::core::world::Taint;

const MOST_NODES: u32 = 15_000;

pub(super) fn event(object: &NodePoolPolicy) -> Result<Event, Invalid> {
    let spec = &object.spec;
    let Some(kwok) = &spec.provider.kwok else {
        return Err(Invalid::new("spec.provider", "exactly one of kwok must be set"));
    };
    let delay = kwok.registration_delay.as_ref();
    let registration_delay = span(
        "spec.provider.kwok.registrationDelay",
        delay,
        Span::ZERO,
        (Span::ZERO, HOUR),
    )?;
    let timeout = spec.scale_up.as_ref().and_then(|s| s.provision_timeout.as_ref());
    let down = spec.scale_down.as_ref();
    let unneeded = down.and_then(|s| s.unneeded_for.as_ref());
    let mut pools = Vec::new();
    for (i, pool) in spec.pools.iter().enumerate() {
        pools.push(convert_pool(&format!("spec.pools[{i}]"), pool)?);
    }
    Ok(Event::NodePoolPolicy(Box::new(core::NodePoolPolicy {
        meta: meta(PolicyKind::NodePoolPolicy, object, spec.suspend, spec.mode),
        provider: core::ProviderKind::Kwok { registration_delay },
        pools,
        provision_timeout: span(
            "spec.scaleUp.provisionTimeout",
            timeout,
            Span::from_mins(15),
            (SECOND, DAY),
        )?,
        consolidation: match down.and_then(|s| s.consolidation).unwrap_or_default() {
            api::Consolidation::None => core::Consolidation::None,
            api::Consolidation::Empty => core::Consolidation::Empty,
        },
        unneeded_for: span(
            "spec.scaleDown.unneededFor",
            unneeded,
            Span::from_mins(10),
            (Span::ZERO, DAY),
        )?,
    })))
}

fn convert_pool(field: &str, pool: &api::Pool) -> Result<core::NodePool, Invalid> {
    let min = count(&format!("{field}.minNodes"), pool.min_nodes, 0, (0, MOST_NODES))?;
    let max = count(&format!("{field}.maxNodes"), Some(pool.max_nodes), 0, (0, MOST_NODES))?;
    if min > max {
        return Err(Invalid::new(
            format!("{field}.maxNodes"),
            format!("{max} must be at least minNodes, {min}"),
        ));
    }
    let template = &pool.template;
    let capacity = resources(&format!("{field}.template.capacity"), &template.capacity)?;
    let allocatable = match &template.allocatable {
        None => capacity.clone(),
        Some(named) => {
            let mut all = template.capacity.clone();
            all.extend(named.clone());
            resources(&format!("{field}.template.allocatable"), &all)?
        }
    };
    let taints = template.taints.iter().map(|taint| Taint {
        key: taint.key.clone(),
        value: taint.value.clone().unwrap_or_default(),
        effect: match taint.effect {
            api::TaintEffect::NoSchedule => "NoSchedule",
            api::TaintEffect::PreferNoSchedule => "PreferNoSchedule",
            api::TaintEffect::NoExecute => "NoExecute",
        }
        .into(),
    });
    Ok(core::NodePool {
        name: pool.name.clone(),
        min: Replicas::new(min),
        max: Replicas::new(max),
        weight: count(&format!("{field}.weight"), pool.weight, 0, (0, 100))?,
        template: core::NodeTemplate {
            labels: template.labels.clone(),
            taints: taints.collect(),
            capacity,
            allocatable,
        },
    })
}

fn resources(field: &str, written: &BTreeMap<String, QuantityText>) -> Result<Resources, Invalid> {
    let mut result = Resources::default();
    for (name, quantity) in written {
        let amount = quantity
            .milli()
            .map_err(|e| Invalid::new(format!("{field}.{name}"), e))?;
        match name.as_str() {
            "cpu" => result.cpu_milli = amount.thousandths(),
            "memory" => result.memory_bytes = amount.ceil_units(),
            "pods" => result.pods = amount.ceil_units(),
            _ => {
                result.other.insert(name.clone(), amount.ceil_units());
            }
        }
    }
    Ok(result)
}
