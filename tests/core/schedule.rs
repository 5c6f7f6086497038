//! Windows of time: cron, weekly, and the days on which the clock is changed.

use homeostat::core::schedule::{Clock, Cron, Occurrence, Weekday, Weekly, Window, Zone, ramp};
use homeostat::core::time::{Span, Time};
use proptest::prelude::*;

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

fn cron(zone: &str, schedule: &str, duration: &str) -> Window {
    let starts = Cron::parse(schedule).unwrap();
    Window::cron(starts, duration.parse().unwrap(), Zone::parse(zone).unwrap()).unwrap()
}

fn weekly(zone: &str, days: &str, from: &str, to: &str) -> Window {
    let days: Vec<Weekday> = days.split(' ').map(|day| day.parse().unwrap()).collect();
    let (from, to): (Clock, Clock) = (from.parse().unwrap(), to.parse().unwrap());
    Window::weekly(Weekly::new(&days, from, to).unwrap(), Zone::parse(zone).unwrap())
}

/// The cells of a table's rows; a row that begins with `#` is a comment.
fn rows<const N: usize>(table: &'static str) -> Vec<[&'static str; N]> {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rows = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    rows.map(|cells| cells.try_into().unwrap()).collect()
}

/// The next times that the window opens and closes, as `start/end` in short UTC.
fn coming(window: &Window, from: &str, count: usize) -> Vec<String> {
    let mut now = time(from);
    let mut found = Vec::new();
    while found.len() < count {
        now = window.next_change(now).unwrap();
        if let Some(Occurrence { start, end }) = window.active(now) {
            assert_eq!(start, now, "it opens when it said it would");
            found.push(format!("{}/{}", short(start), short(end)));
        }
    }
    found
}

fn short(time: Time) -> String {
    time.to_string().replace(":00.000Z", "")
}

