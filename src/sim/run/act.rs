//! From the engine to the cluster: steps, statuses, writes and their answers, the odd ones too.

use super::{Happening, IDLE_STEPS, PAUSE, Sim};
use crate::core::event::{Event, Outcome};
use crate::core::names::{ActionId, ObjectRef};
use crate::core::plan::{Action, Deed, Plan};
use crate::core::policy::Mode;
use crate::core::report::Report;
use crate::core::time::{Span, Time};
use crate::sim::check::Invariant;
use crate::sim::wires::Wire;

impl Sim<'_> {
    /// The engine decides.
    pub(super) fn step(&mut self) {
        let plan = self.operator.engine.step(self.now);
        self.stats.steps += 1;
        self.stats.actions += plan.actions.len() as u64;
        self.stats.refusals += plan.refusals.len() as u64;
        self.story.plan(&plan);
        self.check.planned(self.now, &plan);
        self.twin_step(&plan);
        let wake = plan.wake_at;
        let dirty = self.operator.engine.is_dirty();
        if dirty || wake.is_some_and(|at| at <= self.now) {
            self.violate(
                Invariant::Rests,
                format!(
                    "step {} at {} wants the next one at once ({wake:?})",
                    plan.seq, self.now
                ),
            );
        }
        self.operator.next_step = wake.map(|at| at.max(self.now + PAUSE));
        if self.stats.steps.is_multiple_of(IDLE_STEPS) {
            self.idle_step();
        }
        self.carry_out(plan);
    }

    /// A second step when nothing has changed must do nothing and say nothing.
    fn idle_step(&mut self) {
        let again = self.operator.engine.step(self.now);
        if let Some(twin) = &mut self.operator.twin {
            let _ = twin.step(self.now);
        }
        if !again.is_empty() {
            let what = serde_json::to_string(&again).unwrap_or_default();
            self.violate(Invariant::IdleStepsAreEmpty, format!("nothing had changed: {what}"));
        }
    }

    /// The twin sees the same in another order where the order means nothing, and must decide the same.
    fn twin_step(&mut self, plan: &Plan) {
        let Some(twin) = &mut self.operator.twin else { return };
        let unseen = std::mem::take(&mut self.operator.unseen);
        for (at, event) in reordered(unseen) {
            twin.observe(at, event);
        }
        let text = |plan: &Plan| serde_json::to_string(plan).unwrap_or_default();
        let (mine, other) = (text(plan), text(&twin.step(self.now)));
        for byte in mine.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if mine != other {
            self.violate(
                Invariant::SameEventsSamePlan,
                format!("the plan depends on the order of independent events:\n{mine}\n{other}"),
            );
        }
    }

    /// Statuses are written; a remedy's intent is stored before the act; actions start at once.
    fn carry_out(&mut self, plan: Plan) {
        let term = self.operator.term;
        let written = (term, plan.seq);
        let mut intents: Vec<Report> = Vec::new();
        for report in plan.reports {
            let evicts = |a: &Action| a.policy == report.policy && matches!(a.what, Deed::Evict { .. });
            if plan.actions.iter().any(evicts) {
                intents.push(report);
            } else {
                let after = self.millis(30, 400);
                let report = Box::new(report);
                self.later(after, Happening::Status { written, report });
            }
        }
        for action in plan.actions {
            if action.mode == Mode::DryRun {
                continue;
            }
            let intent = intents.iter().find(|r| r.policy == action.policy);
            let intent = intent.map(|report| (plan.seq, Box::new(report.clone())));
            let after = self.millis(2, 20);
            let action = Box::new(action);
            self.later(after, Happening::Execute { term, action, intent });
        }
    }

    pub(super) fn write_status(&mut self, written: (u32, u64), report: Report) {
        if !self.is_current(written.0) {
            return;
        }
        if self.api_down > 0 {
            let report = Box::new(report);
            self.later(Span::from_secs(2), Happening::Status { written, report });
            return;
        }
        self.policies.store(report, written);
    }

    /// One write. A process that has ended may still have sent it; one whose intent is not stored does not send it.
    pub(super) fn execute(&mut self, term: u32, action: Action, intent: Option<(u64, Box<Report>)>) {
        let id = action.id.clone();
        let skipped = |why: &str| Outcome::Skipped { message: why.into() };
        if let Some((step, report)) = intent {
            if !self.is_current(term) {
                return;
            }
            if self.api_down > 0 {
                return self.reply(term, id, skipped("the intent could not be recorded"));
            }
            self.policies.store(*report, (term, step));
            let after = self.slowly(1, 10);
            let action = Box::new(action);
            let intent = None;
            self.later(after, Happening::Execute { term, action, intent });
            return;
        }
        if self.api_down > 0 {
            let message = "the connection was refused or broke".to_owned();
            let outcome = if self.random.chance(50) {
                Outcome::Failed { message }
            } else {
                Outcome::Unknown { message }
            };
            return self.answer(term, id, outcome, &action.what);
        }
        if !self.is_current(term) && self.random.chance(50) {
            return;
        }
        match self.odd.pop_front() {
            None => {
                let outcome = self.write(&action);
                self.answer(term, id, outcome, &action.what);
            }
            Some((done, answered)) => {
                if done {
                    let _ = self.write(&action);
                }
                self.story.line(self.now, || {
                    format!("{id} gets no clear answer (done: {done}, answered: {answered})")
                });
                if answered {
                    let message = "the connection broke before an answer came".into();
                    self.answer(term, id, Outcome::Unknown { message }, &action.what);
                }
            }
        }
    }

    /// The API server, or the repository's reader, does it if the preconditions hold.
    fn write(&mut self, action: &Action) -> Outcome {
        let outcome = if let Deed::Restore {
            object,
            source,
            revision,
            uid,
        } = &action.what
        {
            self.restore(object, source, revision, uid.as_ref())
        } else {
            self.cluster.execute(self.now, &action.what)
        };
        self.story.line(self.now, || format!("  {}: {outcome:?}", action.id));
        self.check.written(self.now, action, &outcome);
        outcome
    }

    fn restore(
        &mut self,
        object: &ObjectRef,
        source: &crate::core::names::PolicyKey,
        revision: &str,
        uid: Option<&crate::core::names::Uid>,
    ) -> Outcome {
        let Some(index) = self.sources.iter().position(|s| s.key == *source) else {
            let message = format!("{source} is not being synced");
            return Outcome::Skipped { message };
        };
        let outcome = self.sources[index].restore(object, revision, uid);
        if let Some(event) = self.sources[index].object_event(object) {
            self.watch(event);
        }
        let fought = self.sources[index]
            .fights
            .get(object)
            .is_some_and(|until| *until > self.now);
        if fought && outcome == Outcome::Done {
            let after = self.millis(300, 2000);
            self.later(after, Happening::Disturb(index, object.clone()));
        }
        outcome
    }

    fn answer(&mut self, term: u32, action: ActionId, outcome: Outcome, deed: &Deed) {
        let unclear = !matches!(outcome, Outcome::Done | Outcome::Skipped { .. });
        let after = self.slowly(1, 15);
        self.later(after, Happening::Reply { term, action, outcome });
        if unclear && let Deed::Scale { target, .. } = deed {
            let again = self.slowly(20, 70);
            self.later(again, Happening::ReadAgain(term, target.clone()));
        }
    }

    pub(super) fn reply(&mut self, term: u32, action: ActionId, outcome: Outcome) {
        if self.is_current(term) {
            self.tell(Event::Outcome { action, outcome });
        }
    }

    /// The truth is read again after an unclear answer.
    pub(super) fn read_again(&mut self, term: u32, object: ObjectRef) {
        if !self.is_current(term) || !self.operator.targets.contains(&object) {
            return;
        }
        if self.api_down > 0 || self.wires.line(Wire::Targets).faults > 0 {
            self.later(Span::from_secs(2), Happening::ReadAgain(term, object));
            return;
        }
        let target = self.cluster.target(&object).map(Box::new);
        self.watch(Event::Target { object, target });
    }
}

