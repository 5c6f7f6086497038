//! Makes a question smaller, as long as it still shows a difference.

use homeostat::core::scaling::hpa::Input;
use homeostat::core::scaling::hpa::input::{Flags, Source};

/// The smallest that is found, with what differs; `None` where not even the whole question shows a difference.
pub fn shrink(input: &Input, differs: &mut impl FnMut(&Input) -> Option<String>) -> Option<(Input, String)> {
    let mut smallest = (input.clone(), differs(input)?);
    loop {
        let smaller = candidates(&smallest.0);
        let Some(next) = smaller
            .into_iter()
            .find_map(|c| differs(&c).map(|difference| (c, difference)))
        else {
            return Some(smallest);
        };
        smallest = next;
    }
}

/// Every question with one thing less.
fn candidates(input: &Input) -> Vec<Input> {
    let mut all = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Input)| {
        let mut candidate = input.clone();
        change(&mut candidate);
        if candidate != *input {
            all.push(candidate);
        }
    };
    for i in 0..input.metrics.len() {
        offer(&|c| remove(&mut c.metrics, i));
    }
    for i in 0..input.pods.len() {
        offer(&|c| remove(&mut c.pods, i));
    }
    offer(&|c| c.behavior = None);
    if input.behavior.is_some() {
        offer(&|c| c.behavior.iter_mut().for_each(|b| b.scale_up = None));
        offer(&|c| c.behavior.iter_mut().for_each(|b| b.scale_down = None));
    }
    offer(&|c| c.flags = Flags::default());
    for i in 0..input.history.recommendations.len() {
        offer(&|c| remove(&mut c.history.recommendations, i));
    }
    for i in 0..input.history.up.len() {
        offer(&|c| remove(&mut c.history.up, i));
    }
    for i in 0..input.history.down.len() {
        offer(&|c| remove(&mut c.history.down, i));
    }
    for (i, metric) in input.metrics.iter().enumerate() {
        for k in 0..samples(&metric.source) {
            offer(&|c| remove_sample(&mut c.metrics[i].source, k));
        }
    }
    for i in 0..input.pods.len() {
        offer(&|c| c.pods[i].init_containers.clear());
        offer(&|c| c.pods[i].overhead = None);
        offer(&|c| c.pods[i].requests = None);
        offer(&|c| c.pods[i].containers.truncate(1));
    }
    all
}

fn remove<T>(list: &mut Vec<T>, i: usize) {
    list.remove(i);
}

fn samples(source: &Source) -> usize {
    match source {
        Source::Resource { samples, .. } | Source::ContainerResource { samples, .. } => {
            samples.as_ref().map_or(0, Vec::len)
        }
        Source::Pods { samples } => samples.as_ref().map_or(0, Vec::len),
        Source::Object { .. } => 0,
        Source::External { values } => values.as_ref().map_or(0, Vec::len),
    }
}

fn remove_sample(source: &mut Source, k: usize) {
    match source {
        Source::Resource { samples: Ok(list), .. } | Source::ContainerResource { samples: Ok(list), .. } => {
            list.remove(k);
        }
        Source::Pods { samples: Ok(list) } => {
            list.remove(k);
        }
        Source::External { values: Ok(list) } => {
            list.remove(k);
        }
        _ => {}
    }
}
