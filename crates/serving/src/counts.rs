//! What was asked for and done, as operators count it: `GET /metrics`.

use std::sync::{Arc, Mutex, PoisonError};

use soma_http::exposition::Exposition;

/// What was done since the start. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Mutex<Counted>>);

/// Numbers since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Texts that were taken on, and wait until they are begun.
    pub taken: u64,
    /// Texts that were begun.
    pub begun: u64,
    /// Texts that were written to their end.
    pub ended: u64,
    /// Texts that nobody listened to any more, once they were begun.
    pub dropped: u64,
    /// Texts that nobody waited for any more, before they were begun.
    pub left: u64,
    /// Texts that could not go on.
    pub failed: u64,
    /// Texts that were refused, because too many waited.
    pub refused: u64,
    /// Bytes of prompts that were read.
    pub read_bytes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Times that the models changed.
    pub changes: u64,
}

impl Counts {
    /// Counts something.
    pub fn add(&self, change: impl FnOnce(&mut Counted)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The numbers.
    #[must_use]
    pub fn counted(&self) -> Counted {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// Texts in hand.
    #[must_use]
    pub const fn in_hand(&self) -> u64 {
        self.begun
            .saturating_sub(self.ended)
            .saturating_sub(self.dropped)
            .saturating_sub(self.failed)
    }

    /// Texts that wait.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.taken.saturating_sub(self.begun).saturating_sub(self.left)
    }

    /// In Prometheus's text format.
    #[must_use]
    pub fn exposition(&self) -> String {
        let mut exposition = Exposition::default();
        for (name, help, value) in [
            ("texts_in_hand", "Texts that are read or written.", self.in_hand()),
            (
                "texts_waiting",
                "Texts that wait until one in hand has ended.",
                self.waiting(),
            ),
        ] {
            exposition.gauge(&format!("soma_serving_{name}"), help, value);
        }
        for (name, help, value) in [
            ("texts_begun", "Texts that were begun.", self.begun),
            ("texts_ended", "Texts that were written to their end.", self.ended),
            (
                "texts_dropped",
                "Texts whose asker hung up.",
                self.dropped + self.left,
            ),
            ("texts_failed", "Texts that could not go on.", self.failed),
            (
                "texts_refused",
                "Texts that were refused, because too many waited.",
                self.refused,
            ),
            ("read_bytes", "Bytes of prompts that were read.", self.read_bytes),
            ("written_bytes", "Bytes that were written.", self.written_bytes),
            ("model_changes", "Times that the models changed.", self.changes),
        ] {
            exposition.counter(&format!("soma_serving_{name}_total"), help, value);
        }
        exposition.into_text()
    }
}
