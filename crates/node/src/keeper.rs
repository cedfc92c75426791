//! The keeper of a node's content store: hosting must not cost an honest party its reward (docs/protocol.md,
//! section 7).
//!
//! Upon a finalized block: weights that it commits to and data that has won in it are fetched from their
//! owners' hosts, which may go down from then on. Data that lost, or still races, is nobody's business.
//! Upon an epoch's first block: what is needed is marked as used, and content that was not used since the
//! epoch before began is removed.
//!
//! **What is needed.** What a model competes with, or will; data of winners; and the weights of every model
//! that a target names, whatever became of the model since: an owner who could have weights removed could
//! have claims stand unaudited. Needed is what this epoch and the last one name, which is audited now, and by
//! its mark it stays for another: three in all. Not the weights of a model that has gone stale: rent was paid
//! until then.
//!
//! Persistence: a file's time is its mark. All else the ledger says.
//! Failures: a host that does not answer is tried [`TRIES`] times, further and further apart: who has just won
//! may take a while to upload. What is missing then, or was in blocks this node fell behind on, is fetched
//! when somebody asks for it.
//! Bounds: [`WEIGHTS_FETCHES_MAX`] and [`DATA_FETCHES_MAX`] downloads at a time, [`WAITING_MAX`] of each
//! waiting; beyond that they are left out. Hosts that trickle are cut off, and data, which is short, waits
//! for no weights.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use soma_blobs::{Expected, Fetcher, Location, Store};
use soma_ledger::view;
use soma_types::{
    ContentHash, Epoch, TransactionKind, Url,
    event::Event,
    genesis::Genesis,
    objects::{EpochState, ModelStatus},
};
use tokio::{
    sync::{Semaphore, broadcast::error::RecvError, watch},
    task::JoinSet,
};
use tracing::{info, warn};

use crate::{
    index::News,
    query::{Query, ReadError},
    runtime::Runtime,
};

/// Downloads of weights at a time.
const WEIGHTS_FETCHES_MAX: usize = 4;
/// Downloads of data at a time.
const DATA_FETCHES_MAX: usize = 16;
/// How long data, which is a megabyte or so, may take to arrive.
const DATA_FETCH_MAX: Duration = Duration::from_secs(30);
/// Downloads of a kind under way and waiting.
const WAITING_MAX: usize = 1_024;
/// Tries for each.
const TRIES: u32 = 6;
/// Between the first and the second; doubled for the next.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Targets read in one view: blocks wait meanwhile.
const TARGETS_AT_ONCE: usize = 256;

/// Keeps `store` in step with the ledger until `stopped` turns true.
pub async fn run<E: Runtime>(
    query: Query<E>,
    store: Store,
    fetcher: Fetcher,
    mut stopped: watch::Receiver<bool>,
) {
    let mut all_news = query.index().subscribe();
    let mut weights = Lane::new(WEIGHTS_FETCHES_MAX, Duration::MAX);
    let mut data = Lane::new(DATA_FETCHES_MAX, DATA_FETCH_MAX);
    let mut last_epoch = None;
    loop {
        let news = tokio::select! {
            news = all_news.recv() => news,
            Some(_) = weights.fetches.join_next() => continue,
            Some(_) = data.fetches.join_next() => continue,
            // An error means that whoever could stop us is gone.
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let news = match news {
            Ok(news) => news,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let mut named: Vec<_> = weights_in(&news).collect();
        match data_in(&query, &news).await {
            Ok(data) => named.extend(data),
            Err(error) => warn!(%error, "data that has won was not looked up"),
        }
        for named in named {
            if !store.contains(&named.expected.hash) {
                let lane = match named.content {
                    Content::Weights => &mut weights,
                    Content::Data => &mut data,
                };
                lane.take(&fetcher, &store, named);
            }
        }
        let epoch = news.record.epoch;
        if last_epoch.replace(epoch) != Some(epoch)
            && let Err(error) = sweep(&query, &store).await
        {
            warn!(%error, "the content store was not swept");
        }
    }
}

/// What content is.
#[derive(Clone, Copy)]
enum Content {
    Weights,
    Data,
}

/// Content that its owner hosts.
struct Named {
    content: Content,
    url: Url,
    expected: Expected,
}

/// Downloads that take turns.
struct Lane {
    permits: Arc<Semaphore>,
    patience: Duration,
    fetches: JoinSet<()>,
}

impl Lane {
    fn new(at_once: usize, patience: Duration) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(at_once)),
            patience,
            fetches: JoinSet::new(),
        }
    }

    /// Downloads what is `named` when its turn comes, unless too many wait.
    fn take(&mut self, fetcher: &Fetcher, store: &Store, named: Named) {
        if self.fetches.len() >= WAITING_MAX {
            return;
        }
        let (permits, patience) = (self.permits.clone(), self.patience);
        let (fetcher, store) = (fetcher.clone(), store.clone());
        self.fetches.spawn(async move {
            fetch(&fetcher, &store, &named, patience, &permits).await;
        });
    }
}

/// The weights that the applied transactions of a block commit to.
fn weights_in(news: &News) -> impl Iterator<Item = Named> {
    let applied = news.transactions.iter().zip(&news.record.receipts);
    applied
        .filter(|(_, receipt)| receipt.applied())
        .filter_map(|(transaction, _)| match &transaction.transaction().kind {
            TransactionKind::CommitModel {
                url,
                size_bytes,
                hash,
                ..
            } => Some(Named {
                content: Content::Weights,
                url: url.clone(),
                expected: Expected {
                    hash: *hash,
                    size_bytes: *size_bytes,
                },
            }),
            _ => None,
        })
}