/// zone | schedule | duration | from | what comes (UTC)
const CRON: &str = "
Europe/Berlin | 0 8 24 11 * | 18h | 2026-01-01T00:00:00Z | 2026-11-24T07:00/2026-11-25T01:00
UTC | @daily | 1h | 2026-12-31T12:00:00Z | 2027-01-01T00:00/2027-01-01T01:00
UTC | @midnight | 1h | 2026-12-31T12:00:00Z | 2027-01-01T00:00/2027-01-01T01:00
UTC | @hourly | 5m | 2026-12-31T23:30:00Z | 2027-01-01T00:00/2027-01-01T00:05
UTC | @weekly | 1h | 2026-11-24T00:00:00Z | 2026-11-29T00:00/2026-11-29T01:00
UTC | @monthly | 1h | 2026-11-24T00:00:00Z | 2026-12-01T00:00/2026-12-01T01:00
UTC | @yearly | 1h | 2026-11-24T00:00:00Z | 2027-01-01T00:00/2027-01-01T01:00
UTC | @Annually | 1h | 2026-11-24T00:00:00Z | 2027-01-01T00:00/2027-01-01T01:00
# Leap days, and the eight years without one.
UTC | 30 6 29 2 * | 1h | 2026-03-01T00:00:00Z | 2028-02-29T06:30/2028-02-29T07:30
UTC | 30 6 29 2 * | 1h | 2096-03-01T00:00:00Z | 2104-02-29T06:30/2104-02-29T07:30
# The ends of months, of a year, over one.
UTC | 0 0 31 * * | 1h | 2026-04-01T00:00:00Z | 2026-05-31T00:00/2026-05-31T01:00
UTC | 0 0 30 * * | 1h | 2027-01-31T00:00:00Z | 2027-03-30T00:00/2027-03-30T01:00
UTC | 0 22 31 dec * | 4h | 2026-12-30T00:00:00Z | 2026-12-31T22:00/2027-01-01T02:00
Asia/Kolkata | 0 0 1 jan ? | 1h | 2026-12-30T00:00:00Z | 2026-12-31T18:30/2026-12-31T19:30
# Lists, steps, names, Sunday at both ends.
UTC | */20 8-18/5 * * * | 1m | 2026-11-24T08:41:00Z | 2026-11-24T13:00/2026-11-24T13:01
UTC | 5/25 0 * * * | 1m | 2026-11-24T00:10:00Z | 2026-11-24T00:30/2026-11-24T00:31
UTC | 0 9 * * MON-Fri | 1h | 2026-11-27T10:30:00Z | 2026-11-30T09:00/2026-11-30T10:00
UTC | 0 9 * * fri-sun | 1h | 2026-11-28T12:00:00Z | 2026-11-29T09:00/2026-11-29T10:00
UTC | 0 9 * * 7 | 1h | 2026-11-24T00:00:00Z | 2026-11-29T09:00/2026-11-29T10:00
UTC | 0 9 * * 0 | 1h | 2026-11-24T00:00:00Z | 2026-11-29T09:00/2026-11-29T10:00
UTC | 0 9 * * 1/2 | 1h | 2026-11-27T12:00:00Z | 2026-11-30T09:00/2026-11-30T10:00
UTC | 0 9 15,1 3,1 * | 1h | 2026-11-24T00:00:00Z | 2027-01-01T09:00/2027-01-01T10:00
# Either day where both are restricted: Friday the 27th comes before the 1st; only one where the other is `*`.
UTC | 0 0 1 * fri | 1h | 2026-11-24T00:00:00Z | 2026-11-27T00:00/2026-11-27T01:00
UTC | 0 0 1 * fri | 1h | 2026-11-27T12:00:00Z | 2026-12-01T00:00/2026-12-01T01:00
UTC | 0 0 1 * * | 1h | 2026-11-24T00:00:00Z | 2026-12-01T00:00/2026-12-01T01:00
# A step restricts, as CronJob has it: every second day of the month, and Mondays.
UTC | 0 0 */2 * mon | 1h | 2026-11-29T12:00:00Z | 2026-11-30T00:00/2026-11-30T01:00
# 30 February never comes, but Mondays of February do.
UTC | 0 0 30 2 mon | 1h | 2026-11-24T00:00:00Z | 2027-02-01T00:00/2027-02-01T01:00
";

#[test]
fn cron_opens_when_it_says() {
    for [zone, schedule, duration, from, want] in rows(CRON) {
        let window = cron(zone, schedule, duration);
        assert_eq!(coming(&window, from, 1), [want], "{schedule} in {zone} from {from}");
    }
}

/// zone | schedule | duration | from | the next two (UTC)
const CHANGES: &str = "
# Berlin 2026-03-29: 02:00 CET becomes 03:00 CEST at 01:00 UTC. What was due at 02:30 comes then.
Europe/Berlin | 30 2 * * * | 1h | 2026-03-28T02:00:00Z | 2026-03-29T01:00/2026-03-29T02:00 2026-03-30T00:30/2026-03-30T01:30
# Berlin 2026-10-25: 03:00 CEST becomes 02:00 CET at 01:00 UTC. 02:30 comes twice, and counts once.
Europe/Berlin | 30 2 * * * | 1h | 2026-10-24T12:00:00Z | 2026-10-25T00:30/2026-10-25T01:30 2026-10-26T01:30/2026-10-26T02:30
Europe/Berlin | 0,45 2 * * * | 5m | 2026-10-25T00:10:00Z | 2026-10-25T00:45/2026-10-25T00:50 2026-10-26T01:00/2026-10-26T01:05
# A duration is time that passes: the day of 23 and that of 25 hours.
Europe/Berlin | 0 0 * * sun | 23h | 2026-03-28T12:00:00Z | 2026-03-28T23:00/2026-03-29T22:00 2026-04-04T22:00/2026-04-05T21:00
Europe/Berlin | 0 0 * * sun | 23h | 2026-10-24T12:00:00Z | 2026-10-24T22:00/2026-10-25T21:00 2026-10-31T23:00/2026-11-01T22:00
# New York 2026-03-08 and 2026-11-01.
America/New_York | 15 2 * * * | 10m | 2026-03-08T00:00:00Z | 2026-03-08T07:00/2026-03-08T07:10 2026-03-09T06:15/2026-03-09T06:25
America/New_York | 30 1 * * * | 10m | 2026-11-01T00:00:00Z | 2026-11-01T05:30/2026-11-01T05:40 2026-11-02T06:30/2026-11-02T06:40
# Lord Howe changes by half an hour: 2026-10-04 02:00 (+10:30) becomes 02:30 (+11), 2026-04-05 02:00 (+11) becomes 01:30.
Australia/Lord_Howe | 10 2 * * * | 10m | 2026-10-03T00:00:00Z | 2026-10-03T15:30/2026-10-03T15:40 2026-10-04T15:10/2026-10-04T15:20
Australia/Lord_Howe | 45 1 * * * | 10m | 2026-04-04T00:00:00Z | 2026-04-04T14:45/2026-04-04T14:55 2026-04-05T15:15/2026-04-05T15:25
# Samoa left out the whole of 2011-12-30.
Pacific/Apia | 0 12 30 * * | 1h | 2011-12-01T00:00:00Z | 2011-12-30T10:00/2011-12-30T11:00 2012-01-29T22:00/2012-01-29T23:00
";

