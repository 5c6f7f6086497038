//! The story: acts in their order, each with what must be seen and a time limit. Limits are generous, since machines differ;
//! what was measured is said.

mod acts;

use std::time::Duration;

use homeostat_cluster::{Error, Result};
use kube::Client;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::eyes::Eyes;
use crate::load::Load;
use crate::record::{Record, Standing};
use crate::replay::Replay;
use crate::stage::Stage;
use crate::trace::{Gap, Trace};

/// How long any act may take.
const LIMIT: Duration = Duration::from_mins(2);
/// How long an act may take that follows the day: as long as the day and some more.
const LONG: Duration = Duration::from_mins(7);
/// Homeostat promises that drift is brought back within this time.
const PROMISE: Duration = Duration::from_secs(2);

/// What the acts play with.
#[derive(Clone)]
pub struct Scene {
    /// With every right.
    pub client: Client,
    /// What was seen last.
    pub eyes: Eyes,
    /// The clock of the replayed day.
    pub replay: Replay,
    /// Where it is written down.
    pub record: Record,
}

/// What an act saw.
pub struct Observed {
    /// In words.
    pub text: String,
    /// How long it took, where that is not the whole time of the act.
    pub took: Option<Duration>,
}

impl From<String> for Observed {
    fn from(text: String) -> Self {
        Self { text, took: None }
    }
}

/// The numbers of the acts.
struct Program {
    sync: usize,
    nodes: usize,
    follow: usize,
    grow: usize,
    crash: usize,
    service: usize,
    edit: usize,
    bad: usize,
    revert: usize,
    shrink: usize,
}

impl Program {
    fn announce(record: &Record) -> Self {
        Self {
            sync: record.announce("Git sync", "Ready at the pushed commit"),
            nodes: record.announce("First nodes", "2 nodes, 2 pods Ready, from nothing"),
            follow: record.announce("Follow the load", format!("{} pods Ready or more", acts::PEAK_PODS)),
            grow: record.announce("Grow the pool", format!("{} nodes Ready or more", acts::PEAK_NODES)),
            crash: record.announce("Crash-looping pod", "evicted and replaced"),
            service: record.announce("Deleted Service", "back within 2 s"),
            edit: record.announce("Edit by hand", "as in Git within 2 s"),
            bad: record.announce("Bad commit", "Stalled; the last good one goes on"),
            revert: record.announce("Revert", "Ready at the new commit"),
            shrink: record.announce(
                "Shrink the pool",
                format!("{} nodes or fewer at night", acts::NIGHT_NODES),
            ),
        }
    }
}

/// Plays the story to its end.
///
/// # Errors
/// It cannot go on; acts that merely did not happen are in the record.
pub async fn play(
    stage: &Stage,
    scene: &Scene,
    load: &Load,
    trace: Trace,
    gap: Gap,
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    let program = Program::announce(&scene.record);
    let at_stake = [
        scene.act(program.sync, None, acts::sync(scene, stage)).await,
        scene.act(program.nodes, None, acts::first_nodes(scene)).await,
    ];
    if at_stake.contains(&false) {
        return Ok(());
    }
    tasks.spawn(scene.replay.clone().run(trace, gap, load.clone()));
    let climb = async {
        tokio::join!(
            scene.long_act(program.follow, acts::follow(scene)),
            scene.long_act(program.grow, acts::grow(scene)),
        )
    };
    let faults = async {
        let at = |hour| scene.replay.reach(hour);
        at(7.2).await?;
        scene.act(program.crash, None, acts::crash(scene)).await;
        at(11.5).await?;
        scene
            .act(program.service, Some(PROMISE), acts::delete_service(scene))
            .await;
        at(12.5).await?;
        scene.act(program.edit, Some(PROMISE), acts::edit(scene)).await;
        at(14.0).await?;
        scene.act(program.bad, None, acts::bad_commit(scene, stage)).await;
        at(16.5).await?;
        scene.act(program.revert, None, acts::revert(scene, stage)).await;
        at(19.0).await?;
        scene.long_act(program.shrink, acts::shrink(scene)).await;
        at(24.0).await
    };
    let (_, faults) = tokio::join!(climb, faults);
    faults
}

impl Scene {
    /// Plays one act; whether it happened.
    async fn act<T>(&self, act: usize, promised: Option<Duration>, play: impl Future<Output = Result<T>>) -> bool
    where
        Observed: From<T>,
    {
        self.timed(act, promised, LIMIT, play).await
    }

    /// Plays an act that follows the day.
    async fn long_act(&self, act: usize, play: impl Future<Output = Result<String>>) -> bool {
        self.timed(act, None, LONG, play).await
    }

    async fn timed<T>(
        &self,
        act: usize,
        promised: Option<Duration>,
        limit: Duration,
        play: impl Future<Output = Result<T>>,
    ) -> bool
    where
        Observed: From<T>,
    {
        self.record.begin(act);
        let began = Instant::now();
        let played = tokio::time::timeout(limit * 2, play).await;
        let played = played.unwrap_or_else(|_| Err(Error(format!("not within {} s", (limit * 2).as_secs()))));
        match played.map(Observed::from) {
            Ok(Observed { text, took }) => {
                self.record
                    .happened(act, text, took.unwrap_or_else(|| began.elapsed()), promised);
                true
            }
            Err(error) => {
                self.record.failed(act, error.to_string());
                false
            }
        }
    }

    /// Whether every act happened.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.record.with(|book| {
            let happened = |act: &crate::record::Act| matches!(act.standing, Standing::Happened { .. });
            !book.acts.is_empty() && book.acts.iter().all(happened)
        })
    }
}
