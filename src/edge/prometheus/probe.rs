//! What is asked of the series that answers are made from: how many there are, how fresh they are, and whether their targets can be
//! scraped. Selectors that differ in the value of one label only are asked about in one go: a server's work grows with the
//! number of expressions, and hardly with the number of series.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::answer::Pair;
use super::fuse::{LABEL, marked};
use super::question::{Matcher, Selector};
use crate::core::time::Time;

/// What is asked of some selectors.
pub(super) struct Probes<'a> {
    selectors: Vec<&'a Selector>,
    /// Text of a selector → its number.
    numbers: BTreeMap<&'a str, usize>,
    families: Vec<Family<'a>>,
    /// Selectors that have no family.
    single: Vec<usize>,
}

/// Selectors that differ in the value of one label only.
struct Family<'a> {
    label: &'a str,
    /// Value of the label → the selectors.
    members: BTreeMap<&'a str, Vec<usize>>,
}

/// A selector that may belong to a family: its number, the label that may differ, and its value there.
type Member<'a> = (usize, &'a str, &'a str);

impl<'a> Probes<'a> {
    /// Each selector counts once, however often it comes.
    pub(super) fn of(selectors: impl Iterator<Item = &'a Selector>) -> Self {
        let mut probes = Self {
            selectors: Vec::new(),
            numbers: BTreeMap::new(),
            families: Vec::new(),
            single: Vec::new(),
        };
        for selector in selectors {
            let next = probes.selectors.len();
            if *probes.numbers.entry(&*selector.text).or_insert(next) == next {
                probes.selectors.push(selector);
            }
        }
        probes.find_families();
        probes
    }

    /// Each selector joins the family with the most members.
    fn find_families(&mut self) {
        let mut candidates: BTreeMap<String, Vec<Member>> = BTreeMap::new();
        let mut keys: Vec<Vec<String>> = Vec::with_capacity(self.selectors.len());
        for (number, selector) in self.selectors.iter().enumerate() {
            let mut own = Vec::new();
            for matcher in &selector.matchers {
                if let Some(value) = matcher.value.as_deref() {
                    let key = format!("{}~{}", matcher.label, without(selector, &matcher.label));
                    let members = candidates.entry(key.clone()).or_default();
                    members.push((number, &matcher.label, value));
                    own.push(key);
                }
            }
            keys.push(own);
        }
        let size = |key: &String| candidates.get(key).map_or(0, Vec::len);
        let mut chosen: BTreeMap<&String, Family> = BTreeMap::new();
        for (number, own) in keys.iter().enumerate() {
            let Some(best) = own.iter().filter(|key| size(key) > 1).max_by_key(|key| size(key)) else {
                self.single.push(number);
                continue;
            };
            let member = candidates[best].iter().find(|(of, ..)| *of == number);
            if let Some((_, label, value)) = member {
                let family = chosen.entry(best).or_insert_with(|| Family {
                    label,
                    members: BTreeMap::new(),
                });
                family.members.entry(value).or_default().push(number);
            }
        }
        self.families = chosen.into_values().collect();
    }

    /// Every expression to be asked.
    pub(super) fn branches(&self) -> impl Iterator<Item = String> {
        let single = self.single.iter().flat_map(|number| {
            let probes = probes(&self.selectors[*number].text, None);
            probes.map(|(kind, probe)| marked(&probe, kind, *number))
        });
        let families = self.families.iter().enumerate().flat_map(|(number, family)| {
            let probes = probes(&family.selector(&self.selectors), Some(family.label));
            probes.map(move |(kind, probe)| {
                let label = family.label;
                format!(r#"label_replace({probe},"{LABEL}","{kind}{number}:$1","{label}","((?s:.*))")"#)
            })
        });
        single.chain(families)
    }

    /// Nothing is known yet of any selector.
    pub(super) fn unknown(&self) -> Vec<Probed> {
        vec![Probed::default(); self.selectors.len()]
    }

    /// Notes an answer: `mark` is what came after the kind.
    pub(super) fn note(&self, probed: &mut [Probed], kind: &str, mark: &str, pair: &Pair) {
        let mut note = |number: usize| {
            if let Some(probed) = probed.get_mut(number) {
                probed.note(kind, pair);
            }
        };
        let Some((family, value)) = mark.split_once(':') else {
            return mark.parse().into_iter().for_each(note);
        };
        let family = family.parse().ok().and_then(|number: usize| self.families.get(number));
        let members = family.and_then(|family| family.members.get(value));
        members.into_iter().flatten().for_each(|number| note(*number));
    }

    /// What is known of a selector.
    pub(super) fn known<'p>(&self, probed: &'p [Probed], selector: &Selector) -> Option<&'p Probed> {
        probed.get(*self.numbers.get(&*selector.text)?)
    }
}

