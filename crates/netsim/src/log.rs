//! What each validator did last, and what it said is final.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use commonware_utils::sync::Mutex;
use soma_node::consensus::Digest;

/// Events that are kept of each.
pub const EVENTS_KEPT: usize = 20;

#[derive(Default)]
struct Inner {
    events: Vec<VecDeque<String>>,
    told: Vec<BTreeMap<u64, Digest>>,
    replaced: Vec<(usize, u64)>,
}

/// All of it. Clones share.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Inner>>);

impl Log {
    /// Of so many validators.
    #[must_use]
    pub fn new(validators: usize) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            events: vec![VecDeque::new(); validators],
            told: vec![BTreeMap::new(); validators],
            replaced: Vec::new(),
        })))
    }

    /// Something happened to a validator.
    pub fn note(&self, validator: usize, now_ms: u64, what: &str) {
        let events = &mut self.0.lock().events[validator];
        if events.len() == EVENTS_KEPT {
            events.pop_front();
        }
        events.push_back(format!("{:8.3} s  {what}", now_ms as f64 / 1_000.0));
    }

    /// A validator said that a block is final.
    pub fn tell(&self, validator: usize, now_ms: u64, height: u64, block: Digest) {
        let before = self.0.lock().told[validator].insert(height, block);
        match before {
            None => self.note(validator, now_ms, &format!("block {height} is final: {block}")),
            Some(same) if same == block => self.note(validator, now_ms, &format!("block {height} once more")),
            Some(_) => self.0.lock().replaced.push((validator, height)),
        }
    }

    /// The highest block that a validator said is final.
    #[must_use]
    pub fn height(&self, validator: usize) -> u64 {
        self.0.lock().told[validator]
            .last_key_value()
            .map_or(0, |(height, _)| *height)
    }

    /// What each said is final.
    #[must_use]
    pub fn told(&self) -> Vec<BTreeMap<u64, Digest>> {
        self.0.lock().told.clone()
    }

    /// Who said two different things of one height.
    #[must_use]
    pub fn replaced(&self) -> Vec<(usize, u64)> {
        self.0.lock().replaced.clone()
    }

    /// The last events of each.
    #[must_use]
    pub fn events(&self) -> Vec<Vec<String>> {
        let inner = self.0.lock();
        inner
            .events
            .iter()
            .map(|events| events.iter().cloned().collect())
            .collect()
    }
}
