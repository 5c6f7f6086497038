//! Texts of quantities, read by Kubernetes' own code and by ours.

use homeostat::core::scaling::hpa::quantity::Quantity;
use homeostat::sim::random::Random;

use crate::oracle::{Oracle, Question};

const SUFFIXES: &[&str] = &[
    "", "", "", "n", "u", "m", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "e-3",
    "E2", "e+6", "e-9", "e12", "e", "Zi", "x",
];

fn text(random: &mut Random) -> String {
    let sign = random
        .pick(&["", "", "", "", "", "-", "+"])
        .copied()
        .unwrap_or_default();
    let mut digits = |most: i64| {
        let count = random.between(0, most);
        (0..count)
            .map(|_| char::from(b'0' + random.below(10) as u8))
            .collect::<String>()
    };
    let (whole, fraction) = (digits(5), digits(4));
    let (long, long_fraction) = (digits(22), digits(12));
    let (whole, fraction) = if random.chance(80) {
        (whole, fraction)
    } else {
        (long, long_fraction)
    };
    let point = if random.chance(40) {
        format!(".{fraction}")
    } else {
        String::new()
    };
    let suffix = random.pick(SUFFIXES).copied().unwrap_or_default();
    format!("{sign}{whole}{point}{suffix}")
}

#[test]
fn quantities_are_read_as_the_controller_reads_them() {
    let mut random = Random::new(1);
    let texts = (0..20_000).map(move |_| Question::Quantity(text(&mut random)));
    let number = |text: &serde_json::Value| text.as_str().and_then(|text| text.parse::<f64>().ok());
    let mut valid = 0;
    Oracle::ask_all(texts, |question, theirs| {
        let Question::Quantity(text) = question else {
            unreachable!("only quantities are asked for")
        };
        let ours = text.parse::<Quantity>();
        let beyond = number(&theirs["float"]).is_some_and(|float| float.abs() > 1e29);
        assert!(
            beyond || ours.is_ok() == (theirs["valid"] == true),
            "{text:?}: {theirs}"
        );
        if let Ok(quantity) = ours {
            valid += 1;
            assert_eq!(Some(quantity.milli()), theirs["milli"].as_i64(), "{text:?}");
            assert_eq!(Some(quantity.approximate()), number(&theirs["float"]), "{text:?}");
            // What is far from any tolerance is written in ways of its own.
            if quantity.approximate().abs() < 1e9 {
                assert_eq!(
                    Some(quantity.stored().approximate()),
                    number(&theirs["stored"]),
                    "{text:?}"
                );
            }
        }
    });
    println!("{valid} quantities are read alike");
    assert!(valid > 10_000);
}
