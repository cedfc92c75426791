//! A scout at work: its model, and what it has learned.

use std::sync::Arc;

use soma_model::Model;

use crate::scout::Scout;

/// A scout at work.
#[derive(Debug)]
pub(super) struct Scouting {
    /// What embeds documents.
    pub(super) model: Arc<Model>,
    /// What it has learned so far.
    pub(super) scout: Scout,
}

impl Scouting {
    pub(super) fn new(model: Model) -> Self {
        Self {
            model: Arc::new(model),
            scout: Scout::new(),
        }
    }
}
