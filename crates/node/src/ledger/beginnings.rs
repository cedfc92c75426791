//! Beginnings of blocks, each made once for all blocks on one parent.
//!
//! A leader that runs out of time, or whoever verifies its block, is dropped in the middle of its work. What
//! it had begun stays here, and the next who executes a block on the same parent goes on with it. So a
//! boundary that takes longer than a leader has takes that long once, and not for ever.

use std::{collections::BTreeMap, sync::Arc};

use commonware_runtime::utils::reschedule;
use commonware_utils::sync::{AsyncMutex, Mutex};
use soma_ledger::{Error, Preparation, Progress, RoutingCache, State as _, block_keys};

use crate::{
    consensus::Digest,
    execution::{Bridge, Source, WorkingSet, retry},
};

/// Most beginnings that are kept: of the next block on each of a few branches. At a boundary each holds all
/// models' records.
const KEPT_MAX: usize = 4;

/// By height and parent.
type Kept = BTreeMap<(u64, Digest), Arc<AsyncMutex<Making>>>;

/// The latest beginnings. Clones share.
#[derive(Clone, Default)]
pub(super) struct Beginnings(Arc<Mutex<Kept>>);

impl Beginnings {
    /// That of a block at `height` on `parent`, made by `make` if it is new.
    pub(super) fn of(
        &self,
        height: u64,
        parent: Digest,
        make: impl FnOnce() -> Making,
    ) -> Arc<AsyncMutex<Making>> {
        let mut kept = self.0.lock();
        let making = kept
            .entry((height, parent))
            .or_insert_with(|| Arc::new(AsyncMutex::new(make())));
        let making = Arc::clone(making);
        // Whoever is at work on one that goes keeps it until it is done.
        while kept.len() > KEPT_MAX {
            kept.pop_first();
        }
        // At this height, the parents' are of use still: a parent may be recovered again.
        *kept = kept.split_off(&(height.saturating_sub(1), Digest::from([0; 32])));
        making
    }
}

/// A beginning in the making.
pub(super) enum Making {
    /// More is to be done, from here.
    Begun {
        /// How far it is.
        preparation: Preparation,
        /// What that has read and changed.
        known: WorkingSet,
        /// The table of the epoch, or of the next.
        routing: RoutingCache,
    },
    /// All is done.
    Ready(Beginning),
}

/// A block's beginning.
#[derive(Clone)]
pub(super) struct Beginning {
    pub(super) preparation: Preparation,
    pub(super) known: Arc<WorkingSet>,
    pub(super) routing: RoutingCache,
}

impl Making {
    /// A beginning of which nothing is done.
    pub(super) fn new(preparation: Preparation, known: WorkingSet, routing: RoutingCache) -> Self {
        Self::Begun {
            preparation,
            known,
            routing,
        }
    }

    /// Does what is left, reading from `source`. Others have a turn between its parts.
    ///
    /// # Errors
    /// If the state is unsound.
    pub(super) async fn finish<S: Source>(&mut self, source: &S) -> Result<Beginning, Error> {
        if let Self::Begun { known, .. } = self {
            // What every block reads comes in one read.
            let keys = block_keys();
            let mut bridge = Bridge::resume(source, known);
            bridge.run(|state| state.prefetch(&keys)).await;
        }
        loop {
            let (preparation, known, routing) = match self {
                Self::Ready(beginning) => return Ok(beginning.clone()),
                Self::Begun {
                    preparation,
                    known,
                    routing,
                } => (preparation, known, routing),
            };
            let mut bridge = Bridge::resume(source, &mut *known);
            let progress = bridge
                .run(|state| retry(preparation.advance(state, routing)))
                .await?;
            match progress {
                Progress::More => reschedule().await,
                Progress::Done => {
                    *self = Self::Ready(Beginning {
                        preparation: preparation.clone(),
                        known: Arc::new(std::mem::take(known)),
                        routing: std::mem::take(routing),
                    });
                }
            }
        }
    }
}
