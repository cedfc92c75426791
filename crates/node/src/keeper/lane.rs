//! Downloads, which take turns.

use std::{collections::HashSet, sync::Arc, time::Duration};

use soma_blobs::{Location, Store};
use soma_types::ContentHash;
use tokio::{sync::Semaphore, task::JoinSet};
use tracing::warn;

use super::{needed::Named, sources::Sources};

/// Downloads of a kind under way and waiting.
const WAITING_MAX: usize = 1_024;
/// Between the first and the second; doubled for the next.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Downloads that take turns.
pub(super) struct Lane {
    permits: Arc<Semaphore>,
    patience: Duration,
    under_way: HashSet<ContentHash>,
    fetches: JoinSet<ContentHash>,
}

impl Lane {
    pub fn new(at_once: usize, patience: Duration) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(at_once)),
            patience,
            under_way: HashSet::new(),
            fetches: JoinSet::new(),
        }
    }

    /// Downloads what is `named` when its turn comes, unless too many wait.
    pub fn take(&mut self, sources: &Sources, store: &Store, named: Named) {
        let hash = named.expected.hash;
        if self.fetches.len() >= WAITING_MAX || !self.under_way.insert(hash) {
            return;
        }
        let (permits, patience) = (self.permits.clone(), self.patience);
        let (sources, store) = (sources.clone(), store.clone());
        self.fetches.spawn(async move {
            fetch(&sources, &store, &named, patience, &permits).await;
            hash
        });
    }

    /// Waits until one has ended; `None` while there is none.
    pub async fn ended(&mut self) -> Option<()> {
        match self.fetches.join_next().await? {
            Ok(hash) => {
                self.under_way.remove(&hash);
            }
            // One panicked, and which is not known: the others may be asked for twice.
            Err(_) => self.under_way.clear(),
        }
        Some(())
    }
}

/// Downloads what is `named`, each time when one of the `permits` is free: who waits for a host takes none.
async fn fetch(sources: &Sources, store: &Store, named: &Named, patience: Duration, permits: &Semaphore) {
    let Named { url, expected, .. } = named;
    let Some(asked) = sources.of(url, &expected.hash) else {
        return;
    };
    let mut pause = RETRY_AFTER;
    for tried in 1..=asked.tries {
        for address in &asked.addresses {
            let Location::Http(address) = address else {
                continue;
            };
            // Never closed.
            let permit = permits.acquire().await;
            let fetching = asked.fetcher.fetch_into(address, *expected, store);
            let fetched = tokio::time::timeout(patience, fetching).await;
            drop(permit);
            match fetched {
                Ok(Ok(())) => return,
                Ok(Err(error)) => warn!(%address, tried, %error, "content was not fetched"),
                Err(_) => warn!(%address, tried, "content did not come in time"),
            }
        }
        if tried < asked.tries {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(asked.pause_max);
        }
    }
}