#[test]
fn days_on_which_the_clock_changes() {
    for [zone, schedule, duration, from, want] in rows(CHANGES) {
        let window = cron(zone, schedule, duration);
        assert_eq!(
            coming(&window, from, 2).join(" "),
            want,
            "{schedule} in {zone} from {from}"
        );
    }
}

/// zone | days | from | to | asked from | the next two (UTC)
const WEEKLY: &str = "
UTC | Mon Tue | 08:00 | 18:00 | 2026-11-24T19:00:00Z | 2026-11-30T08:00/2026-11-30T18:00 2026-12-01T08:00/2026-12-01T18:00
# Over midnight, over the end of a week, of a year.
UTC | Sun | 22:00 | 06:00 | 2026-11-24T00:00:00Z | 2026-11-29T22:00/2026-11-30T06:00 2026-12-06T22:00/2026-12-07T06:00
UTC | Thu | 22:00 | 06:00 | 2026-12-30T00:00:00Z | 2026-12-31T22:00/2027-01-01T06:00 2027-01-07T22:00/2027-01-08T06:00
UTC | Sat | 09:00 | 09:00 | 2026-11-24T00:00:00Z | 2026-11-28T09:00/2026-11-29T09:00 2026-12-05T09:00/2026-12-06T09:00
UTC | Sat | 00:00 | 24:00 | 2026-11-24T00:00:00Z | 2026-11-28T00:00/2026-11-29T00:00 2026-12-05T00:00/2026-12-06T00:00
# Days that touch are one window.
UTC | Sat Sun | 00:00 | 24:00 | 2026-11-24T00:00:00Z | 2026-11-28T00:00/2026-11-30T00:00 2026-12-05T00:00/2026-12-07T00:00
# Summer time: nine hours by the clock are eight, or ten.
Europe/Berlin | Sat | 22:00 | 07:00 | 2026-03-28T00:00:00Z | 2026-03-28T21:00/2026-03-29T05:00 2026-04-04T20:00/2026-04-05T05:00
Europe/Berlin | Sat | 22:00 | 07:00 | 2026-10-24T00:00:00Z | 2026-10-24T20:00/2026-10-25T06:00 2026-10-31T21:00/2026-11-01T06:00
# An end that does not exist, and one that comes twice.
Europe/Berlin | Sun | 00:00 | 02:30 | 2026-03-28T12:00:00Z | 2026-03-28T23:00/2026-03-29T01:00 2026-04-04T22:00/2026-04-05T00:30
Europe/Berlin | Sun | 00:00 | 02:30 | 2026-10-24T12:00:00Z | 2026-10-24T22:00/2026-10-25T00:30 2026-10-31T23:00/2026-11-01T01:30
# A window in the hour that is left out does not open.
America/New_York | Sun | 02:10 | 02:50 | 2026-03-07T12:00:00Z | 2026-03-15T06:10/2026-03-15T06:50 2026-03-22T06:10/2026-03-22T06:50
Australia/Lord_Howe | Sun | 01:00 | 03:00 | 2026-10-03T00:00:00Z | 2026-10-03T14:30/2026-10-03T16:00 2026-10-10T14:00/2026-10-10T16:00
";

