//! The terminal: a live picture where there is one, otherwise a line for all that happens.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _, stdout};
use std::time::Duration;

use crate::eyes::short;
use crate::record::{Act, Book, Deed, DeedKind, Point, Record, Standing};
use crate::replay::{SPEED, clock};

/// How often the picture is drawn.
const EVERY: Duration = Duration::from_millis(500);
/// How often the lines have one with the numbers.
const NUMBERS_EVERY: f64 = 10.0;
/// Width of the curves.
const CURVE: usize = 56;
/// Actions that the picture shows.
const DEEDS: usize = 4;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How things are shown.
#[derive(Clone, Copy)]
pub struct View {
    live: bool,
    colours: bool,
}

impl View {
    /// As standard output allows.
    #[must_use]
    pub fn of_stdout() -> Self {
        let terminal = stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            live: terminal && !dumb,
            colours: terminal && !dumb && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// A line of its own, before and after the story.
    pub fn say(self, text: &str) {
        let mark = self.paint("32", "✓");
        put(&format!("{mark} {text}\n"));
    }

    /// Shows the story as it goes, for as long as it is polled.
    pub async fn show(self, record: Record) {
        let mut tick = tokio::time::interval(EVERY);
        let mut drawn = 0;
        let mut next = 0.0;
        loop {
            tick.tick().await;
            let now = record.seconds();
            if self.live {
                let frame = record.with(|book| self.frame(book, now));
                drawn = redraw(&frame, drawn);
            } else {
                let numbers = now >= next;
                if numbers {
                    next = now + NUMBERS_EVERY;
                }
                put(&record.with(|book| lines(book, now, numbers)));
            }
        }
    }

    /// The last picture or the last lines.
    pub fn finish(self, record: &Record) {
        let now = record.seconds();
        if self.live {
            put("\n");
        } else {
            put(&record.with(|book| lines(book, now, false)));
        }
    }

    fn paint(self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn frame(self, book: &Book, now: f64) -> Vec<String> {
        let last = book.points.last().copied().unwrap_or_default();
        let day = match last.minute {
            Some(minute) => format!("13 July 1995, {} (× {SPEED:.0})", clock(minute)),
            None => "the day has not begun".into(),
        };
        let mut lines = vec![
            format!(
                "{}  {day}   git {}   {}",
                self.paint("1", "Homeostat"),
                book.source,
                span(now)
            ),
            String::new(),
            self.curve(
                book,
                "load",
                "36",
                |p| p.load,
                &format!("{:.0} requests/s, {:.0} wait", last.load, last.waiting),
            ),
            self.curve(
                book,
                "wanted",
                "35",
                |p| f64::from(p.wanted),
                &format!("{} replicas", last.wanted),
            ),
            self.curve(
                book,
                "ready",
                "32",
                |p| f64::from(p.ready),
                &format!("{} pods, {:.0} requests/s each", last.ready, last.per_pod),
            ),
            self.curve(
                book,
                "nodes",
                "33",
                |p| f64::from(p.nodes),
                &format!("{} nodes", last.nodes),
            ),
            String::new(),
        ];
        lines.extend(book.acts.iter().map(|act| self.act(act, now)));
        lines.push(String::new());
        let shown = book.deeds.iter().filter(|d| d.kind != DeedKind::Refusal);
        let mut latest: Vec<&Deed> = shown.rev().take(DEEDS).collect();
        latest.reverse();
        lines.extend(latest.iter().map(|deed| self.deed(deed)));
        lines
    }

    fn curve(self, book: &Book, name: &str, colour: &str, of: impl Fn(&Point) -> f64, text: &str) -> String {
        let most = book.points.iter().map(&of).fold(1.0, f64::max);
        // The day so far, squeezed into the width: the highest of each part.
        let per_bar = book.points.len().div_ceil(CURVE).max(1);
        let bars: String = book
            .points
            .chunks(per_bar)
            .map(|part| part.iter().map(&of).fold(0.0, f64::max))
            .map(|value| BARS[((value / most * 7.0).round() as usize).min(7)])
            .collect();
        format!("{name:>7}  {}  {text}", self.paint(colour, &format!("{bars:<CURVE$}")))
    }

    fn act(self, act: &Act, now: f64) -> String {
        match &act.standing {
            Standing::Ahead => self.paint("2", &format!("  · {}", act.name)),
            Standing::Running(since) => {
                let text = format!("  ▸ {} … {:.0} s: {}", act.name, now - since, act.expected);
                self.paint("1", &text)
            }
            Standing::Happened { observed, late, .. } => {
                let mark = if *late {
                    self.paint("33", "✓")
                } else {
                    self.paint("32", "✓")
                };
                format!("  {mark} {}: {observed}", act.name)
            }
            Standing::Failed { observed, .. } => format!("  {} {}: {observed}", self.paint("31", "✗"), act.name),
        }
    }

    fn deed(self, deed: &Deed) -> String {
        let colour = match deed.kind {
            DeedKind::Scaling => "35",
            DeedKind::Nodes => "33",
            DeedKind::Healing => "32",
            DeedKind::Git => "36",
            DeedKind::Refusal => "2",
        };
        let what = self.paint(colour, &deed.what);
        format!(
            "  {}  {what} {}: {}",
            span(deed.seconds),
            deed.subject,
            short(&deed.message)
        )
    }
}

/// What is new, and the numbers if it is time for them.
fn lines(book: &mut Book, now: f64, numbers: bool) -> String {
    let mut text = String::new();
    for line in book.news.drain(..) {
        let _ = writeln!(text, "{} {line}", span(now));
    }
    if let Some(p) = book.points.last().filter(|_| numbers) {
        let day = p
            .minute
            .map(|minute| format!("{} o'clock, ", clock(minute)))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "{} {day}load {:.0}/s, {:.0} wait, wanted {}, ready {}, nodes {}, git {}",
            span(now),
            p.load,
            p.waiting,
            p.wanted,
            p.ready,
            p.nodes,
            book.source
        );
    }
    text
}

/// Draws over what was drawn before. Lines that are too long for the terminal are cut by it.
fn redraw(frame: &[String], drawn: usize) -> usize {
    let mut text = String::from("\x1b[?7l");
    if drawn > 0 {
        let _ = write!(text, "\x1b[{drawn}A");
    }
    for line in frame {
        text += line;
        text += "\x1b[K\n";
    }
    // A frame that has become shorter leaves nothing below.
    text += "\x1b[J\x1b[?7h";
    put(&text);
    frame.len()
}

fn put(text: &str) {
    let mut out = stdout().lock();
    // Whoever closed standard output wants no view.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Minutes and seconds.
#[must_use]
pub fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// The table at the end.
#[must_use]
pub fn summary(book: &Book) -> String {
    let rows = book.acts.iter().map(|act| {
        let (observed, seconds, verdict) = match &act.standing {
            Standing::Happened {
                observed,
                seconds,
                late,
            } => (
                observed.as_str(),
                format!("{seconds:.1}"),
                if *late { "late" } else { "ok" },
            ),
            Standing::Failed { observed, seconds } => (observed.as_str(), format!("{seconds:.1}"), "FAILED"),
            Standing::Ahead | Standing::Running(_) => ("", String::new(), "not reached"),
        };
        [
            act.name.to_owned(),
            act.expected.clone(),
            cut(observed, 60),
            seconds,
            verdict.to_owned(),
        ]
    });
    let head = ["act", "expected", "observed", "seconds", "verdict"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                if column == 3 {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
        if number == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            text += &rule.join("  ");
            text.push('\n');
        }
    }
    text
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}
