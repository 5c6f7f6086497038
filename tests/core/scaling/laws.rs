//! Laws over random inputs.

use proptest::prelude::*;

use homeostat::core::event::Event;
use homeostat::core::policy::{Behavior, MetricTarget, RateKind, RatePolicy, ScalingRules, SelectPolicy};
use homeostat::core::quantity::{Milli, Replicas};
use homeostat::core::reason::Reason;
use homeostat::core::report::ScaleEvent;
use homeostat::core::scaling::limit::{Limits, down_limit, up_limit};
use homeostat::core::scaling::propose::{Proposal, propose};
use homeostat::core::scaling::stabilize::{MAX_KEPT, Windows};
use homeostat::core::time::{Span, Time};

use super::bench::{Bench, START, change, object, policy, query, reading};

fn aims() -> impl Strategy<Value = MetricTarget> {
    (1..100_000_i64, any::<bool>()).prop_map(|(aim, average)| {
        let aim = Milli::new(aim);
        if average {
            MetricTarget::AverageValue(aim)
        } else {
            MetricTarget::Value(aim)
        }
    })
}

fn rules() -> impl Strategy<Value = ScalingRules> {
    let rate = (any::<bool>(), 1..120_u32, 1..90_i64).prop_map(|(pods, value, period)| RatePolicy {
        kind: if pods { RateKind::Pods } else { RateKind::Percent },
        value,
        period: Span::from_secs(period),
    });
    let select = prop_oneof![
        4 => Just(SelectPolicy::Max),
        4 => Just(SelectPolicy::Min),
        1 => Just(SelectPolicy::Disabled),
    ];
    (0..90_i64, select, prop::collection::vec(rate, 1..4)).prop_map(|(window, select, policies)| ScalingRules {
        stabilization: Span::from_secs(window),
        select,
        policies,
        tolerance: 0.1,
    })
}

fn behaviors() -> impl Strategy<Value = Behavior> {
    (rules(), rules()).prop_map(|(up, down)| Behavior {
        up,
        down,
        ..Behavior::default()
    })
}

/// What the HPA controller does, with everything remembered and nothing clever.
#[derive(Default)]
struct Naive {
    recommendations: Vec<(Time, i64)>,
    events: Vec<(Time, i64)>,
}

impl Naive {
    fn stabilize(&mut self, now: Time, current: i64, desired: i64, behavior: &Behavior) -> i64 {
        let younger = |window: Span| {
            let all = self.recommendations.iter();
            all.filter(move |(at, _)| now.since(*at) < window).map(|(_, n)| *n)
        };
        let up = younger(behavior.up.stabilization).fold(desired, i64::min);
        let down = younger(behavior.down.stabilization).fold(desired, i64::max);
        self.recommendations.push((now, desired));
        let mut result = current;
        if result < up {
            result = up;
        }
        if result > down {
            result = down;
        }
        result
    }

    fn start(&self, now: Time, current: i64, period: Span) -> f64 {
        let mut start = current;
        for (at, change) in &self.events {
            if now.since(*at) < period {
                start -= change;
            }
        }
        start as f64
    }

    fn limit(&self, now: Time, current: i64, wanted: i64, (min, max): (i64, i64), behavior: &Behavior) -> i64 {
        let rules = if wanted > current { &behavior.up } else { &behavior.down };
        let sign = if wanted > current { 1.0 } else { -1.0 };
        let each = rules.policies.iter().map(|p| {
            let start = self.start(now, current, p.period);
            let exact = match p.kind {
                RateKind::Pods => start + sign * f64::from(p.value),
                RateKind::Percent => start * (1.0 + sign * f64::from(p.value) / 100.0),
            };
            (if wanted > current { exact.ceil() } else { exact.trunc() }) as i64
        });
        let widest = (rules.select == SelectPolicy::Max) == (wanted > current);
        let limit = match rules.select {
            SelectPolicy::Disabled => current,
            _ if widest => each.max().unwrap(),
            _ => each.min().unwrap(),
        };
        match wanted.cmp(&current) {
            std::cmp::Ordering::Greater => {
                let limit = if current == 0 && rules.select != SelectPolicy::Disabled {
                    limit.max(1)
                } else {
                    limit
                };
                wanted.min(max.min(limit.max(current)))
            }
            std::cmp::Ordering::Less => wanted.max(min.max(limit.min(current))),
            std::cmp::Ordering::Equal => current,
        }
    }
}