#[test]
fn weekly_opens_and_closes_by_the_clock() {
    for [zone, days, from, to, asked, want] in rows(WEEKLY) {
        let window = weekly(zone, days, from, to);
        assert_eq!(
            coming(&window, asked, 2).join(" "),
            want,
            "{days} {from}-{to} in {zone} from {asked}"
        );
    }
}

#[test]
fn the_edges_of_a_window_are_exact() {
    let window = cron("UTC", "0 8 * * *", "1h");
    let open = Occurrence {
        start: time("2026-11-24T08:00:00Z"),
        end: time("2026-11-24T09:00:00Z"),
    };
    assert_eq!(window.active(time("2026-11-24T07:59:59.999Z")), None);
    assert_eq!(window.active(open.start), Some(open));
    assert_eq!(window.active(time("2026-11-24T08:59:59.999Z")), Some(open));
    assert_eq!(window.active(open.end), None);
    assert_eq!(window.next_change(time("2026-11-24T07:59:59.999Z")), Some(open.start));
    assert_eq!(window.next_change(open.start), Some(open.end));
    assert_eq!(window.next_change(open.end), Some(time("2026-11-25T08:00:00Z")));
}

#[test]
fn windows_that_overlap_are_one() {
    let at = time("2026-11-24T10:30:00Z");
    let found = |schedule, duration| {
        let open = cron("UTC", schedule, duration).active(at).unwrap();
        format!("{}/{}", short(open.start), short(open.end))
    };
    assert_eq!(found("0 8,10,14 * * *", "3h"), "2026-11-24T08:00/2026-11-24T13:00");
    assert_eq!(found("0 8,10,12 * * *", "2h"), "2026-11-24T08:00/2026-11-24T14:00");
    assert_eq!(found("* 8-17 * * *", "30m"), "2026-11-24T08:00/2026-11-24T18:29");
    // The window of the day before reaches into this one.
    assert_eq!(found("0 12 23,24 11 *", "24h"), "2026-11-23T12:00/2026-11-25T12:00");
    // One that never ends stays open, and says so again when its end has come.
    let always = cron("UTC", "0 * * * *", "90m");
    let mut now = at;
    for _ in 0..3 {
        let open = always.active(now).unwrap();
        assert!(open.start < now && now < open.end);
        now = always.next_change(now).unwrap();
    }
}

/// expression | part of what is said
const WRONG: &str = "
 | 0 fields instead of five
0 8 * * | 4 fields instead of five: write minute, hour
0 0 8 * * * | 6 fields instead of five
60 8 * * * | minute `60` of `60 8 * * *`: write numbers from 0 to 59
0 24 * * * | hour `24`
0 8 0 * * | day of month `0`
0 8 32 * * | day of month `32`
0 8 * 13 * | month `13` of `0 8 * 13 *`: write numbers from 1 to 12 or jan to dec
0 8 * foo * | month `foo`
0 8 * * 8 | day of week `8` of `0 8 * * 8`: write numbers from 0 to 7 or sun to sat
0 8 L * * | day of month `L`
0 8 * * 5#3 | day of week `5#3`
? 8 * * * | minute `?`
*/0 8 * * * | `0` is not a step
*/x 8 * * * | `x` is not a step
0 22-2 * * * | the range ends before it begins: write 22-23,0-2
0 8, * * * | hour `` of
-5 8 * * * | minute `-5`
@every 5m | `@every 5m` is not known: write @hourly
@reboot | `@reboot` is not known
TZ=UTC 0 8 * * * | write it in timeZone
0 0 30 2 * | `0 0 30 2 *` never occurs
0 0 31 2,4,6,9,11 * | never occurs
";

