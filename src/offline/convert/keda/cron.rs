//! The `cron` scaler: from each start until the next end, at least so many replicas. A schedule says how long it lasts, so it
//! is one only where that is always the same.

use super::Notes;
use super::types::ScaleTrigger;
use crate::api::scalar::DurationText;
use crate::api::scaling_schedule::Schedule;
use crate::core::schedule::{Cron, MIN_DURATION, Window, Zone};
use crate::core::time::{Span, Time};

/// 1 January 2027: a fixed time, so that the same source gives the same policy.
const FROM: Time = Time::from_secs(1_798_761_600);
/// Four years, with their 29 February.
const LONG: Span = Span::from_mins((4 * 365 + 1) * 24 * 60);

pub(super) fn schedule(field: &str, name: &str, written: &ScaleTrigger, notes: &mut Notes) -> Result<Schedule, String> {
    let mut metadata = written.metadata();
    let mut take = |name: &str| metadata.take(name).ok_or_else(|| format!("it has no {name}"));
    let (zone, start, end) = (take("timezone")?, take("start")?, take("end")?);
    let replicas = take("desiredReplicas")?;
    let min_replicas = replicas
        .parse()
        .map_err(|_| format!("its desiredReplicas {replicas} is no number"))?;
    let zone = Zone::parse(&zone).map_err(|e| e.to_string())?;
    let duration = duration(&start, &end)?;
    metadata.unread(field, notes);
    Ok(Schedule {
        name: name.to_owned(),
        time_zone: Some(zone.name().to_owned()),
        schedule: Some(start.trim().to_owned()),
        duration: Some(DurationText(duration.to_string())),
        min_replicas: Some(min_replicas),
        ..Schedule::default()
    })
}

/// How long it is from every start to the next end, by the clock on the wall.
fn duration(start: &str, end: &str) -> Result<Span, String> {
    let by_hand = |why: &str| format!("from `{start}` to `{end}` {why}: write a schedule by hand, or several");
    let at_one_time = start
        .split_whitespace()
        .take(2)
        .all(|f| f.chars().all(|c| c.is_ascii_digit()));
    if !at_one_time {
        return Err(by_hand("starts at more than one time of day"));
    }
    let (starts, ends) = (instants(start)?, instants(end)?);
    let (mut at, mut found) = (FROM, None);
    while at.since(FROM) < LONG {
        let Some(opens) = next(&starts, at) else { break };
        let closes = next(&ends, opens).ok_or_else(|| by_hand("never ends"))?;
        let again = next(&starts, opens).ok_or_else(|| by_hand("starts once only"))?;
        let length = closes.since(opens);
        if again < closes {
            return Err(by_hand("starts again before it ends"));
        }
        if *found.get_or_insert(length) != length {
            return Err(by_hand("is not always equally long"));
        }
        at = opens;
    }
    found.ok_or_else(|| by_hand("never starts"))
}

/// The moments of a cron expression, each a minute long. In UTC: no clock is put forward or back.
fn instants(text: &str) -> Result<Window, String> {
    let cron = Cron::parse(text.trim()).map_err(|e| e.to_string())?;
    let zone = Zone::parse("UTC").map_err(|e| e.to_string())?;
    Window::cron(cron, MIN_DURATION, zone).map_err(|e| e.to_string())
}

/// The first moment after this one.
fn next(window: &Window, after: Time) -> Option<Time> {
    let from = window.active(after).map_or(after, |open| open.end);
    match window.active(from) {
        Some(open) if open.start > after => Some(open.start),
        _ => window.next_change(from),
    }
}
