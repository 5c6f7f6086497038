//! Schedules of a ScalingPolicy: other bounds and targets at certain times.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::scalar::DurationText;
use super::scaling_trigger::MetricTarget;

/// Other bounds and targets while a window is open: by cron and a duration, or on days of the week from one time of day to
/// another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::rule(
        "has(self.schedule) == has(self.duration) && has(self.days) == has(self.from) && has(self.from) == has(self.to) && has(self.schedule) != has(self.days)",
        "write either schedule and duration, or days, from and to",
    ),
    validation = rules::rule(
        "has(self.minReplicas) || has(self.maxReplicas) || has(self.replicas) || has(self.targets)",
        "say what counts instead: minReplicas, maxReplicas, replicas or targets",
    ),
    validation = rules::rule(
        "!has(self.replicas) || !(has(self.minReplicas) || has(self.maxReplicas))",
        "replicas is both bounds at once: remove minReplicas and maxReplicas, or replicas",
    ),
    validation = rules::rule(
        "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        "maxReplicas must be at least minReplicas",
    ).field_path(".maxReplicas")
)]
pub struct Schedule {
    /// Name of the schedule, distinct in the policy; explanations use it.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label_name())]
    pub name: String,
    /// IANA time zone, such as Europe/Berlin. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// When the window opens: five fields of cron, such as `0 8 * * 1-5`. With duration. Default: none, see days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub schedule: Option<String>,
    /// How long the window is open from each start, 1m to 8784h. Default: none, see days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("1m", "8784h"))]
    pub duration: Option<DurationText>,
    /// Days of the week on which the window opens, 1 to 7. With from and to. Default: none, see schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 7))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub days: Option<Vec<Day>>,
    /// Time of day at which it opens, such as 08:00. Default: none, see schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5))]
    #[x_kube(validation = time_of_day())]
    pub from: Option<String>,
    /// Time of day at which it closes, on the next day where it is not after `from`. Default: none, see schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5))]
    #[x_kube(validation = time_of_day())]
    pub to: Option<String>,
    /// Lower bound meanwhile, 0 to 2147483647. Default: the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub min_replicas: Option<i32>,
    /// Upper bound meanwhile, 1 to 2147483647; where it is below the lower bound, that is lowered. Default: the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub max_replicas: Option<i32>,
    /// Just so many replicas meanwhile, 1 to 2147483647. Default: as the bounds and triggers say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub replicas: Option<i32>,
    /// Other targets of triggers meanwhile. At most 32. Default: the triggers' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["trigger".into()]))]
    pub targets: Option<Vec<ScheduledTarget>>,
    /// How long the bounds take from their usual values to these, in a straight line, 0s to 24h. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("0s", "24h"))]
    pub ramp: Option<DurationText>,
}

fn time_of_day() -> kube::core::Rule {
    rules::rule(
        "self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')",
        "must be a time of day such as 08:00",
    )
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "there is nothing to say of the days of the week")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// Another target of a trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct ScheduledTarget {
    /// Name of the trigger.
    #[schemars(length(min = 1, max = 63))]
    pub trigger: String,
    /// What its value is measured against meanwhile; of the same form as the trigger's own.
    pub target: MetricTarget,
}
