//! The real HPA controller of Kubernetes and Homeostat's `compat: HPAv2` are asked the same random questions; every answer must be
//! the same: size, conditions, what each metric asks for or why it does not, and what is remembered.
//!
//! `HOMEOSTAT_HPA_CASES` and `HOMEOSTAT_HPA_SEED` say how many and which. A difference is reported with the smallest question
//! that still shows it; `HOMEOSTAT_HPA_CASE=FILE` asks that one again.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod compare;
mod generate;
mod oracle;
mod quantities;
mod shrink;

use std::collections::BTreeMap;

use homeostat::core::scaling::hpa::{Answer, Course, Input, decide};

use oracle::{Oracle, Question};

const DEFAULT_CASES: u64 = 20_000;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn every_answer_is_the_controllers() {
    let cases = setting("HOMEOSTAT_HPA_CASES").unwrap_or(DEFAULT_CASES);
    let seed = setting("HOMEOSTAT_HPA_SEED").unwrap_or(1);
    let questions = (0..cases).map(move |number| Question::Decide(Box::new(generate::case(seed, number))));
    let mut seen = BTreeMap::new();
    let mut number = 0;
    Oracle::ask_all(questions, |question, theirs| {
        let Question::Decide(input) = question else {
            unreachable!("only decisions are asked for")
        };
        let ours = decide(&input);
        if let Err(difference) = compare::same(&input, &ours, &theirs) {
            report(seed, number, &input, &difference);
        }
        count(&mut seen, &ours);
        number += 1;
    });
    println!("{number} cases of seed {seed}, every answer equal; of these");
    for (what, count) in &seen {
        println!("{count:>8} {what}");
    }
    if cases >= DEFAULT_CASES {
        for what in EVERY_WAY {
            assert!(seen.contains_key(*what), "no case has met: {what}");
        }
    }
}

/// What so many cases must have met, or else they prove too little.
const EVERY_WAY: &[&str] = &[
    "course: Disabled",
    "course: AboveMax",
    "course: BelowMin",
    "course: InvalidSelector",
    "course: Failed",
    "course: Metrics",
    "course: Metrics, some invalid",
    "limit: DesiredWithinRange",
    "limit: ScaleUpLimit",
    "limit: ScaleDownLimit",
    "limit: TooManyReplicas",
    "limit: TooFewReplicas",
    "stabilized: ScaleUpStabilized",
    "stabilized: ScaleDownStabilized",
    "metric error: Unavailable",
    "metric error: Empty",
    "metric error: NoPods",
    "metric error: NoneCounts",
    "metric error: NoRequest",
    "metric error: NoPodRequest",
    "metric error: NoContainer",
    "metric error: NothingRequested",
    "metric error: Target",
    "proposal out of range",
];

fn count(seen: &mut BTreeMap<String, u64>, answer: &Answer) {
    let mut add = |what: String| *seen.entry(what).or_default() += 1;
    let name = |debug: String| debug.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
    add(format!("course: {}", name(format!("{:?}", answer.course))));
    if let Course::Metrics { normalized, .. } = &answer.course {
        add(format!("limit: {:?}", normalized.limit));
        if let Some(which) = normalized.stabilization {
            add(format!("stabilized: {which:?}"));
        }
        if answer.proposals.iter().any(Result::is_err) {
            add("course: Metrics, some invalid".into());
        }
    }
    for proposal in &answer.proposals {
        match proposal {
            Err(error) => add(format!("metric error: {}", name(format!("{error:?}")))),
            Ok(proposal) if proposal.replicas == i32::MIN => add("proposal out of range".into()),
            Ok(_) => {}
        }
    }
    if answer.rescale {
        add("rescaled".into());
    }
}

/// Fails with the smallest question that still shows a difference.
fn report(seed: u64, number: u64, input: &Input, difference: &str) -> ! {
    let mut oracle = Oracle::start();
    let mut differs = |input: &Input| {
        let theirs = oracle.ask(&Question::Decide(Box::new(input.clone())));
        compare::same(input, &decide(input), &theirs).err()
    };
    let (smallest, smallest_difference) =
        shrink::shrink(input, &mut differs).unwrap_or((input.clone(), difference.into()));
    panic!(
        "case {number} of seed {seed}: {difference}\nThe smallest that differs: {smallest_difference}\n{}\nOurs: {:?}",
        serde_json::to_string(&smallest).expect("an input is JSON"),
        decide(&smallest)
    );
}

/// One case again, from a file.
#[test]
fn the_case_of_a_file() {
    let Ok(path) = std::env::var("HOMEOSTAT_HPA_CASE") else {
        return;
    };
    let text = std::fs::read_to_string(&path).expect("the file can be read");
    let input: Input = serde_json::from_str(&text).expect("the file is a case");
    let theirs = Oracle::start().ask(&Question::Decide(Box::new(input.clone())));
    println!("theirs: {theirs}\nours: {:?}", decide(&input));
    compare::same(&input, &decide(&input), &theirs).unwrap_or_else(|difference| panic!("{difference}"));
}

#[test]
fn the_feature_gates_are_those_that_the_module_assumes() {
    let gates = Oracle::start().ask(&Question::Gates(true));
    assert_eq!(
        gates,
        serde_json::json!({"HPAScaleToZero": false, "HPAConfigurableTolerance": true, "PodLevelResources": true})
    );
}