impl Family<'_> {
    /// One selector for all of them.
    fn selector(&self, selectors: &[&Selector]) -> String {
        let first = self.members.values().flatten().next();
        let Some(selector) = first.and_then(|number| selectors.get(*number)) else {
            return String::new();
        };
        let values: Vec<String> = self.members.keys().map(|value| literal(value)).collect();
        let mut text = without(selector, self.label);
        if text.ends_with('}') {
            text.pop();
            text.push(',');
        } else {
            text.push('{');
        }
        let _ = write!(text, r#"{}=~"{}"}}"#, self.label, values.join("|"));
        text
    }
}

/// A selector without its matchers of a label.
fn without(selector: &Selector, label: &str) -> String {
    let is_other = |matcher: &&Matcher| *matcher.label != *label;
    let rest: Vec<&str> = selector.matchers.iter().filter(is_other).map(|m| &*m.text).collect();
    if rest.is_empty() {
        selector.name.to_string()
    } else {
        format!("{}{{{}}}", selector.name, rest.join(","))
    }
}

/// A value as a regular expression that matches nothing else, as it stands between quotes.
fn literal(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str(r"\\\\"),
            '\n' => text.push_str("\\n"),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                text.push_str(r"\\");
                text.push(c);
            }
            c => text.push(c),
        }
    }
    text
}

/// What is asked of a selector's series, by the values of a label where there is one: how many there are and from how many
/// targets, when the newest and the oldest sample were taken, and how many of their targets can't be scraped.
fn probes(selector: &str, label: Option<&str>) -> impl Iterator<Item = (&'static str, String)> + use<> {
    let by = label.map_or_else(String::new, |label| format!(" by({label})"));
    let target = match label {
        Some(label) if label != "job" && label != "instance" => format!("job,instance,{label}"),
        _ => "job,instance".into(),
    };
    [
        ("s", format!("count{by}({selector})")),
        ("t", format!("count{by}(group by({target})({selector}))")),
        ("n", format!("max{by}(timestamp({selector}))")),
        ("o", format!("min{by}(timestamp({selector}))")),
        (
            "d",
            format!("count{by}(group by({target})(last_over_time({selector}[10m]))and on(job,instance)(up==0))"),
        ),
    ]
    .into_iter()
}

/// What is known of the series of a selector.
#[derive(Clone, Debug, Default)]
pub(super) struct Probed {
    pub series: u32,
    pub targets: u32,
    pub newest: Option<Time>,
    pub oldest: Option<Time>,
    pub down: u32,
}

impl Probed {
    fn note(&mut self, kind: &str, pair: &Pair) {
        let number = pair.number().unwrap_or_default();
        let count = number.clamp(0.0, f64::from(u32::MAX)) as u32;
        let time = Some(Time::from_millis((number * 1000.0).round() as i64));
        match kind {
            "s" => self.series = count,
            "t" => self.targets = count,
            "n" => self.newest = time,
            "o" => self.oldest = time,
            "d" => self.down = count,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::prometheus::question::Question;

    fn branches(queries: &[&str]) -> Vec<String> {
        let questions: Vec<Question> = queries.iter().map(|query| Question::new(query)).collect();
        let selectors = questions.iter().flat_map(|q| &q.parts.as_ref().unwrap().selectors);
        let probes = Probes::of(selectors);
        let count = |branch: &String| branch.contains("(count(") || branch.contains("(count by");
        probes.branches().filter(|b| count(b) && !b.contains("group")).collect()
    }

    #[test]
    fn selectors_that_differ_in_one_value_are_asked_about_at_once() {
        let all = branches(&[
            r#"sum(load{app="a",ns="x"})"#,
            r#"sum(load{app="b.c",ns="x"})"#,
            r#"sum(load{app="a",ns="x"}) > 1"#,
            r#"sum(load{app="a",ns="y"})"#,
            r#"sum(load{app="q\"\\",ns="x"})"#,
            r#"other{app="a",ns="x"}"#,
            "plain",
        ]);
        assert_eq!(
            all,
            [
                r#"label_replace(count(other{app="a",ns="x"}),"homeostat_query","s4","","")"#,
                r#"label_replace(count(plain),"homeostat_query","s5","","")"#,
                r#"label_replace(count by(app)(load{ns="x",app=~"a|b\\.c|q\"\\\\"}),"homeostat_query","s0:$1","app","((?s:.*))")"#,
                r#"label_replace(count by(ns)(load{app="a",ns=~"y"}),"homeostat_query","s1:$1","ns","((?s:.*))")"#,
            ]
        );
    }
}