#[test]
fn what_is_wrong_is_said_with_what_to_write() {
    for [text, want] in rows(WRONG) {
        let error = Cron::parse(text).unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
    assert!(
        Cron::parse(&"0,".repeat(200))
            .unwrap_err()
            .to_string()
            .contains("at most 256")
    );

    let zone = |name| Zone::parse(name).unwrap_err().to_string();
    assert!(zone("berlin").contains("such as Europe/Berlin"), "{}", zone("berlin"));
    assert!(zone("Germany/Berlin").contains("such as Europe/Berlin"));
    assert!(zone("+02:00").contains("IANA"));
    assert!(zone("").contains("IANA"));
    assert_eq!(Zone::parse("europe/berlin").unwrap().name(), "Europe/Berlin");
    assert_eq!(Zone::parse("UTC").unwrap().name(), "UTC");

    for duration in ["59s", "8785h"] {
        let starts = Cron::parse("@daily").unwrap();
        let error = Window::cron(starts, duration.parse().unwrap(), Zone::UTC).unwrap_err();
        assert!(error.to_string().contains("between 1m and 366d"), "{error}");
    }
    for text in ["8:00", "24:01", "08:60", "0800", "08:00:00", "+8:00", ""] {
        assert!(
            text.parse::<Clock>().unwrap_err().to_string().contains("such as 08:30"),
            "{text}"
        );
    }
    assert!(
        "someday"
            .parse::<Weekday>()
            .unwrap_err()
            .to_string()
            .contains("write Mon, Tue")
    );
    assert_eq!("Wednesday".parse(), Ok(Weekday::Wed));
    let (morning, midnight): (Clock, Clock) = ("08:00".parse().unwrap(), "24:00".parse().unwrap());
    assert!(
        Weekly::new(&[], morning, midnight)
            .unwrap_err()
            .to_string()
            .contains("at least one")
    );
    assert!(
        Weekly::new(&[Weekday::Mon], midnight, morning)
            .unwrap_err()
            .to_string()
            .contains("write 00:00")
    );
}

#[test]
fn windows_are_stored_as_they_are_written() {
    for window in [
        cron("Europe/Berlin", "0 8 24 nov *", "18h"),
        weekly("UTC", "Fri Mon", "22:00", "06:30"),
    ] {
        let text = serde_json::to_string(&window).unwrap();
        assert_eq!(serde_json::from_str::<Window>(&text).unwrap(), window, "{text}");
    }
    let text = r#"{"timeZone":"UTC","days":["Mon"],"from":"08:00","to":"18:00"}"#;
    assert_eq!(
        serde_json::to_string(&serde_json::from_str::<Window>(text).unwrap()).unwrap(),
        text
    );
    for wrong in [
        r#"{"timeZone":"UTC"}"#,
        r#"{"timeZone":"UTC","schedule":"@daily"}"#,
        r#"{"timeZone":"UTC","schedule":"@daily","duration":60000,"days":["Mon"]}"#,
    ] {
        let error = serde_json::from_str::<Window>(wrong).unwrap_err();
        assert!(error.to_string().contains("either schedule and duration"), "{error}");
    }
}

#[test]
fn a_ramp_goes_straight_from_one_number_to_the_other() {
    let start = time("2026-11-24T08:00:00Z");
    let at = |from, to, secs| ramp(from, to, start, Span::from_secs(600), start + Span::from_secs(secs));
    assert_eq!(
        [-1, 0, 60, 300, 599, 600, 9999].map(|secs| at(2, 22, secs)),
        [2, 2, 4, 12, 22, 22, 22]
    );
    assert_eq!(
        [-1, 0, 60, 300, 599, 600].map(|secs| at(22, 2, secs)),
        [22, 22, 20, 12, 3, 2]
    );
    assert_eq!(ramp(2, 22, start, Span::ZERO, start), 22);
    assert_eq!(ramp(2, 22, start, Span::ZERO, start - Span::from_millis(1)), 2);
    assert_eq!(ramp(0, u32::MAX, start, Span::from_millis(i64::MAX), start), 0);
}

const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
];

