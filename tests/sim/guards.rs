//! Every guard is needed: with it off some seed breaks the promise that it keeps; with every guard on the same seed does not.

use homeostat::core::guard::Safeguard;
use homeostat::sim::check::Invariant::{self, *};
use homeostat::sim::{Options, Scenario, run};

use super::support::hours;

/// How long one story is.
const LENGTH: i64 = 6;
/// A guard that is not missed within so many stories is not needed, or not tested.
const SEEDS: u64 = 60;

/// The promises that a guard keeps.
fn promises(safeguard: Safeguard) -> &'static [Invariant] {
    match safeguard {
        Safeguard::HoldOnMissingData => &[MissingDataHold],
        Safeguard::ReplicaBounds => &[WithinBounds],
        Safeguard::RateLimits => &[Stabilized, WithinRates],
        Safeguard::OnePolicyPerTarget => &[OlderPolicyActs],
        Safeguard::FightBackOff => &[BacksOff],
        Safeguard::PoolBounds => &[PoolWithinBounds],
        Safeguard::EmptyNodesOnly => &[OnlyEmptyNodesGo],
        Safeguard::HealingBudget => &[PolicyBudget, NamespaceBudget],
        Safeguard::AttemptLimit => &[AttemptsEnd],
        Safeguard::HealthySiblings => &[SiblingsAreWell, MaxUnhealthy],
        Safeguard::StormBrake => &[StormsBrake],
        Safeguard::OneAtATime => &[OneAtATime, EffectIsAwaited],
        Safeguard::Suspend => &[SuspendedActsNot],
        Safeguard::CompleteView => &[WholePictureFirst],
        Safeguard::OwnIdentity => &[NeverOnItself],
        Safeguard::CurrentRevisionOnly => &[CurrentRevision],
    }
}

fn needed(safeguard: Safeguard) {
    let without = Options {
        off: vec![safeguard],
        ..Options::default()
    };
    for seed in 0..SEEDS {
        let scenario = Scenario::random(seed, hours(LENGTH));
        let Some(violation) = run(&scenario, &without).violation else {
            continue;
        };
        println!("{safeguard:?} off, seed {seed}: {violation}");
        assert!(
            promises(safeguard).contains(&violation.invariant),
            "seed {seed}: {violation}"
        );
        let with_every_guard = run(&scenario, &Options::default()).violation;
        assert_eq!(with_every_guard, None, "seed {seed}");
        return;
    }
    panic!("{safeguard:?} is off and nothing is broken in {SEEDS} stories of {LENGTH} hours");
}

macro_rules! guards {
    ($($test:ident: $guard:ident,)+) => {
        $(#[test] fn $test() { needed(Safeguard::$guard); })+

        #[test]
        fn every_guard_is_here() {
            let here = [$(Safeguard::$guard),+];
            assert!(Safeguard::ALL.iter().all(|guard| here.contains(guard)));
        }
    };
}

guards! {
    hold_on_missing_data: HoldOnMissingData,
    replica_bounds: ReplicaBounds,
    rate_limits: RateLimits,
    one_policy_per_target: OnePolicyPerTarget,
    fight_back_off: FightBackOff,
    pool_bounds: PoolBounds,
    empty_nodes_only: EmptyNodesOnly,
    healing_budget: HealingBudget,
    attempt_limit: AttemptLimit,
    healthy_siblings: HealthySiblings,
    storm_brake: StormBrake,
    one_at_a_time: OneAtATime,
    suspend: Suspend,
    complete_view: CompleteView,
    own_identity: OwnIdentity,
    current_revision_only: CurrentRevisionOnly,
}