/// Independent events in another order: where pods, nodes and samples come one after the other, those of different objects
/// change places.
fn reordered(events: Vec<(Time, Event)>) -> Vec<(Time, Event)> {
    let name = |event: &Event| match event {
        Event::Pod(pod) => Some(format!("pod {}", pod.key)),
        Event::PodGone(key) => Some(format!("pod {key}")),
        Event::Node(node) => Some(format!("node {}", node.name)),
        Event::NodeGone(name) => Some(format!("node {name}")),
        Event::Sample { query, .. } => Some(format!("query {query}")),
        _ => None,
    };
    let mut result = Vec::with_capacity(events.len());
    let mut run: Vec<(String, (Time, Event))> = Vec::new();
    let flush = |run: &mut Vec<(String, (Time, Event))>, result: &mut Vec<(Time, Event)>| {
        // By name, last first; the sort is stable, so that what concerns one object keeps its order.
        run.sort_by(|a, b| b.0.cmp(&a.0));
        result.extend(run.drain(..).map(|(_, event)| event));
    };
    for (at, event) in events {
        if let Some(name) = name(&event) {
            run.push((name, (at, event)));
        } else {
            flush(&mut run, &mut result);
            result.push((at, event));
        }
    }
    flush(&mut run, &mut result);
    result
}