fn n(count: i64) -> Replicas {
    Replicas::from_i64(count)
}

proptest! {
    #[test]
    fn a_higher_value_never_asks_for_fewer(
        aim in aims(), current in 0..200_u32, ready in 1..200_u32, low in 0..10_000_000_i64, more in 0..10_000_000_i64,
    ) {
        let behavior = Behavior::default();
        let of = |value| {
            let current = Replicas::new(current);
            propose(aim, Milli::new(value), current, ready, &behavior).replicas(current)
        };
        prop_assert!(of(low) <= of(low + more));
    }

    #[test]
    fn what_was_proposed_is_within_tolerance_or_proposed_again(
        aim in 1..100_000_i64, current in 1..200_u32, value in 1..10_000_000_i64,
    ) {
        let behavior = Behavior::default();
        let aim = MetricTarget::AverageValue(Milli::new(aim));
        let once = propose(aim, Milli::new(value), Replicas::new(current), 1, &behavior).replicas(Replicas::new(current));
        let again = propose(aim, Milli::new(value), once, 1, &behavior);
        prop_assert!(matches!(again, Proposal::WithinTolerance(_)) || again == Proposal::Replicas(once));
    }

    #[test]
    fn windows_and_limits_agree_with_the_naive_way(
        behavior in behaviors(),
        start in 0..60_i64,
        bounds in (0..20_i64, 20..80_i64),
        steps in prop::collection::vec((0..40_i64, 0..100_i64), 1..60),
    ) {
        let (min, max) = bounds;
        let (mut windows, mut naive) = (Windows::default(), Naive::default());
        let mut history: Vec<ScaleEvent> = Vec::new();
        let (mut now, mut current) = (START, start.clamp(min, max));
        for (pause, desired) in steps {
            now = now + Span::from_secs(pause);
            let stable = windows.stabilize(now, n(current), n(desired), &behavior);
            prop_assert_eq!(i64::from(stable.get()), naive.stabilize(now, current, desired, &behavior));
            let limits = Limits {
                bounds: Some((n(min), n(max))),
                rates: Some((&behavior.up, &behavior.down)),
                history: &history,
            };
            let (to, _) = limits.apply(now, n(current), stable);
            let expected = naive.limit(now, current, i64::from(stable.get()), bounds, &behavior);
            prop_assert_eq!(i64::from(to.get()), expected);
            prop_assert!(expected >= min && expected <= max);
            if expected != current {
                history.push(ScaleEvent { at: now, from: n(current), to });
                naive.events.push((now, expected - current));
                current = expected;
            }
        }
    }

    #[test]
    fn growth_in_any_period_is_within_the_allowance(
        period in 5..60_i64, pods in 1..10_u32, start in 1..20_u32,
        steps in prop::collection::vec((1..30_i64, 0..5000_u32), 1..60),
    ) {
        let mut bench = Bench::new(start);
        let mut policy = policy("p");
        change(&mut policy, "max=10000");
        change(&mut policy, "direction=UpOnly");
        change(&mut policy, &format!("up=Max:{pods}/{period}s"));
        bench.add(policy);
        bench.show_target();
        let mut grown: Vec<(Time, u32)> = Vec::new();
        for (pause, load) in steps {
            bench.now = bench.now + Span::from_secs(pause);
            bench.sample("rps", &(load * 10).to_string());
            let before = bench.replicas();
            bench.step();
            grown.push((bench.now, bench.replicas() - before));
        }
        for (end, _) in &grown {
            let window = grown.iter().filter(|(at, _)| at <= end && end.since(*at) < Span::from_secs(period));
            let sum: u32 = window.map(|(_, change)| change).sum();
            prop_assert!(sum <= pods, "{} in {}s: {:?}", sum, period, grown);
        }
    }

    #[test]
    fn any_story_keeps_the_bounds_and_never_shrinks_on_missing_data(
        behavior in behaviors(),
        start in 0..60_u32,
        bounds in (0..20_u32, 20..50_u32),
        steps in prop::collection::vec((0..40_i64, word(), word(), prop::option::weighted(0.1, 0..80_u32)), 1..60),
    ) {
        let mut bench = Bench::new(start);
        let mut p = policy("p");
        change(&mut p, "triggers=rps:avg:100,queue:avg:5");
        p.min = Replicas::new(bounds.0);
        p.max = Replicas::new(bounds.1);
        p.behavior = behavior;
        bench.add(p);
        bench.show_target();
        for (pause, rps, queue, person) in steps {
            bench.now = bench.now + Span::from_secs(pause);
            bench.sample("rps", &rps);
            bench.sample("queue", &queue);
            if let Some(replicas) = person {
                bench.set(replicas, Some("kubectl"));
            }
            let missing = [&rps, &queue].iter().any(|w| w.parse::<u32>().is_err());
            let before = bench.replicas();
            let actions = bench.step();
            let after = bench.replicas();
            if let Some(action) = actions.first() {
                prop_assert!((bounds.0..=bounds.1).contains(&after), "{:?}", action);
                if missing && action.reason != Reason::AboveMaximum {
                    prop_assert!(after > before, "{:?}", action);
                }
            }
            // A bound at once, then what the load asks for, then rest.
            for _ in 0..3 {
                bench.step();
            }
            let mut twin = bench.engine.clone();
            bench.show_target();
            prop_assert!(bench.step().is_empty());
            prop_assert!(bench.plans.last().is_some_and(homeostat::core::plan::Plan::is_empty));
            prop_assert_eq!(&bench.engine.state().reports, &twin.state().reports);
            prop_assert!(bench.engine.state().all_scaling().eq(twin.state().all_scaling()));
            // And the order of independent events changes nothing.
            let target = bench.target.clone().map(Box::new);
            let events = [
                Event::Sample { query: query("rps"), reading: reading("700", bench.now) },
                Event::Sample { query: query("queue"), reading: reading("empty", bench.now) },
                Event::Target { object: object(), target },
            ];
            let mut other = twin.clone();
            for (forth, back) in events.iter().zip(events.iter().rev()) {
                twin.observe(bench.now, forth.clone());
                other.observe(bench.now, back.clone());
            }
            prop_assert_eq!(twin.step(bench.now), other.step(bench.now));
            prop_assert_eq!(twin.state(), other.state());
        }
        let (_, memory) = bench.engine.state().all_scaling().next().unwrap();
        prop_assert!(memory.history.len() <= 64 && memory.windows.len() <= 2 * MAX_KEPT);
        let text = serde_json::to_string(bench.engine.state()).unwrap();
        prop_assert_eq!(&serde_json::from_str::<homeostat::core::state::State>(&text).unwrap(), bench.engine.state());
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0..9000_u32).prop_map(|v| v.to_string()),
        1 => (0..9000_u32).prop_map(|v| format!("partial:{v}")),
        1 => (0..9000_u32).prop_map(|v| format!("{v}@10m")),
        1 => prop::sample::select(vec!["empty", "NaN", "many", "failed"]).prop_map(str::to_owned),
    ]
}

