//! The plots: load, replicas and nodes over one time axis, as SVG.

use std::fmt::Write as _;

use super::{class, text};
use crate::record::{Book, DeedKind, Point};
use crate::replay::clock;
use crate::view::span;

const WIDTH: f64 = 1120.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
/// Room for the numbers of the acts and the first panel's name.
const TOP: f64 = 56.0;
/// Between two panels: room for the name of the lower one.
const GAP: f64 = 38.0;

/// One panel.
struct Panel {
    top: f64,
    height: f64,
    most: f64,
}

/// The time axis.
struct Axis {
    from: f64,
    to: f64,
}

/// A curve of a panel.
struct Curve {
    class: &'static str,
    name: &'static str,
    of: fn(&Point) -> f64,
    /// Jumps instead of sloping.
    steps: bool,
    filled: bool,
}

impl Axis {
    fn x(&self, at: f64) -> f64 {
        LEFT + (at - self.from) / (self.to - self.from).max(1.0) * (WIDTH - LEFT - RIGHT)
    }
}

impl Panel {
    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - value / self.most)
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

/// All panels.
#[must_use]
pub fn svg(book: &Book) -> String {
    let axis = Axis {
        from: book.points.first().map_or(0.0, |p| p.at),
        to: book.points.last().map_or(1.0, |p| p.at),
    };
    let curve = |class, name, of, steps, filled| Curve {
        class,
        name,
        of,
        steps,
        filled,
    };
    let panels = [
        (
            190.0,
            vec![
                curve("load", "requests a second", |p| p.load, false, true),
                curve("waiting", "requests that wait", |p| p.waiting, false, false),
            ],
        ),
        (
            210.0,
            vec![
                curve("ready", "pods Ready", |p| f64::from(p.ready), true, true),
                curve("wanted", "replicas wanted", |p| f64::from(p.wanted), true, false),
            ],
        ),
        (
            130.0,
            vec![curve("nodes", "nodes Ready", |p| f64::from(p.nodes), true, true)],
        ),
    ];
    let (mut top, mut drawn, mut placed) = (TOP, String::new(), Vec::new());
    for (height, curves) in &panels {
        let highest = curves
            .iter()
            .flat_map(|c| book.points.iter().map(c.of))
            .fold(1.0, f64::max);
        let panel = Panel {
            top,
            height: *height,
            most: highest * 1.08,
        };
        drawn += &grid(&panel, &axis, highest);
        drawn += &names(&panel, curves);
        for curve in curves {
            drawn += &line(&panel, &axis, curve, &book.points);
        }
        top = panel.bottom() + GAP;
        placed.push(panel);
    }
    let bottom = top - GAP;
    let marks = acts(book, &axis, bottom);
    drawn += &dots(book, &axis, &placed);
    drawn += &times(book, &axis, bottom);
    let height = bottom + 48.0;
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"Load, replicas and nodes over time\">\n{marks}{drawn}</svg>\n"
    )
}

/// A step that gives about four lines, of 1, 2 or 5 times a power of ten.
fn step(highest: f64) -> f64 {
    let rough = highest / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|f| f * power >= rough)
        .unwrap_or(10.0);
    (factor * power).max(1.0)
}

fn grid(panel: &Panel, axis: &Axis, highest: f64) -> String {
    let mut part = String::new();
    let step = step(highest);
    let mut value = 0.0;
    while value <= highest {
        let y = panel.y(value);
        let _ = writeln!(
            part,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{value:.0}</text>",
            axis.x(axis.to),
            LEFT - 8.0,
            y + 4.0
        );
        value += step;
    }
    part
}

fn names(panel: &Panel, curves: &[Curve]) -> String {
    let (mut part, mut x) = (String::new(), LEFT);
    for curve in curves {
        let y = panel.top - 9.0;
        let _ = writeln!(
            part,
            "<line class=\"line {}\" x1=\"{x:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/><text class=\"name\" x=\"{:.1}\" \
             y=\"{y:.1}\">{}</text>",
            curve.class,
            x + 18.0,
            y - 4.0,
            y - 4.0,
            x + 24.0,
            curve.name
        );
        x += 24.0 + curve.name.len() as f64 * 7.5 + 24.0;
    }
    part
}

