//! The report: one HTML file that needs nothing else, with plots, the acts, and every action with its explanation.

mod plot;

use std::fmt::Write as _;

use crate::eyes::short;
use crate::record::{Act, Book, Deed, DeedKind, Standing};
use crate::replay::clock;
use crate::view::span;

/// The report as HTML.
#[must_use]
pub fn render(book: &Book) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Homeostat: what the demo saw</title>\n";
    let _ = writeln!(
        page,
        "<style>\n{}</style>\n</head>\n<body>\n<main>",
        include_str!("report/style.css")
    );
    page += &head(book);
    let _ = writeln!(page, "<figure>\n{}</figure>", plot::svg(book));
    page += "<p class=\"soft\">Dashed lines: the acts below. Dots: actions; each leads to its explanation.</p>\n";
    page += &acts(book);
    page += &timeline(book);
    page += &explanations(book);
    page += "</main>\n</body>\n</html>\n";
    page
}

/// Text as HTML has it.
fn text(raw: &str) -> String {
    raw.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The class of a kind of action, for its colour.
fn class(kind: DeedKind) -> &'static str {
    match kind {
        DeedKind::Scaling => "scaling",
        DeedKind::Nodes => "pool",
        DeedKind::Healing => "healing",
        DeedKind::Git => "git",
        DeedKind::Refusal => "refusal",
    }
}

/// The time of the recorded day at so many seconds.
fn day_time(book: &Book, seconds: f64) -> Option<String> {
    let after = book.points.partition_point(|p| p.at < seconds);
    let point = book.points.get(after).or(book.points.last())?;
    point.minute.map(clock)
}

fn head(book: &Book) -> String {
    let happened = book
        .acts
        .iter()
        .filter(|a| matches!(a.standing, Standing::Happened { .. }))
        .count();
    let (class, verdict) = if happened == book.acts.len() {
        ("ok", "The story happened".to_owned())
    } else {
        ("bad", format!("{happened} of {} acts happened", book.acts.len()))
    };
    let most = |of: fn(&crate::record::Point) -> f64| book.points.iter().map(of).fold(0.0, f64::max);
    let done = book.deeds.iter().filter(|d| d.kind != DeedKind::Refusal).count();
    let (arrived, given_up) = book.served;
    let tiles = [
        (format!("{:.0}/s", most(|p| p.load)), "highest load"),
        (format!("{:.0}", most(|p| f64::from(p.ready))), "most pods Ready"),
        (format!("{:.0}", most(|p| f64::from(p.nodes))), "most nodes"),
        (format!("{arrived:.0}"), "requests came in"),
        (format!("{given_up:.0}"), "of them given up after 10 s"),
        (done.to_string(), "actions"),
    ];
    let mut part = format!(
        "<h1>Homeostat: what the demo saw</h1>\n<p class=\"soft\"><span class=\"verdict {class}\">{verdict}.</span> \
         A real control plane, nodes and pods simulated by kwok, a real Prometheus. The load is that of NASA's web server on \
         13 July 1995, the day on which Discovery was launched, {:.0} times as fast.</p>\n<div class=\"tiles\">\n",
        crate::replay::SPEED
    );
    for (number, meaning) in tiles {
        let _ = writeln!(part, "<div class=\"tile\"><b>{number}</b><span>{meaning}</span></div>");
    }
    part + "</div>\n"
}

fn acts(book: &Book) -> String {
    let mut part = String::from(
        "<h2>The story</h2>\n<table>\n<tr><th></th><th>act</th><th>expected</th><th>observed</th><th class=\"n\">seconds</th>\
         <th>verdict</th></tr>\n",
    );
    for (number, act) in book.acts.iter().enumerate() {
        let (observed, seconds, class, verdict) = told(act);
        let _ = writeln!(
            part,
            "<tr id=\"act{n}\"><td class=\"n\">{n}</td><td class=\"w\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{seconds}</td>\
             <td class=\"{class} verdict\">{verdict}</td></tr>",
            text(act.name),
            text(&act.expected),
            text(observed),
            n = number + 1
        );
    }
    part + "</table>\n"
}

fn told(act: &Act) -> (&str, String, &'static str, &'static str) {
    match &act.standing {
        Standing::Happened {
            observed,
            seconds,
            late,
        } => {
            let (class, verdict) = if *late { ("late", "late") } else { ("ok", "ok") };
            (observed, format!("{seconds:.1}"), class, verdict)
        }
        Standing::Failed { observed, seconds } => (observed, format!("{seconds:.1}"), "bad", "failed"),
        Standing::Ahead | Standing::Running(_) => ("", String::new(), "soft", "not reached"),
    }
}

fn timeline(book: &Book) -> String {
    let mut part = String::from(
        "<h2>What Homeostat did, and when</h2>\n<table>\n<tr><th>at</th><th>of the day</th><th>action</th><th>object</th>\
         <th>reason</th><th></th></tr>\n",
    );
    for (number, deed) in book.deeds.iter().enumerate() {
        let _ = writeln!(
            part,
            "<tr><td class=\"t\">{}</td><td class=\"t\">{}</td><td class=\"w\"><span class=\"tag {}\">{}</span></td>\
             <td class=\"w\">{}</td><td>{}</td><td><a href=\"#why{number}\">why</a></td></tr>",
            span(deed.seconds),
            day_time(book, deed.seconds).unwrap_or_default(),
            class(deed.kind),
            text(&deed.what),
            text(&deed.subject),
            text(&deed.reason),
        );
    }
    part + "</table>\n"
}

fn explanations(book: &Book) -> String {
    let mut part = String::from("<h2>Why</h2>\n");
    for (number, deed) in book.deeds.iter().enumerate() {
        part += &explanation(number, deed);
    }
    part
}

fn explanation(number: usize, deed: &Deed) -> String {
    let mut part = format!(
        "<article id=\"why{number}\">\n<h3><span class=\"tag {}\">{} · {}</span></h3>\n<p>{}</p>\n<dl>\n",
        class(deed.kind),
        text(&deed.what),
        text(&deed.subject),
        text(&deed.message)
    );
    let fixed = [
        ("reason", deed.reason.clone()),
        ("policy", deed.policy.clone()),
        ("commit", short(&deed.revision)),
        ("outcome", deed.outcome.clone()),
        ("at", deed.at.to_string()),
        ("id in the journal", deed.id.clone().unwrap_or_default()),
    ];
    let numbers = deed.numbers.iter().map(|(name, value)| (name.as_str(), value.clone()));
    for (name, value) in fixed.into_iter().chain(numbers) {
        if !value.is_empty() {
            let _ = writeln!(part, "<dt>{}</dt><dd>{}</dd>", text(name), text(&value));
        }
    }
    part + "</dl>\n</article>\n"
}
