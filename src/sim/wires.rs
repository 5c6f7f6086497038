//! The watches between the API server and the operator: in order, with a delay, and now and then broken. Knows nothing of
//! what it carries.

use crate::core::time::{Span, Time};

/// One watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    /// Pods.
    Pods,
    /// Nodes.
    Nodes,
    /// Policies of all kinds.
    Policies,
    /// Targets of scaling policies.
    Targets,
    /// Declared objects.
    Declared,
}

impl Wire {
    /// Every watch.
    pub const ALL: [Self; 5] = [Self::Pods, Self::Nodes, Self::Policies, Self::Targets, Self::Declared];
}

/// How one watch is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// Changes come through.
    pub connected: bool,
    /// Counts connections: what was under way on a broken one never arrives.
    pub connection: u32,
    /// So many faults keep it broken.
    pub faults: u32,
    /// How far it lags.
    pub lag: Span,
    last: Time,
}

impl Line {
    /// When a change that happens now arrives; never before one that happened earlier.
    pub fn arrival(&mut self, now: Time, delay: Span) -> Time {
        self.last = self.last.max(now + self.lag + delay);
        self.last
    }

    /// It breaks.
    pub fn cut(&mut self) {
        self.connected = false;
        self.connection += 1;
        self.last = Time::default();
    }
}

/// All watches.
#[derive(Clone, Debug, Default)]
pub struct Wires([Line; 5]);

impl Wires {
    /// One watch.
    #[must_use]
    pub fn line(&self, wire: Wire) -> &Line {
        &self.0[wire as usize]
    }

    /// One watch, to be changed.
    pub fn line_mut(&mut self, wire: Wire) -> &mut Line {
        &mut self.0[wire as usize]
    }
}
