//! Node pools: validate → gather → propose (fit, pack) → shrink → limit → plan → report.
//!
//! * [`gather`]: one pass over nodes and pods: what is there, what is on its way, which pods the scheduler called
//!   unschedulable.
//! * [`fit`], [`pack`]: which pods a node takes, and how many nodes of which pool hold the rest. Knows resources, node
//!   selectors and taints; a pod with any other required constraint is never the reason for a node, and says so.
//! * [`propose`]: first the room that is there, then nodes on their way, then marked nodes, and only then new ones.
//! * [`shrink`]: a node that has been empty for long enough is marked, seen marked and still empty, and given back.
//! * [`tell`]: why pods go on waiting.
//! * [`memory`]: nodes that were asked for; a request that failed makes its pool back off, and another pool gets a try.
//!
//! Of several policies whose pools fit a pod, the oldest (then the first by key) that can help now takes it. Nodes on their
//! way count for all policies, so that none is bought twice.
//!
//! After a restart what is known comes from the nodes: the mark, and when they were made and became Ready. Requests are
//! forgotten, and asked again under the same names, which changes nothing where they were heard. Back-offs begin anew.
//!
//! A node that is not Ready is never removed here: that is healing's; until then it counts against its pool's maximum. Marks
//! of a policy that was deleted stay. Never reads a clock, never deletes a pod.

mod fit;
mod gather;
mod limit;
mod memory;
mod name;
mod pack;
mod plan;
mod propose;
mod report;
mod settle;
mod shrink;
mod tell;
mod validate;

pub use limit::{ADD_AT_ONCE, REMOVE_AT_ONCE};
pub use memory::{Backoff, Memory, NodeMemory, Request, accept, touch_all};
pub use plan::evaluate;
pub use report::means_the_same;
pub use settle::{node_failed, settle};
