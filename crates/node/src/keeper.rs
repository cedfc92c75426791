//! The keeper of a node's content store: hosting must not cost an honest party its reward (docs/protocol.md,
//! section 7).
//!
//! Upon a finalized block: weights that it commits to and data that it reveals are fetched from their
//! owners' hosts, which may go down from then on.
//! Upon an epoch's first block: content that is older than the epoch before, and that no model and no winner
//! under audit names, is removed.
//!
//! Persistence: none. The ledger says what is needed; a file's time says how old it is.
//! Failures: a host that does not answer is tried [`TRIES`] times. What is missing then, or was in blocks
//! this node fell behind on, is fetched when somebody asks for it.
//! Bounds: [`FETCHES_MAX`] downloads at a time, [`WAITING_MAX`] more waiting; beyond that they are left out.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use soma_blobs::{Expected, Fetcher, Location, Store};
use soma_ledger::{Error, view};
use soma_types::{
    ContentHash, Epoch, SignedTransaction, TransactionKind, Url, genesis::Genesis, objects::EpochState,
};
use tokio::{
    sync::{Semaphore, broadcast::error::RecvError, watch},
    task::JoinSet,
};
use tracing::{info, warn};

use crate::{index::Record, query::Query, runtime::Runtime};

/// Downloads at a time.
const FETCHES_MAX: usize = 4;
/// Downloads under way and waiting.
const WAITING_MAX: usize = 1_024;
/// Tries for each.
const TRIES: u32 = 3;
/// Between the first and the second; doubled for the next.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Keeps `store` in step with the ledger until `stopped` turns true.
pub async fn run<E: Runtime>(
    query: Query<E>,
    store: Store,
    fetcher: Fetcher,
    mut stopped: watch::Receiver<bool>,
) {
    let mut records = query.index().subscribe();
    let mut fetches = JoinSet::new();
    let permits = Arc::new(Semaphore::new(FETCHES_MAX));
    let mut last_epoch = None;
    loop {
        let record = tokio::select! {
            record = records.recv() => record,
            Some(_) = fetches.join_next() => continue,
            // An error means that whoever could stop us is gone.
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let record = match record {
            Ok(record) => record,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        for (url, expected) in named_in(&query, &record).await {
            if fetches.len() < WAITING_MAX && !store.contains(&expected.hash) {
                let (permits, fetcher, store) = (permits.clone(), fetcher.clone(), store.clone());
                fetches.spawn(async move {
                    // Never closed.
                    let _permit = permits.acquire().await;
                    fetch(&fetcher, &store, &url, expected).await;
                });
            }
        }
        if last_epoch.replace(record.epoch) != Some(record.epoch)
            && let Err(error) = sweep(&query, &store).await
        {
            warn!(%error, "the content store was not swept");
        }
    }
}

/// The content that a transaction obliges validators to keep, where its owner hosts it.
fn named(kind: &TransactionKind) -> Option<(&Url, Expected)> {
    match kind {
        TransactionKind::CommitModel {
            url,
            size_bytes,
            hash,
            ..
        } => Some((url, (*hash, *size_bytes))),
        TransactionKind::RevealSubmission { reveal, .. } => {
            Some((&reveal.data_url, (reveal.data_hash, reveal.data_size_bytes)))
        }
        _ => None,
    }
    .map(|(url, (hash, size_bytes))| (url, Expected { hash, size_bytes }))
}

/// What the applied transactions of a block name.
async fn named_in<E: Runtime>(query: &Query<E>, record: &Record) -> Vec<(Url, Expected)> {
    if record.receipts.is_empty() {
        return Vec::new();
    }
    let Some(block) = query.block(record.height.0).await else {
        return Vec::new();
    };
    let applied = block.transactions.iter().zip(&record.receipts);
    applied
        .filter(|(_, receipt)| receipt.applied())
        .filter_map(|(encoded, _)| borsh::from_slice::<SignedTransaction>(encoded).ok())
        .filter_map(|signed| named(&signed.transaction.kind).map(|(url, expected)| (url.clone(), expected)))
        .collect()
}

async fn fetch(fetcher: &Fetcher, store: &Store, url: &Url, expected: Expected) {
    let Ok(Location::Http(address)) = Location::parse_public(url.as_str()) else {
        return;
    };
    let mut pause = RETRY_AFTER;
    for tried in 1..=TRIES {
        match fetcher.fetch_into(&address, expected, store).await {
            Ok(()) => return,
            Err(error) => warn!(%url, tried, %error, "content was not fetched"),
        }
        if tried < TRIES {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

/// Removes what is old and no longer needed.
async fn sweep<E: Runtime>(query: &Query<E>, store: &Store) -> Result<(), Error> {
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
        let unneeded = store.hashes().into_iter().filter(|hash| !needed.contains(hash));
        let removed = unneeded.map(|hash| store.remove_older(&hash, old));
        removed
            .filter(|removed| match removed {
                Ok(removed) => *removed,
                Err(error) => {
                    warn!(%error, "content was not removed");
                    false
                }
            })
            .count()
    });
    if let Ok(removed) = swept.await {
        info!(removed, epoch = %now.epoch, "swept the content store");
    }
    Ok(())
}

/// The content that models and winners under audit name, and the genesis weights.
async fn needed<E: Runtime>(query: &Query<E>, now: &EpochState) -> Result<BTreeSet<ContentHash>, Error> {
    let Genesis { weights, .. } = query.genesis();
    let mut needed: BTreeSet<_> = weights.iter().map(|weights| weights.hash).collect();
    let models = query.view(view::counters).await?.map_or(0, |all| all.live_models);
    for index in 0..models {
        let model = query.view(|state| match view::live_model_at(state, index)? {
            Some(id) => view::model(state, id),
            None => Ok(None),
        });
        if let Some(model) = model.await? {
            let revealed = [model.weights, model.previous, model.revealed];
            needed.extend(revealed.into_iter().flatten().map(|one| one.committed.hash));
            needed.extend(model.committed.map(|committed| committed.hash));
        }
    }
    for ago in 0..=2 {
        let Some(epoch) = now.epoch.minus(ago) else {
            break;
        };
        needed.extend(winners_data(query, epoch).await?);
    }
    Ok(needed)
}

/// The data of an epoch's winners.
async fn winners_data<E: Runtime>(query: &Query<E>, epoch: Epoch) -> Result<Vec<ContentHash>, Error> {
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
