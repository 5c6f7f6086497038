//! Which pods a node takes, as the scheduler's filters say: resources, node selector, taints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::core::quantity::{Milli, Resources};
use crate::core::time::Time;
use crate::core::world::{POOL_LABEL, Pod, REMOVAL_TAINT, Taint, Toleration};

/// Pods that are alike to the packer.
#[derive(Debug)]
pub(super) struct Class<'a> {
    pub requests: &'a Resources,
    pub selector: &'a BTreeMap<String, String>,
    pub tolerations: &'a [Toleration],
    /// Constraints that are not understood; with any, the pods are never the reason for a node.
    pub unsupported: &'a BTreeSet<String>,
    /// At least one; the one that has waited for longest comes first.
    pub pods: Vec<&'a Pod>,
}

/// What the scheduler looks at in pods that wait.
type Key<'a> = (
    &'a Resources,
    &'a BTreeMap<String, String>,
    &'a [Toleration],
    &'a BTreeSet<String>,
);

/// Groups pods that are alike.
pub(super) fn classes<'a>(pods: &[&'a Pod]) -> Vec<Class<'a>> {
    let mut groups: BTreeMap<Key<'a>, Vec<&'a Pod>> = BTreeMap::new();
    for pod in pods {
        let key = (
            &pod.requests,
            &pod.node_selector,
            pod.tolerations.as_slice(),
            &pod.unsupported,
        );
        groups.entry(key).or_default().push(pod);
    }
    let mut classes: Vec<Class> = groups
        .into_iter()
        .map(|((requests, selector, tolerations, unsupported), mut pods)| {
            pods.sort_by_key(|pod| (pod.unschedulable_since, &pod.key));
            Class {
                requests,
                selector,
                tolerations,
                unsupported,
                pods,
            }
        })
        .collect();
    classes.sort_by_key(|class| class.pods.first().map(|pod| &pod.key));
    classes
}

impl Class<'_> {
    /// How many pods.
    pub fn count(&self) -> u32 {
        u32::try_from(self.pods.len()).unwrap_or(u32::MAX)
    }

    /// The packer understands all that the pods require.
    pub fn is_supported(&self) -> bool {
        self.unsupported.is_empty()
    }

    /// When the last of its pods was called unschedulable.
    pub fn newest(&self) -> Option<Time> {
        self.pods.iter().filter_map(|pod| pod.unschedulable_since).max()
    }

    /// Whether one of its pods finds room.
    pub fn fits(&self, spot: &Spot) -> bool {
        spot.free.covers(self.requests) && self.may_go(spot)
    }

    /// Whether its pods may be there, room aside.
    pub fn may_go(&self, spot: &Spot) -> bool {
        self.missing_label(spot).is_none() && self.hindering_taint(spot).is_none()
    }

    fn missing_label(&self, spot: &Spot) -> Option<(&String, &String)> {
        self.selector
            .iter()
            .find(|(key, value)| spot.labels.get(key) != Some(value))
    }

    fn hindering_taint<'s>(&self, spot: &'s Spot) -> Option<&'s Taint> {
        spot.taints.iter().find(|taint| {
            taint.effect != "PreferNoSchedule"
                && !(spot.ignored)(&taint.key)
                && !self.tolerations.iter().any(|t| tolerates(t, taint))
        })
    }

    /// How many of its pods find room.
    pub fn fitting(&self, spot: &Spot, most: u32) -> u32 {
        if !self.fits(spot) {
            return 0;
        }
        let (free, one) = (&spot.free, self.requests);
        let times = |free: i64, one: i64| if one <= 0 { i64::MAX } else { free.max(0) / one };
        let others = one
            .other
            .iter()
            .map(|(name, amount)| times(free.other.get(name).copied().unwrap_or(0), *amount));
        let least = [
            times(free.cpu_milli, one.cpu_milli),
            times(free.memory_bytes, one.memory_bytes),
            times(free.pods, one.pods),
        ]
        .into_iter()
        .chain(others)
        .fold(i64::MAX, i64::min);
        u32::try_from(least).unwrap_or(u32::MAX).min(most)
    }

    /// Why its pods do not fit, in words; `None` where they do.
    pub fn misfit(&self, spot: &Spot) -> Option<String> {
        if let Some((key, value)) = self.missing_label(spot) {
            return Some(format!("a node has no label {key}={value}"));
        }
        if let Some(taint) = self.hindering_taint(spot) {
            let value = if taint.value.is_empty() {
                String::new()
            } else {
                format!("={}", taint.value)
            };
            return Some(format!("taint {}{value}:{} is not tolerated", taint.key, taint.effect));
        }
        let (free, one) = (&spot.free, self.requests);
        let offers = |name: &str, has: String| format!("a node has {has} of {name} for it");
        if one.cpu_milli > free.cpu_milli.max(0) {
            return Some(offers("cpu", Milli::new(free.cpu_milli).to_string()));
        }
        if one.memory_bytes > free.memory_bytes.max(0) {
            return Some(offers("memory", bytes(free.memory_bytes)));
        }
        if one.pods > free.pods.max(0) {
            return Some(offers("pods", free.pods.to_string()));
        }
        one.other.iter().find_map(|(name, amount)| {
            let has = free.other.get(name).copied().unwrap_or(0).max(0);
            (*amount > has).then(|| offers(name, has.to_string()))
        })
    }

    /// `3 pods such as shop/web-1 (cpu 0.5, memory 1Gi)`.
    pub fn in_words(&self) -> String {
        let name = self.pods.first().map_or_else(String::new, |pod| pod.key.to_string());
        let mut asks = format!(
            "cpu {}, memory {}",
            Milli::new(self.requests.cpu_milli),
            bytes(self.requests.memory_bytes)
        );
        for (name, amount) in self.requests.other.iter().take(4) {
            let _ = write!(asks, ", {name} {amount}");
        }
        match self.count() {
            1 => format!("pod {name} ({asks})"),
            n => format!("{n} pods such as {name} ({asks} each)"),
        }
    }
}

