//! KEDA's pauses are annotations; a policy's are fields.

use std::collections::BTreeMap;

use super::Notes;
use crate::api::scaling_policy::{Direction, Hold, ScalingPolicySpec};

const PREFIX: &str = "autoscaling.keda.sh/";
const REASON: &str = "paused in KEDA when it was converted";

pub(super) fn apply(annotations: &BTreeMap<String, String>, spec: &mut ScalingPolicySpec, notes: &mut Notes) {
    let field = |name: &str| format!("metadata.annotations[{PREFIX}{name}]");
    let value = |name: &str| annotations.get(&format!("{PREFIX}{name}"));
    // What Go does not read as a boolean counts as true, as with KEDA.
    let on =
        |name: &str| value(name).is_some_and(|v| !["0", "f", "F", "false", "FALSE", "False"].contains(&v.as_str()));
    let hold = |replicas| {
        Some(Hold {
            replicas,
            reason: REASON.to_owned(),
            until: None,
        })
    };
    // It wins over the plain pause, whatever that says.
    if let Some(text) = value("paused-replicas") {
        match text.parse::<i32>() {
            Ok(n) if (0..=spec.max_replicas).contains(&n) => {
                spec.hold = hold(Some(n));
                notes.carried(&field("paused-replicas"), format!("hold at {n} replicas"));
            }
            _ => {
                spec.hold = hold(None);
                let text = format!(
                    "{text} is no number from 0 to maxReplicas: hold keeps the replicas that there are; set hold.replicas"
                );
                notes.by_hand(&field("paused-replicas"), text);
            }
        }
        return;
    }
    if on("paused") {
        spec.hold = hold(None);
        notes.carried(&field("paused"), "hold at the replicas that there are");
        return;
    }
    let either = |names: [&'static str; 2]| names.into_iter().find(|name| on(name));
    let (down, up) = (
        either(["paused-scale-in", "paused-scale-down"]),
        either(["paused-scale-out", "paused-scale-up"]),
    );
    match (down, up) {
        (Some(down), Some(_)) => {
            spec.hold = hold(None);
            notes.carried(
                &field(down),
                "with the pause of the other direction: hold at the replicas that there are",
            );
        }
        (Some(down), None) => {
            spec.direction = Some(Direction::UpOnly);
            notes.carried(&field(down), "direction: UpOnly");
        }
        (None, Some(up)) => {
            spec.direction = Some(Direction::DownOnly);
            notes.carried(&field(up), "direction: DownOnly");
        }
        (None, None) => {}
    }
}
