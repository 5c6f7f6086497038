//! Packs pods: on places that there are, and on as few new nodes as it can tell (largest first, first fit).
//!
//! The way in is classes of like pods and places; the way out is how many pods each place takes. Knows nothing of policies.

use super::fit::{Class, Spot};
use crate::core::quantity::Resources;

/// So many classes are looked at to fill up one new node; more would make large plans slow and hardly better.
const LOOK_AHEAD: usize = 256;

/// A shape of new nodes.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    /// An empty node of it.
    pub spot: Spot<'a>,
    /// Of several that fit, the highest comes first.
    pub weight: u32,
    /// Breaks ties.
    pub name: &'a str,
    /// So many more may be added.
    pub left: u32,
}

/// One new node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewNode {
    /// Index of its shape.
    pub shape: usize,
    /// The class that it is for.
    pub class: usize,
    /// Pods that it takes.
    pub pods: u32,
}

/// The order of packing: the largest pods first, measured against the largest place; ties by name.
pub(super) fn largest_first(classes: &mut [Class], largest: &Resources) {
    let (cpu, memory) = (
        i128::from(largest.cpu_milli.max(1)),
        i128::from(largest.memory_bytes.max(1)),
    );
    classes.sort_by_cached_key(|class| {
        let share = i128::from(class.requests.cpu_milli) * memory + i128::from(class.requests.memory_bytes) * cpu;
        let rare = class.requests.other.len();
        let name = class.pods.first().map(|pod| pod.key.clone());
        (std::cmp::Reverse((rare, share)), name)
    });
}

/// Places pods where there is room. `left` is how many pods of each class are without a place, and follows.
///
/// Costs classes × places; a class that is larger than the largest free room costs nothing.
pub(super) fn place(classes: &[Class], left: &mut [u32], spots: &mut [Spot]) {
    let mut room = Resources::default();
    for spot in spots.iter() {
        raise(&mut room, &spot.free);
    }
    for (class, left) in classes.iter().zip(left.iter_mut()) {
        if *left == 0 || !room.covers(class.requests) {
            continue;
        }
        for spot in spots.iter_mut() {
            put(class, left, spot);
            if *left == 0 {
                break;
            }
        }
    }
}

/// Plans new nodes for what has no place yet, at most so many.
pub(super) fn pack(classes: &[Class], left: &mut [u32], shapes: &mut [Shape], most: usize) -> Vec<NewNode> {
    let mut nodes = Vec::new();
    for index in 0..classes.len() {
        while left[index] > 0 && nodes.len() < most {
            let Some((shape, filled)) = best(classes, left, shapes, index) else {
                break;
            };
            shapes[shape].left -= 1;
            let mut pods = 0;
            for (class, count) in filled {
                left[class] -= count;
                pods += count;
            }
            nodes.push(NewNode {
                shape,
                class: index,
                pods,
            });
        }
    }
    nodes
}

/// How many pods of which classes a node takes.
type Filling = Vec<(usize, u32)>;

/// Among the heaviest shapes that fit, the one that wastes least once it is filled.
fn best(classes: &[Class], left: &[u32], shapes: &[Shape], first: usize) -> Option<(usize, Filling)> {
    let open = || {
        let all = shapes.iter().enumerate();
        all.filter(|(_, shape)| shape.left > 0 && classes[first].fits(&shape.spot))
    };
    let weight = open().map(|(_, shape)| shape.weight).max()?;
    open()
        .filter(|(_, shape)| shape.weight == weight)
        .map(|(index, shape)| {
            let (filled, waste) = fill(classes, left, &shape.spot, first);
            ((waste, shape.name, index), filled)
        })
        .min_by(|(a, _), (b, _)| a.cmp(b))
        .map(|((_, _, index), filled)| (index, filled))
}

/// Fills one empty node, and says what is wasted: the unused shares of processors and memory, in millionths.
fn fill(classes: &[Class], left: &[u32], empty: &Spot, first: usize) -> (Filling, i64) {
    let mut spot = Spot {
        free: empty.free.clone(),
        taken: 0,
        ..*empty
    };
    let mut filled = Filling::new();
    let ahead = classes.iter().enumerate().skip(first).take(LOOK_AHEAD);
    for (index, class) in ahead {
        let mut remaining = left[index];
        let count = put(class, &mut remaining, &mut spot);
        if count > 0 {
            filled.push((index, count));
        }
        if spot.free.pods <= 0 {
            break;
        }
    }
    let unused = |free: i64, all: i64| {
        if all <= 0 {
            return 0;
        }
        (i128::from(free.max(0)) * 1_000_000 / i128::from(all)) as i64
    };
    let waste =
        unused(spot.free.cpu_milli, empty.free.cpu_milli) + unused(spot.free.memory_bytes, empty.free.memory_bytes);
    (filled, waste)
}

fn put(class: &Class, left: &mut u32, spot: &mut Spot) -> u32 {
    let count = class.fitting(spot, *left);
    if count > 0 {
        spot.free.subtract(&times(class.requests, count));
        spot.taken += count;
        *left -= count;
    }
    count
}

/// So many times the amounts.
fn times(one: &Resources, count: u32) -> Resources {
    let all = |amount: i64| amount.saturating_mul(i64::from(count));
    Resources {
        cpu_milli: all(one.cpu_milli),
        memory_bytes: all(one.memory_bytes),
        pods: all(one.pods),
        other: one
            .other
            .iter()
            .map(|(name, amount)| (name.clone(), all(*amount)))
            .collect(),
    }
}

/// The larger of both, by resource.
pub(super) fn raise(mine: &mut Resources, other: &Resources) {
    mine.cpu_milli = mine.cpu_milli.max(other.cpu_milli);
    mine.memory_bytes = mine.memory_bytes.max(other.memory_bytes);
    mine.pods = mine.pods.max(other.pods);
    for (name, amount) in &other.other {
        let at = mine.other.entry(name.clone()).or_default();
        *at = (*at).max(*amount);
    }
}
