//! The bounded way from the edge to the engine: events with the time at which they were seen.

use tokio::sync::mpsc;

use crate::core::event::Event;
use crate::core::time::Time;
use crate::edge::clock;

/// An event and when it was seen.
#[derive(Clone, Debug)]
pub struct Observed {
    /// When.
    pub at: Time,
    /// What.
    pub event: Event,
}

/// Where the edge puts what it sees. Waits when the engine is behind, so that nothing is lost and nothing piles up.
#[derive(Clone, Debug)]
pub struct Feed {
    sender: mpsc::Sender<Observed>,
}

impl Feed {
    /// A feed that holds at most `capacity` events, and its other end.
    #[must_use]
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Observed>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self { sender }, receiver)
    }

    /// Hands over one event, seen now. After the engine has ended it goes nowhere.
    pub async fn send(&self, event: Event) {
        let _ = self
            .sender
            .send(Observed {
                at: clock::now(),
                event,
            })
            .await;
    }
}