#[test]
fn memory_stays_small_and_careful_over_a_long_window() {
    let mut behavior = Behavior::default();
    behavior.down.stabilization = Span::from_mins(60);
    let mut windows = Windows::default();
    for second in 0..3000_i64 {
        let slowly_down = n(10_000 - second);
        let stable = windows.stabilize(START + Span::from_secs(second), n(10_000), slowly_down, &behavior);
        assert_eq!(stable, n(10_000));
    }
    assert!(windows.len() <= 2 * MAX_KEPT);
}

#[test]
fn limits_of_the_hpa_controllers_own_tests() {
    let rule = |kind, value| ScalingRules {
        stabilization: Span::ZERO,
        select: SelectPolicy::Max,
        policies: vec![RatePolicy {
            kind,
            value,
            period: Span::from_secs(60),
        }],
        tolerance: 0.1,
    };
    for (start, limit) in [(100, 111), (50, 56), (200, 221), (10, 11), (1000, 1100)] {
        assert_eq!(up_limit(START, n(start), &rule(RateKind::Percent, 10), &[]), n(limit));
    }
    assert_eq!(down_limit(START, n(3), &rule(RateKind::Pods, 5), &[]), n(0));
    assert_eq!(down_limit(START, n(100), &rule(RateKind::Percent, 100), &[]), n(0));
}