/// The data that has won in a block.
async fn data_in<E: Runtime>(query: &Query<E>, news: &News) -> Result<Vec<Named>, ReadError> {
    let mut data = Vec::new();
    for event in &news.record.events {
        let Event::TargetFilled { submission, .. } = event else {
            continue;
        };
        let winner = query.view(|state| view::submission(state, *submission)).await?;
        data.extend(winner.and_then(|winner| winner.found).map(|found| Named {
            content: Content::Data,
            url: found.data_url,
            expected: Expected {
                hash: found.data_hash,
                size_bytes: found.data_size_bytes,
            },
        }));
    }
    Ok(data)
}

/// Downloads what is `named`, each time when one of the `permits` is free: who waits for a host takes none.
async fn fetch(fetcher: &Fetcher, store: &Store, named: &Named, patience: Duration, permits: &Semaphore) {
    let Named { url, expected, .. } = named;
    let Ok(Location::Http(address)) = Location::parse_public(url.as_str()) else {
        return;
    };
    let mut pause = RETRY_AFTER;
    for tried in 1..=TRIES {
        // Never closed.
        let permit = permits.acquire().await;
        let fetched = tokio::time::timeout(patience, fetcher.fetch_into(&address, *expected, store)).await;
        drop(permit);
        match fetched {
            Ok(Ok(())) => return,
            Ok(Err(error)) => warn!(%url, tried, %error, "content was not fetched"),
            Err(_) => warn!(%url, tried, "content did not come in time"),
        }
        if tried < TRIES {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

/// Removes what is old and no longer needed.
async fn sweep<E: Runtime>(query: &Query<E>, store: &Store) -> Result<(), ReadError> {
    let Some(now) = query.view(view::epoch).await? else {
        return Ok(());
    };
    let Some(before) = now.epoch.minus(1) else {
        return Ok(());
    };
    let Some(record) = query.view(|state| view::epoch_record(state, before)).await? else {
        return Ok(());
    };
    let old = SystemTime::UNIX_EPOCH + Duration::from_millis(record.state.started_ms);
    let needed = needed(query, &now).await?;
    let store = store.clone();
    let swept = tokio::task::spawn_blocking(move || {
        let removed = store.hashes().into_iter().filter(|hash| {
            let kept = if needed.contains(hash) {
                store.touch(hash).map(|_| false)
            } else {
                store.remove_older(hash, old)
            };
            kept.unwrap_or_else(|error| {
                warn!(%error, "content was neither kept nor removed");
                false
            })
        });
        removed.count()
    });
    if let Ok(removed) = swept.await {
        info!(removed, epoch = %now.epoch, "swept the content store");
    }
    Ok(())
}

/// The content that competition and audits need now, and the genesis weights.
async fn needed<E: Runtime>(query: &Query<E>, now: &EpochState) -> Result<BTreeSet<ContentHash>, ReadError> {
    let Genesis { weights, .. } = query.genesis();
    let mut needed: BTreeSet<_> = weights.iter().map(|weights| weights.hash).collect();
    let models = query.view(view::counters).await?.map_or(0, |all| all.live_models);
    for index in 0..models {
        let model = query.view(|state| match view::live_model_at(state, index)? {
            Some(id) => view::model(state, id),
            None => Ok(None),
        });
        if let Some(model) = model.await? {
            // Those that the targets of this epoch name are among the active ones.
            let competing = model.weights.filter(|_| model.status == ModelStatus::Active);
            let revealed = competing.into_iter().chain(model.revealed);
            needed.extend(revealed.map(|weights| weights.committed.hash));
            needed.extend(model.committed.map(|committed| committed.hash));
        }
    }
    needed.extend(winners_data(query, now.epoch).await?);
    if let Some(closed) = now.epoch.minus(1) {
        needed.extend(winners_data(query, closed).await?);
        needed.extend(weights_named(query, closed).await?);
    }
    Ok(needed)
}

/// The weights of the models that a closed epoch's targets name, of which some may have retired or have
/// others by now.
async fn weights_named<E: Runtime>(query: &Query<E>, epoch: Epoch) -> Result<Vec<ContentHash>, ReadError> {
    let record = query.view(|state| view::epoch_record(state, epoch)).await?;
    let targets = record.map_or(0, |record| record.state.targets_opened);
    let mut models = BTreeSet::new();
    for start in (0..targets).step_by(TARGETS_AT_ONCE) {
        let end = targets.min(start + TARGETS_AT_ONCE as u64);
        models.extend(
            query
                .view(|state| view::models_named(state, epoch, start, end))
                .await?,
        );
    }
    let mut hashes = Vec::new();
    for id in models {
        if let Some(model) = query.view(|state| view::model(state, id)).await? {
            hashes.extend(model.weights_in(epoch).map(|weights| weights.committed.hash));
        }
    }
    Ok(hashes)
}

/// The data of an epoch's winners.
async fn winners_data<E: Runtime>(query: &Query<E>, epoch: Epoch) -> Result<Vec<ContentHash>, ReadError> {
    let mut data = Vec::new();
    loop {
        let index = data.len() as u64;
        let found = query.view(|state| match view::winner_at(state, epoch, index)? {
            Some(id) => Ok(view::submission(state, id)?.and_then(|submission| submission.found)),
            None => Ok(None),
        });
        match found.await? {
            Some(found) => data.push(found.data_hash),
            None => return Ok(data),
        }
    }
}