fn line(panel: &Panel, axis: &Axis, curve: &Curve, points: &[Point]) -> String {
    let mut path = String::new();
    for (number, point) in points.iter().enumerate() {
        let (x, y) = (axis.x(point.at), panel.y((curve.of)(point)));
        let _ = match (number, curve.steps) {
            (0, _) => write!(path, "M{x:.1} {y:.1}"),
            (_, true) => write!(path, "H{x:.1}V{y:.1}"),
            (_, false) => write!(path, "L{x:.1} {y:.1}"),
        };
    }
    let mut part = String::new();
    if curve.filled
        && let (Some(first), Some(last)) = (points.first(), points.last())
    {
        let (bottom, from, to) = (panel.bottom(), axis.x(first.at), axis.x(last.at));
        let _ = writeln!(
            part,
            "<path class=\"area {}\" d=\"{path}L{to:.1} {bottom:.1}L{from:.1} {bottom:.1}Z\"/>",
            curve.class
        );
    }
    let _ = writeln!(part, "<path class=\"line {}\" d=\"{path}\"/>", curve.class);
    part
}

/// Where the acts began, with their numbers; those that begin together stand side by side.
fn acts(book: &Book, axis: &Axis, bottom: f64) -> String {
    let mut part = String::new();
    let mut free = 0.0;
    for (number, act) in book.acts.iter().enumerate() {
        let Some(began) = act.began else { continue };
        let x = axis.x(began.max(axis.from));
        let _ = writeln!(
            part,
            "<line class=\"act\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"14\" y2=\"{bottom:.1}\"/>"
        );
        let badge = x.max(free);
        let _ = writeln!(
            part,
            "<a href=\"#act{n}\"><circle class=\"badge\" cx=\"{badge:.1}\" cy=\"11\" r=\"9\"><title>{}</title></circle>\
             <text class=\"number\" x=\"{badge:.1}\" y=\"15\">{n}</text></a>",
            text(act.name),
            n = number + 1
        );
        free = badge + 20.0;
    }
    part
}

/// Actions as dots: scaling on the replicas, nodes on the nodes, everything else below the replicas.
fn dots(book: &Book, axis: &Axis, panels: &[Panel]) -> String {
    let mut part = String::new();
    let [_, replicas, nodes] = panels else { return part };
    for (number, deed) in book.deeds.iter().enumerate() {
        if deed.seconds < axis.from || deed.seconds > axis.to {
            continue;
        }
        let after = book.points.partition_point(|p| p.at < deed.seconds);
        let Some(point) = book.points.get(after) else { continue };
        let y = match deed.kind {
            DeedKind::Scaling => replicas.y(f64::from(point.wanted)),
            DeedKind::Nodes => nodes.y(f64::from(point.nodes)),
            DeedKind::Healing | DeedKind::Git | DeedKind::Refusal => replicas.bottom() - 6.0,
        };
        let _ = writeln!(
            part,
            "<a href=\"#why{number}\"><circle class=\"dot {}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4.5\"><title>{} {}: {}</title></circle></a>",
            class(deed.kind),
            axis.x(deed.seconds),
            text(&deed.what),
            text(&deed.subject),
            text(&deed.message)
        );
    }
    part
}

/// Below: the demo's own time, and the recorded day's.
fn times(book: &Book, axis: &Axis, bottom: f64) -> String {
    let mut part = String::new();
    let mut label = |x: f64, y: f64, words: &str| {
        let _ = writeln!(
            part,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{words}</text>"
        );
    };
    label(LEFT - 34.0, bottom + 18.0, "demo");
    label(LEFT - 34.0, bottom + 36.0, "13 July");
    let mut at = (axis.from / 30.0).ceil() * 30.0;
    while at <= axis.to {
        label(axis.x(at), bottom + 18.0, &span(at));
        at += 30.0;
    }
    let mut hour = None;
    for point in &book.points {
        let Some(minute) = point.minute else { continue };
        let now = (minute / 180.0).floor();
        if hour != Some(now as i64) && minute % 180.0 < 20.0 && now < 8.0 {
            label(axis.x(point.at), bottom + 36.0, &clock(now * 180.0));
            hour = Some(now as i64);
        }
    }
    part
}
