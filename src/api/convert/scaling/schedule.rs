//! Schedules.

use super::MOST_REPLICAS;
use super::trigger::aim;
use crate::api::convert::{DAY, Invalid, count, span};
use crate::api::scaling_schedule as api;
use crate::core::policy as core;
use crate::core::quantity::Replicas;
use crate::core::schedule::{Clock, Cron, MAX_DURATION, MIN_DURATION, Weekday, Weekly, Window, Zone};
use crate::core::time::Span;

pub(super) fn convert(written: &[api::Schedule], triggers: &[core::Trigger]) -> Result<Vec<core::Schedule>, Invalid> {
    let all = written.iter().enumerate();
    all.map(|(i, schedule)| one(&format!("spec.schedules[{i}]"), schedule, triggers))
        .collect()
}

fn one(field: &str, written: &api::Schedule, triggers: &[core::Trigger]) -> Result<core::Schedule, Invalid> {
    let bound = |name: &str, n: Option<i32>, least| -> Result<Option<Replicas>, Invalid> {
        let field = format!("{field}.{name}");
        n.map(|n| count(&field, Some(n), 0, (least, MOST_REPLICAS)).map(Replicas::new))
            .transpose()
    };
    let exact = bound("replicas", written.replicas, 1)?;
    let (min, max) = (
        bound("minReplicas", written.min_replicas, 0)?,
        bound("maxReplicas", written.max_replicas, 1)?,
    );
    if exact.is_some() && (min.is_some() || max.is_some()) {
        let problem = "is both bounds at once: remove minReplicas and maxReplicas, or replicas";
        return Err(Invalid::new(format!("{field}.replicas"), problem));
    }
    let (min, max) = (exact.or(min), exact.or(max));
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        return Err(Invalid::new(
            format!("{field}.maxReplicas"),
            "must be at least minReplicas",
        ));
    }
    let mut targets = Vec::new();
    for (i, other) in written.targets.iter().flatten().enumerate() {
        let field = format!("{field}.targets[{i}]");
        let own = triggers.iter().find(|trigger| trigger.name == other.trigger);
        let own = own.ok_or_else(|| Invalid::new(&field, format!("there is no trigger {}", other.trigger)))?;
        let target = aim(&format!("{field}.target"), &other.target)?;
        if std::mem::discriminant(&target) != std::mem::discriminant(&own.target) {
            let problem = "must be of the same form as the trigger's own target";
            return Err(Invalid::new(format!("{field}.target"), problem));
        }
        targets.push((other.trigger.clone(), target));
    }
    let ramp = span(
        &format!("{field}.ramp"),
        written.ramp.as_ref(),
        Span::ZERO,
        (Span::ZERO, DAY),
    )?;
    Ok(core::Schedule {
        name: written.name.clone(),
        window: window(field, written)?,
        min,
        max,
        targets,
        ramp,
    })
}

fn window(field: &str, written: &api::Schedule) -> Result<Window, Invalid> {
    let zone = written.time_zone.as_deref().unwrap_or("UTC");
    let zone = Zone::parse(zone).map_err(|e| Invalid::new(format!("{field}.timeZone"), e))?;
    match (
        &written.schedule,
        &written.duration,
        &written.days,
        &written.from,
        &written.to,
    ) {
        (Some(starts), Some(duration), None, None, None) => {
            let starts = Cron::parse(starts).map_err(|e| Invalid::new(format!("{field}.schedule"), e))?;
            let field = format!("{field}.duration");
            let open = span(&field, Some(duration), MIN_DURATION, (MIN_DURATION, MAX_DURATION))?;
            Window::cron(starts, open, zone).map_err(|e| Invalid::new(field, e))
        }
        (None, None, Some(days), Some(from), Some(to)) => {
            let clock = |name: &str, text: &str| -> Result<Clock, Invalid> {
                text.parse().map_err(|e| Invalid::new(format!("{field}.{name}"), e))
            };
            let days: Vec<Weekday> = days.iter().map(|day| weekday(*day)).collect();
            let weekly = Weekly::new(&days, clock("from", from)?, clock("to", to)?);
            let weekly = weekly.map_err(|e| Invalid::new(format!("{field}.days"), e))?;
            Ok(Window::weekly(weekly, zone))
        }
        _ => Err(Invalid::new(
            field,
            "write either schedule and duration, or days, from and to",
        )),
    }
}

fn weekday(day: api::Day) -> Weekday {
    match day {
        api::Day::Mon => Weekday::Mon,
        api::Day::Tue => Weekday::Tue,
        api::Day::Wed => Weekday::Wed,
        api::Day::Thu => Weekday::Thu,
        api::Day::Fri => Weekday::Fri,
        api::Day::Sat => Weekday::Sat,
        api::Day::Sun => Weekday::Sun,
    }
}
