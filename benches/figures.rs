//! Figures as a table for people, and in `target/bench/summary.json` for machines. Compare figures within one run only.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// One figure and what it should be at most.
pub struct Figure {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub goal: Option<f64>,
}

/// Prints the figures, and puts them in place of those of the same names in the summary.
pub fn publish(root: &Path, figures: &[Figure]) {
    for figure in figures {
        let goal = figure.goal.map_or_else(String::new, |goal| {
            let met = if figure.value <= goal { "met" } else { "missed" };
            format!("goal {goal} {}: {met}", figure.unit)
        });
        println!("{:<58} {:>10.2} {:<4} {goal}", figure.name, figure.value, figure.unit);
    }
    let folder = root.join("target/bench");
    let file = folder.join("summary.json");
    let old = fs::read_to_string(&file).unwrap_or_default();
    let mut list: Vec<Value> = serde_json::from_str(&old).unwrap_or_default();
    list.retain(|old| figures.iter().all(|new| old["name"] != new.name));
    list.extend(
        figures
            .iter()
            .map(|f| json!({"name": f.name, "value": f.value, "unit": f.unit, "goal": f.goal})),
    );
    fs::create_dir_all(&folder).unwrap();
    fs::write(file, serde_json::to_string_pretty(&list).unwrap() + "\n").unwrap();
}
