//! `reconcileAutoscaler` of `horizontal.go`, in its order.

use super::answer::{Answer, Course, Why};
use super::calculate;
use super::combine::{Combined, combine};
use super::input::{Input, Selector};
use super::normalize::normalize;

/// What the controller would do.
#[must_use]
pub fn decide(input: &Input) -> Answer {
    let current = input.replicas;
    let min = input.min.unwrap_or(1);
    let mut answer = Answer {
        desired: current,
        rescale: false,
        why: None,
        course: Course::Disabled,
        proposals: Vec::new(),
        history: input.history.clone(),
    };
    answer.history.seed(input.now, current);
    if current == 0 {
        answer
    } else if current > input.max {
        straight_to(answer, input.max, Course::AboveMax, Why::AboveMax)
    } else if current < min {
        straight_to(answer, min, Course::BelowMin, Why::BelowMin)
    } else {
        by_metrics(input, answer, min)
    }
}

/// Out of bounds: at once, whatever metrics, stabilization and limits say.
fn straight_to(answer: Answer, desired: i32, course: Course, why: Why) -> Answer {
    Answer {
        desired,
        rescale: true,
        why: Some(why),
        course,
        ..answer
    }
}

fn by_metrics(input: &Input, mut answer: Answer, min: i32) -> Answer {
    if input.selector != Selector::Valid {
        answer.course = Course::InvalidSelector;
        return answer;
    }
    let proposals = input.metrics.iter().map(|metric| calculate::propose(input, metric));
    answer.proposals = proposals.collect();
    let (replicas, leader) = match combine(input, &answer.proposals) {
        Combined::Failed(reason) => {
            answer.course = Course::Failed { reason };
            return answer;
        }
        Combined::Replicas(replicas, leader) => (replicas, leader),
    };
    let recommended = replicas.max(0);
    answer.why = match recommended.cmp(&input.replicas) {
        std::cmp::Ordering::Greater => Some(Why::AboveTarget),
        std::cmp::Ordering::Less => Some(Why::AllBelowTarget),
        std::cmp::Ordering::Equal => None,
    };
    let normalized = normalize(input, &mut answer.history, min, recommended);
    answer.desired = normalized.desired;
    answer.rescale = normalized.desired != input.replicas;
    answer.course = Course::Metrics {
        recommended,
        leader: leader.filter(|_| replicas > 0),
        normalized,
    };
    answer
}
