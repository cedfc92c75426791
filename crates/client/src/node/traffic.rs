//! What a client moves, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::request::Load;

/// Bytes of bodies that a client and its clones have moved. What frames them on the wire is not in it, nor
/// are streams of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Weights and data that came from the node.
    pub content_received: u64,
    /// Weights and data that went to it.
    pub content_sent: u64,
    /// All else, in both directions: transactions, questions and answers.
    pub talk: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    content_received: AtomicU64,
    content_sent: AtomicU64,
    talk: AtomicU64,
}

impl Counters {
    pub fn now(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            content_received: read(&self.content_received),
            content_sent: read(&self.content_sent),
            talk: read(&self.talk),
        }
    }

    pub fn content(&self, bytes: u64) {
        self.content_received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn talk(&self, bytes: u64) {
        self.talk.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn sent(&self, load: Load, bytes: u64) {
        let counter = match load {
            Load::Blob => &self.content_sent,
            Load::Json | Load::Transaction => &self.talk,
        };
        counter.fetch_add(bytes, Ordering::Relaxed);
    }
}
