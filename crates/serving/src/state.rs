//! What every request finds: the models of now, and what writes with them.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{counts::Counts, engine::Engine, models::Models};

/// Requests whose embeddings are computed at once, on all cores.
const EMBEDDINGS_AT_ONCE: usize = 2;

/// What answers. Clones are of the same.
#[derive(Clone, Debug)]
pub struct Serving {
    now: Arc<RwLock<Current>>,
    embeddings: Arc<Semaphore>,
    counts: Counts,
}

/// Models and what writes with them, for as long as somebody holds it.
#[derive(Clone, Debug)]
pub struct Current {
    /// The models.
    pub models: Arc<Models>,
    /// What writes with them.
    pub engine: Engine,
}

impl Current {
    fn new(models: Models, counts: &Counts) -> Self {
        let models = Arc::new(models);
        let engine = Engine::start(Arc::clone(&models), counts.clone());
        Self { models, engine }
    }
}

impl Serving {
    /// By `models`, until they change.
    #[must_use]
    pub fn new(models: Models) -> Self {
        let counts = Counts::default();
        Self {
            now: Arc::new(RwLock::new(Current::new(models, &counts))),
            embeddings: Arc::new(Semaphore::new(EMBEDDINGS_AT_ONCE)),
            counts,
        }
    }

    /// What answers now.
    #[must_use]
    pub fn current(&self) -> Current {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has `models` answer whoever asks from now on. Texts in hand are written to their end by those that
    /// they were begun with.
    pub fn change_over(&self, models: Models) {
        let next = Current::new(models, &self.counts);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = next;
        self.counts.add(|counted| counted.changes += 1);
    }

    /// Leave to compute embeddings; none where others do.
    #[must_use]
    pub fn embedding_turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.embeddings).try_acquire_owned().ok()
    }

    /// What was done.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }
}