fn schedules() -> impl Strategy<Value = Window> {
    let minute = prop_oneof![
        Just("*".to_owned()),
        Just("*/7".into()),
        (0..60_u8).prop_map(|m| m.to_string())
    ];
    let hour = prop_oneof![
        Just("*".to_owned()),
        Just("1-3".into()),
        (0..24_u8).prop_map(|h| h.to_string())
    ];
    let day = prop_oneof![
        Just("*".to_owned()),
        Just("*/3".into()),
        (1..29_u8).prop_map(|d| d.to_string())
    ];
    let weekday = prop_oneof![3 => Just("*".to_owned()), 1 => (0..8_u8).prop_map(|d| d.to_string())];
    let duration = prop_oneof![1..90_i64, 90..4000_i64];
    let by_cron = (minute, hour, day, weekday, duration, 0..ZONES.len()).prop_map(|(m, h, d, w, duration, zone)| {
        cron(ZONES[zone], &format!("{m} {h} {d} * {w}"), &format!("{duration}m"))
    });
    let by_week = (1..128_usize, 0..1440_u16, 0..1440_u16, 0..ZONES.len()).prop_map(|(bits, from, to, zone)| {
        let days = Weekday::ALL.into_iter().enumerate();
        let days: Vec<_> = days
            .filter(|(bit, _)| bits & 1 << bit != 0)
            .map(|(_, day)| day.as_str())
            .collect();
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        weekly(ZONES[zone], &days.join(" "), &clock(from), &clock(to))
    });
    prop_oneof![by_cron, by_week]
}

proptest! {
    /// Between now and the next change nothing changes, and at the next change something does, unless it goes on.
    #[test]
    fn nothing_changes_before_the_next_change(window in schedules(), minutes in 0..(4 * 366 * 1440_i64), part in 0.0..1.0) {
        let now = time("2025-01-01T00:00:00Z") + Span::from_millis(minutes * 60_000 + 17);
        let open = window.active(now);
        let next = window.next_change(now).unwrap();
        prop_assert!(next > now);
        if let Some(open) = open {
            prop_assert!(open.start <= now && now < open.end);
            prop_assert_eq!(next, open.end);
        }
        let between = now + Span::from_millis((next.since(now).as_millis() as f64 * part) as i64);
        prop_assert_eq!(window.active(between).is_some(), between < next && open.is_some() || between == next);
        if open.is_none() {
            prop_assert_eq!(window.active(next).map(|open| open.start), Some(next));
        }
        prop_assert_eq!(window.active(next - Span::from_millis(1)).is_some(), open.is_some());
    }

    /// The search agrees with looking at every minute of the two days before.
    #[test]
    fn the_search_agrees_with_the_calendar(hour in 0..24_u8, minute in 0..60_u8, minutes in 0..(3 * 366 * 1440_i64)) {
        let window = cron("UTC", &format!("{minute} {hour} * * *"), "37m");
        let now = Span::from_mins(minutes);
        let of_day = (minutes - i64::from(hour) * 60 - i64::from(minute)).rem_euclid(1440);
        prop_assert_eq!(window.active(Time::default() + now).is_some(), of_day < 37);
    }

    /// Any text is read or refused.
    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-zA-Z*/,?@# -]{0,40}", any in "\\PC{0,80}") {
        let _ = (Cron::parse(&text), Cron::parse(&any), Zone::parse(&any), any.parse::<Clock>(), any.parse::<Weekday>());
    }
}
