//! Names of new nodes: the same world gives the same names, so that a request that is made again after a crash names the
//! same node.

use super::gather::Pool;
use super::propose::Turn;
use crate::core::names::ObjectRef;

impl Turn<'_> {
    /// The name of the next node: one that was asked for and did not come, or else the lowest free number. A name is free
    /// only when nothing of that name can be there: no object, no pod bound to it, nothing under way.
    pub(super) fn name(&mut self, index: usize, pool: &Pool) -> String {
        let mut lost = self
            .memory
            .requests
            .iter()
            .filter(|(_, r)| r.lost && r.pool == pool.spec.name);
        let lost = lost.find(|(name, _)| self.is_free(name)).map(|(name, _)| name.clone());
        let name = lost.unwrap_or_else(|| {
            let stem = stem(&pool.label);
            let mut number = self.next_number.get(&index).copied().unwrap_or(0);
            while !self.is_free(&format!("{stem}-{number}")) {
                number += 1;
            }
            self.next_number.insert(index, number);
            format!("{stem}-{number}")
        });
        self.given.insert(name.clone());
        name
    }

    fn is_free(&self, name: &str) -> bool {
        let asked = self.memory.requests.get(name).is_some_and(|r| !r.lost);
        let busy = self
            .state
            .guard
            .under_way(&ObjectRef::new("v1", "Node", "", name))
            .is_some();
        !(asked
            || busy
            || self.given.contains(name)
            || self.memory.leaving.contains_key(name)
            || self.state.world.nodes.contains_key(name)
            || self.census.orphaned.contains(name))
    }
}

/// The longest beginning of a node's name: with a number it still is a label value (the hostname).
const LONGEST_STEM: usize = 56;

/// `<policy>.<pool>`; a long one is cut, and a checksum keeps it apart from others that begin alike.
fn stem(label: &str) -> String {
    if label.len() <= LONGEST_STEM {
        return label.to_owned();
    }
    let sum = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let head: String = label.chars().take(LONGEST_STEM - 17).collect();
    format!("{}-{sum:016x}", head.trim_end_matches(['.', '-']))
}
