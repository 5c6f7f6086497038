//! Stable codes of everything that is done, refused or reported. Codes are never renamed: people alert on them.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A stable code: reason of an action, a refusal or a condition.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code as text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

reasons! {
    /// The policy is accepted and at work.
    Accepted,
    /// The policy is suspended and acts not at all.
    Suspended,
    /// The policy decides and records, and does not act.
    DryRun,
    /// The policy's content cannot be used; the message says what to write instead.
    InvalidPolicy,
    /// Another, older policy already scales this target.
    TargetConflict,
    /// The target does not exist.
    TargetNotFound,
    /// The target cannot be read or scaled; the message says what to do.
    TargetUnusable,
    /// The target is being deleted.
    TargetDeleting,
    /// Another autoscaler names the same target.
    OtherAutoscaler,
    /// Somebody else keeps writing the field that this policy writes.
    FieldConflict,
    /// The target was set to zero replicas by somebody else; scaling is off until that changes.
    ScaledToZero,
    /// The operator does not see the whole cluster yet, or its watch is broken.
    ViewIncomplete,
    /// The load asks for more replicas.
    ScaleUp,
    /// The load asks for fewer replicas.
    ScaleDown,
    /// The replicas are above the policy's maximum.
    AboveMaximum,
    /// The replicas are below the policy's minimum.
    BelowMinimum,
    /// The load is near enough to the target value.
    WithinTolerance,
    /// The replicas are as wanted.
    AsDesired,
    /// The query has no result.
    NoData,
    /// The sample is older than allowed.
    StaleData,
    /// The query gave several elements where one is needed.
    ManySeries,
    /// The query gave NaN or an infinity.
    NotANumber,
    /// The server says that its answer may be incomplete.
    PartialData,
    /// The query failed.
    QueryFailed,
    /// No trigger has an answer yet.
    NotSampledYet,
    /// Some triggers have no data, and the others ask for fewer replicas: held.
    DataMissing,
    /// An earlier, higher recommendation still counts.
    ScaleDownStabilized,
    /// An earlier, lower recommendation still counts.
    ScaleUpStabilized,
    /// The rate limit for scaling up bit.
    ScaleUpLimit,
    /// The rate limit for scaling down bit.
    ScaleDownLimit,
    /// The policy's maximum bit.
    TooManyReplicas,
    /// The policy's minimum bit.
    TooFewReplicas,
    /// The policy may not scale in this direction.
    DirectionForbidden,
    /// Somebody keeps the replicas as they are, or set them, in the policy.
    Held,
    /// The policy was deleted, and its target gets back the size that it had before.
    Restored,
    /// Nothing has been to do for long enough: the idle size.
    Idle,
    /// Something is to be done again after an idle time.
    Activated,
    /// Too few of the wanted pods are Ready for more of them to help.
    RolloutNotReady,
    /// A trigger has had no data for so long that its policy's fallback size counts.
    FellBack,
    /// A trigger has had no data for so long that its policy goes on without it.
    Ignored,
    /// A trigger has had no data for so long that its policy takes it for zero.
    CountsAsZero,
    /// The policy's formula gives no number of replicas.
    FormulaFailed,
    /// There are no pods to measure.
    NoPods,
    /// The pods do not say how much they request, so that there is nothing to compare their usage with.
    NoRequests,
    /// Pods find no room on the nodes that there are.
    PodsUnschedulable,
    /// The pool has fewer nodes than its minimum.
    PoolBelowMinimum,
    /// The pool has as many nodes as it may have.
    PoolAtMaximum,
    /// The pod fits on no node that any pool could add.
    NoPoolFits,
    /// There is room for the pod on a node that is there, and the scheduler does not place it.
    RoomExists,
    /// The pod uses a scheduling constraint that is not understood here.
    ConstraintNotSupported,
    /// Nodes were asked for and did not come; the pool waits before it asks again.
    PoolBackingOff,
    /// The node has had no pods for long enough.
    NodeEmpty,
    /// The node is needed again.
    NodeNeeded,
    /// The node bears an annotation that forbids its removal.
    NodeProtected,
    /// The pool would fall below its minimum.
    PoolAtMinimum,
    /// A container of the pod crashes again and again.
    CrashLooping,
    /// The pod runs and is not Ready.
    NotReady,
    /// The pod's siblings are unhealthy too: a restart of one cannot help.
    SiblingsUnhealthy,
    /// No sibling is Ready: the last one is not taken away.
    LastReplica,
    /// The pod's node is not Ready: the fault is the node's, not the pod's.
    NodeUnhealthy,
    /// Nothing would make the pod again.
    NoController,
    /// More of the selected pods are unhealthy than the policy allows to be healed.
    TooManyUnhealthy,
    /// Much broke at once: healing is stopped until it has been calm.
    Storm,
    /// The budget for healing is used up.
    BudgetExhausted,
    /// As many remedies as allowed are under way.
    InFlightLimit,
    /// Something is already being done to this object.
    ActionInFlight,
    /// The effect of the last attempt is awaited.
    AwaitingOutcome,
    /// Every remedy has been tried as often as allowed: a person has to look.
    LadderExhausted,
    /// The API refused the last attempt for now.
    Blocked,
    /// The operator never acts on its own pod or node.
    OwnPod,
    /// A declared object is missing.
    ObjectDeleted,
    /// A declared object was changed.
    ObjectDrifted,
    /// Drift is only reported, as the source says.
    DriftWarnOnly,
    /// An object was brought back again and again and is changed each time; waiting before the next try.
    Fighting,
    /// Nothing is wrong.
    Healthy,
    /// Something is wrong and is being dealt with.
    Healing,
    /// Something is wrong and needs a person.
    NeedsAttention,
    /// The pools are as wanted.
    PoolsAsWanted,
    /// Nodes are on their way.
    Provisioning,
    /// Pods wait that no pool can help.
    PodsWaiting,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