/// A place for pods: a node, or one that could be.
#[derive(Debug)]
pub(super) struct Spot<'a> {
    pub labels: Labels<'a>,
    pub taints: &'a [Taint],
    /// Taints that will not be there when it counts, by key.
    pub ignored: fn(&str) -> bool,
    pub free: Resources,
    /// Pods that were placed here.
    pub taken: u32,
}

/// The labels of a node, or of one that could be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Labels<'a> {
    Node(&'a BTreeMap<String, String>),
    Template {
        labels: &'a BTreeMap<String, String>,
        pool: &'a String,
    },
}

impl Labels<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match self {
            Self::Node(labels) => labels.get(key).map(String::as_str),
            Self::Template { pool, .. } if key == POOL_LABEL => Some(pool),
            // What kubelet says of every machine, unless the template says otherwise.
            Self::Template { labels, .. } => labels.get(key).map(String::as_str).or(match key {
                "kubernetes.io/os" => Some("linux"),
                "kubernetes.io/arch" => Some("amd64"),
                _ => None,
            }),
        }
    }
}

/// Every taint counts.
pub(super) fn none(_key: &str) -> bool {
    false
}

/// Taints that a node bears until it has started.
pub(super) fn start_up(key: &str) -> bool {
    matches!(
        key,
        "node.kubernetes.io/not-ready"
            | "node.kubernetes.io/unreachable"
            | "node.kubernetes.io/network-unavailable"
            | "node.cloudprovider.kubernetes.io/uninitialized"
    )
}

/// The own mark, which can be lifted.
pub(super) fn mark(key: &str) -> bool {
    key == REMOVAL_TAINT
}

/// As in Kubernetes: no key with Exists tolerates everything, no effect means every effect.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    if !toleration.effect.is_empty() && toleration.effect != taint.effect {
        return false;
    }
    match toleration.operator.as_str() {
        "Exists" => toleration.key.is_empty() || toleration.key == taint.key,
        "" | "Equal" => toleration.key == taint.key && toleration.value == taint.value,
        _ => false,
    }
}

/// `1.5Gi`, `128Mi`, `1000`.
fn bytes(amount: i64) -> String {
    let (unit, suffix) = match amount {
        n if n >= 1 << 30 => (1_i64 << 30, "Gi"),
        n if n >= 1 << 20 => (1 << 20, "Mi"),
        _ => return amount.to_string(),
    };
    format!(
        "{}{suffix}",
        Milli::new((i128::from(amount) * 10 / i128::from(unit)) as i64 * 100)
    )
}
