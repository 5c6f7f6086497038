//! Formulas: what they give, what they say of missing data, and why they are refused.

use homeostat::core::quantity::Replicas;
use homeostat::core::scaling::formula::{Formula, FormulaInputs, FormulaValue};
use proptest::prelude::*;

fn names() -> Vec<String> {
    ["rps", "cpu-load", "5xx", "max"].map(String::from).to_vec()
}

fn parse(text: &str) -> Formula {
    Formula::parse(text, &names()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// rps proposes 12 of a measured 1180, cpu-load 6 of 61, 5xx nothing, max 2 of 3; 5 replicas, 4 Ready, bounds 1 to 40.
fn value(text: &str) -> Result<FormulaValue, String> {
    let inputs = FormulaInputs {
        proposals: &[Some(12.0), Some(6.0), None, Some(2.0)],
        values: &[Some(1180.0), Some(61.0), Some(f64::NAN), Some(3.0)],
        current: 5,
        ready: 4,
        min: 1,
        max: 40,
    };
    parse(text).evaluate(&inputs).map_err(|error| error.to_string())
}

#[test]
fn formulas_give_replicas_rounded_up() {
    let cases = [
        ("max(rps, cpu_load)", 12),
        ("min(rps, cpu_load, 4)", 4),
        ("rps + 1", 13),
        ("rps / 5", 3),
        ("1 + rps / 5 * 2", 6),
        ("10 * 1.1", 11),
        ("floor(rps / 5)", 2),
        ("round(2.4) + abs(-1) + ceil(0.1)", 4),
        ("clamp(rps, min, 8)", 8),
        ("current + ready", 9),
        ("values.rps / 100", 12),
        ("rps > 10 && !(cpu_load >= 7) ? rps : cpu_load", 12),
        ("triggers.max + max", 42),
        ("_5xx.orValue(3)", 3),
        ("triggers._5xx.orValue(3)", 3),
        ("triggers.?_5xx.orValue(3.0)", 3),
        ("_5xx.or(rps).orValue(3)", 12),
        ("values._5xx.hasValue() ? 9 : 8", 8),
        ("has(triggers.rps) ? 9 : 8", 9),
        ("optional.none().orValue(7)", 7),
        ("optional.of(rps + 1).orValue(7)", 13),
        // What is not needed may be missing.
        ("rps.orValue(_5xx)", 12),
        ("true || _5xx > 1.0 ? 1 : 2", 1),
        ("rps > 1 ? rps : _5xx", 12),
        ("rps - 12", 0),
    ];
    for (text, want) in cases {
        assert_eq!(value(text), Ok(FormulaValue::Replicas(Replicas::new(want))), "{text}");
    }
}

#[test]
fn what_needs_missing_data_has_no_value() {
    for text in [
        "max(rps, _5xx)",
        "values._5xx / 10",
        "_5xx > 3 ? 9 : 1",
        "rps.orValue(1) + triggers._5xx",
    ] {
        let names = vec!["5xx".to_owned()];
        assert_eq!(value(text), Ok(FormulaValue::Missing { names }), "{text}");
    }
}

#[test]
fn results_that_are_no_replicas_are_errors() {
    for (text, want) in [
        ("rps - 100", "-88"),
        ("rps / (cpu_load - 6)", "inf"),
        ("max(1, 0 * (rps / (cpu_load - 6)))", "NaN"),
    ] {
        let error = value(text).unwrap_err();
        assert!(
            error.contains(&format!("gives {want}, which is no number of replicas")),
            "{text}: {error}"
        );
    }
}

#[test]
fn what_is_wrong_is_told_at_acceptance() {
    let long = "1".repeat(1025);
    let deep = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    let wide = vec!["rps"; 200].join("*");
    let cases = [
        ("", "cannot be read at line 1"),
        ("max(rps,", "cannot be read at line 1"),
        (
            "rp + 1",
            "`rp` is not known in the formula: known are rps, cpu_load (trigger cpu-load), _5xx (trigger 5xx), triggers.max, current",
        ),
        ("triggers.foo", "`triggers.foo` is not known"),
        ("values.?foo.orValue(1)", "`values.foo` is not known"),
        (
            "rps > 3",
            "the result is a condition in the formula where a number is needed",
        ),
        ("rps > 3 ? 1 : true", "what stands after `:` is a condition"),
        (
            "rps ? 1 : 2",
            "what stands before `?` is a number in the formula where a condition",
        ),
        ("'a'", "cannot use text"),
        ("rps > 3 ? 1 : 'a'", "cannot use text"),
        ("max()", "`max` with 0 arguments"),
        ("sqrt(rps)", "`sqrt` with 1 arguments: there are max, min"),
        ("[rps, 1].map(x, x)", "cannot use .map()"),
        ("[1]", "cannot use lists"),
        (
            "triggers.?rps",
            "is an optional in the formula where a number (end it by .orValue",
        ),
        ("1 / 0", "gives inf"),
        ("-1", "gives -1"),
        (&long, "1025 characters"),
        (&deep, "too complex"),
        (&wide, "too complex"),
    ];
    for (text, want) in cases {
        let error = Formula::parse(text, &names()).unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
    let same = Formula::parse("1", &["a-b".into(), "a_b".into()])
        .unwrap_err()
        .to_string();
    assert!(same.contains("`a-b` and `a_b` have the same name"), "{same}");
}

#[test]
fn formulas_are_stored_by_their_text() {
    let formula = parse("max(rps, cpu_load)");
    let text = serde_json::to_string(&formula).unwrap();
    assert_eq!(serde_json::from_str::<Formula>(&text).unwrap(), formula.clone());
    assert_ne!(formula, parse("min(rps, cpu_load)"));
    assert!(serde_json::from_str::<Formula>(&text.replace("rps, ", "foo, ")).is_err());
}

fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "rps",
        "(",
        ")",
        "1",
        "-",
        "!",
        "?",
        ":",
        "+",
        "max(",
        ",",
        "triggers.",
        "[",
        "]",
        "{",
        "}",
        "&&",
        "||",
        "<",
        ".orValue(",
        "'",
        "in",
    ]);
    prop::collection::vec(word, 0..400).prop_map(|words| words.concat().chars().take(2048).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any text is read or refused, soon.
    #[test]
    fn any_text_is_read_or_refused(any in "\\PC{0,2048}", short in "\\PC{0,60}", words in words()) {
        for text in [any, short, words.chars().take(90).collect(), words] {
            let begun = std::time::Instant::now();
            let _ = Formula::parse(&text, &names());
            prop_assert!(begun.elapsed().as_secs() < 5, "{text}");
        }
    }
}
