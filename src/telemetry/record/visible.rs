//! What is shown of one policy: numbers only. Names and labels are made when somebody asks, since there are dozens of series a policy
//! and thousands of policies.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::policies::LIMITS;
use crate::core::names::PolicyKey;
use crate::core::reason::Reason;
use crate::telemetry::metrics::LabelNames;

/// What is shown of every policy at one moment.
pub type Picture = BTreeMap<PolicyKey, Arc<Visible>>;

/// What is shown of one policy.
#[derive(Clone, Debug, Default)]
pub struct Visible {
    /// Status and reason of the condition Ready.
    pub(super) ready: Option<(&'static str, Cow<'static, str>)>,
    pub(super) stalled: Option<bool>,
    pub(super) suspended: Option<bool>,
    pub(super) mode: Option<&'static str>,
    /// The least and the most replicas.
    pub(super) bounds: Option<(u32, u32)>,
    pub(super) decided: Option<Decided>,
    pub(super) signals: Box<[Signal]>,
    /// Scale events by direction and reason.
    pub(super) scaled: Vec<(&'static str, Reason, u64)>,
}

/// A decision.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) current: u32,
    pub(super) desired: u32,
    pub(super) proposed: Option<u32>,
    pub(super) limited: Option<Reason>,
}

/// What a trigger said.
#[derive(Clone, Debug)]
pub(super) struct Signal {
    pub(super) name: Box<str>,
    pub(super) missing: bool,
    /// The value, and the Unix time of its sample.
    pub(super) value: Option<(f64, f64)>,
    pub(super) aim: Option<f64>,
}

impl Visible {
    /// Counts scale events; zero of them begins the series, without which no rate would see the first.
    pub(super) fn count_scaled(&mut self, direction: &'static str, reason: Reason, more: u64) {
        let same = |(d, r, _): &&mut (&str, Reason, u64)| *d == direction && *r == reason;
        match self.scaled.iter_mut().find(same) {
            Some((_, _, count)) => *count += more,
            None => self.scaled.push((direction, reason, more)),
        }
    }
}

/// No metric has more labels.
const MAX_LABELS: usize = 8;

/// A number as it is exposed.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// A gauge of whole numbers.
    Whole(i64),
    /// A gauge.
    Float(f64),
    /// A counter.
    Count(u64),
}

impl From<bool> for Number {
    fn from(yes: bool) -> Self {
        Self::Whole(yes.into())
    }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

/// Takes one series: the values of its labels, in the order of their names, and its value.
pub type Tell<'a> = dyn FnMut(&[&str], Number) + 'a;
/// Tells the series of one policy.
pub type Series = fn(&PolicyKey, &Visible, &mut Tell<'_>);

/// A metric of which every policy has its series, with these labels.
pub struct PerPolicy<L> {
    series: Series,
    labels: PhantomData<fn() -> L>,
}

impl<L> PerPolicy<L> {
    /// The metric that tells these series.
    pub fn new(series: Series) -> Self {
        Self {
            series,
            labels: PhantomData,
        }
    }
}

impl<L> Clone for PerPolicy<L> {
    fn clone(&self) -> Self {
        Self::new(self.series)
    }
}

impl<L> fmt::Debug for PerPolicy<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PerPolicy")
    }
}

/// Such a metric at one moment.
pub struct AtOneMoment<L> {
    metric: PerPolicy<L>,
    kind: MetricType,
    picture: Arc<Picture>,
}

impl<L> AtOneMoment<L> {
    /// The metric, with what is shown of every policy.
    pub fn new(metric: PerPolicy<L>, kind: MetricType, picture: Arc<Picture>) -> Self {
        Self { metric, kind, picture }
    }
}

impl<L> fmt::Debug for AtOneMoment<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtOneMoment")
    }
}

impl<L: LabelNames> EncodeMetric for AtOneMoment<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let mut result = Ok(());
        for (key, visible) in self.picture.iter() {
            (self.metric.series)(key, visible, &mut |values, number| {
                let mut one = || {
                    let mut labels = [("", ""); MAX_LABELS];
                    let named = L::NAMES.iter().copied().zip(values.iter().copied());
                    let count = labels.iter_mut().zip(named).map(|(slot, label)| *slot = label).count();
                    let labels = &labels[..count];
                    let mut series = encoder.encode_family(&labels)?;
                    match number {
                        Number::Whole(value) => series.encode_gauge(&value),
                        Number::Float(value) => series.encode_gauge(&value),
                        Number::Count(value) => series.encode_counter::<NoLabelSet, _, u64>(&value, None),
                    }
                };
                if result.is_ok() {
                    result = one();
                }
            });
            if result.is_err() {
                break;
            }
        }
        result
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }

    fn is_empty(&self) -> bool {
        let mut empty = true;
        for (key, visible) in self.picture.iter() {
            (self.metric.series)(key, visible, &mut |_, _| empty = false);
            if !empty {
                break;
            }
        }
        empty
    }
}

pub fn ready(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    if let Some((status, reason)) = &shown.ready {
        let labels = [key.kind.as_str(), &key.namespace, &key.name, *status, reason];
        tell(&labels, Number::Whole(1));
    }
}

pub fn stalled(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    if let Some(stalled) = shown.stalled {
        tell(&[key.kind.as_str(), &key.namespace, &key.name], stalled.into());
    }
}

pub fn suspended(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    if let Some(suspended) = shown.suspended {
        tell(&[key.kind.as_str(), &key.namespace, &key.name], suspended.into());
    }
}

pub fn info(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    if let Some(mode) = shown.mode {
        tell(&[key.kind.as_str(), &key.namespace, &key.name, mode], Number::Whole(1));
    }
}

pub fn current(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    number(key, shown.decided.as_ref().map(|d| d.current), tell);
}

pub fn desired(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    number(key, shown.decided.as_ref().map(|d| d.desired), tell);
}

pub fn recommendation(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    number(key, shown.decided.as_ref().and_then(|d| d.proposed), tell);
}

pub fn least(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    number(key, shown.bounds.map(|(least, _)| least), tell);
}

pub fn most(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    number(key, shown.bounds.map(|(_, most)| most), tell);
}

fn number(key: &PolicyKey, number: Option<u32>, tell: &mut Tell<'_>) {
    if let Some(number) = number {
        tell(&[&key.namespace, &key.name], number.into());
    }
}

pub fn limited(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    let Some(decided) = &shown.decided else { return };
    for reason in LIMITS {
        let holds = decided.limited == Some(reason);
        tell(&[&key.namespace, &key.name, reason.as_str()], holds.into());
    }
}

pub fn scaled(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    for (direction, reason, count) in &shown.scaled {
        let labels = [&key.namespace, &key.name, *direction, reason.as_str()];
        tell(&labels, Number::Count(*count));
    }
}

pub fn signal_missing(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    signals(key, shown, tell, |signal| Some(signal.missing.into()));
}

pub fn signal_value(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    signals(key, shown, tell, |signal| {
        signal.value.map(|(value, _)| Number::Float(value))
    });
}

pub fn signal_time(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    signals(key, shown, tell, |signal| signal.value.map(|(_, at)| Number::Float(at)));
}

pub fn signal_target(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>) {
    signals(key, shown, tell, |signal| signal.aim.map(Number::Float));
}

fn signals(key: &PolicyKey, shown: &Visible, tell: &mut Tell<'_>, number: fn(&Signal) -> Option<Number>) {
    for signal in &shown.signals {
        if let Some(number) = number(signal) {
            tell(&[&key.namespace, &key.name, &signal.name], number);
        }
    }
}
