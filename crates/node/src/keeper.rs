//! The keeper of a node's content store: hosting must not cost an honest party its reward (docs/protocol.md,
//! section 7), and what has won or competed stays public for as long as its operator says ([`Retention`]).
//!
//! Upon its start, and whenever it has missed blocks: what is needed and not there is fetched from its
//! owner's host; or, where its owner has handed it to some node (`soma:HASH`), from the other nodes, which
//! are asked for hours, since that may take a while.
//! Upon a finalized block: what its operator has taken down since ([`soma_blobs::withdrawn`]) is removed. The
//! weights that it commits to and the data that has won in it are marked as used, or else fetched from their
//! owners' hosts, which may go down from then on. Data that lost, or still races, is nobody's business.
//! Upon an epoch's first block: what is needed is marked as used. What was public longer than is set, and
//! what is nobody's and was not used since the epoch before began, is set aside.
//! Upon the block after which all is known that was final then: what is still aside is removed.
//!
//! **What is needed.** What a model competes with, or will; data of winners; and the weights of every model
//! that a target names, whatever became of the model since: an owner who could have weights removed could
//! have claims stand unaudited. Needed is what this epoch and the last one name, which is audited now. Not
//! the weights of a model that has gone stale: rent was paid until then.
//!
//! **Why in two steps.** What is needed is read in many views, and blocks go on meanwhile. A block that names
//! content while it is looked through, or just before it goes, is heard of before anything is removed, and
//! has the content back.
//!
//! Persistence: a file's time is its mark. All else the ledger and the index say.
//! Failures: a host that does not answer is tried a few times, further and further apart: who has just won
//! may take a while to upload. What is missing then is fetched when somebody asks for it.
//! Bounds: [`WEIGHTS_FETCHES_MAX`] and [`DATA_FETCHES_MAX`] downloads at a time, a bounded number of each
//! waiting; beyond that they are left out. Hosts that trickle are cut off, and data, which is short, waits
//! for no weights.

mod lane;
mod leaving;
mod needed;
mod sources;

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use soma_blobs::{Fetcher, Store, StoreError};
use soma_ledger::view;
use soma_types::{ContentHash, Epoch, objects::EpochState};
use tokio::sync::{broadcast::error::RecvError, watch};
use tracing::{info, warn};

use self::{
    lane::Lane,
    leaving::{Leaving, set_aside},
    needed::{Content, Named, Needed, data_in, needed, weights_in, won_in},
    sources::Sources,
};

pub use self::sources::Nodes;
use crate::{
    index::News,
    query::{Query, ReadError},
    retention::{Public, Retention, beyond},
    runtime::Runtime,
};

/// Downloads of weights at a time.
const WEIGHTS_FETCHES_MAX: usize = 4;
/// Downloads of data at a time.
const DATA_FETCHES_MAX: usize = 16;
/// How long data, which is a megabyte or so, may take to arrive.
const DATA_FETCH_MAX: Duration = Duration::from_secs(30);

/// Keeps `store` in step with the ledger until `stopped` turns true.
pub async fn run<E: Runtime>(
    query: Query<E>,
    store: Store,
    owners: Fetcher,
    nodes: Nodes,
    retention: Retention,
    mut stopped: watch::Receiver<bool>,
) {
    let mut all_news = query.index().subscribe();
    let mut keeper = Keeper {
        query,
        store,
        sources: Sources { owners, nodes },
        retention,
        weights: Lane::new(WEIGHTS_FETCHES_MAX, Duration::MAX),
        data: Lane::new(DATA_FETCHES_MAX, DATA_FETCH_MAX),
        won: HashMap::new(),
        leaving: None,
        epoch: None,
    };
    loop {
        let news = tokio::select! {
            news = all_news.recv() => news,
            Some(()) = keeper.weights.ended() => continue,
            Some(()) = keeper.data.ended() => continue,
            // An error means that whoever could stop us is gone.
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match news {
            Ok(news) => keeper.hear(&news).await,
            Err(RecvError::Lagged(_)) => keeper.missed_blocks(),
            Err(RecvError::Closed) => return,
        }
    }
}

struct Keeper<E: Runtime> {
    query: Query<E>,
    store: Store,
    sources: Sources,
    retention: Retention,
    weights: Lane,
    data: Lane,
    /// The epochs in which stored data has won.
    won: HashMap<ContentHash, Epoch>,
    /// What was set aside and is not removed yet.
    leaving: Option<Leaving>,
    /// The epoch of the last block; none if blocks were missed.
    epoch: Option<Epoch>,
}

impl<E: Runtime> Keeper<E> {
    async fn hear(&mut self, news: &News) {
        match self.store.refresh_withdrawn() {
            Ok(0) => {}
            Ok(gone) => info!(gone, "content was taken down"),
            Err(error) => warn!(%error, "what is to be taken down is not known"),
        }
        match data_in(&self.query, news).await {
            Ok(data) => weights_in(news).chain(data).for_each(|named| self.keep(named)),
            Err(error) => {
                warn!(%error, "what a block names was not looked up");
                self.missed_blocks();
            }
        }
        if let Some(leaving) = self.leaving.take_if(|leaving| leaving.is_due(news.record.height)) {
            let removed = leaving.remove(&self.store).await;
            info!(removed, epoch = %news.record.epoch, "swept the content store");
        }
        let epoch = news.record.epoch;
        let before = self.epoch.replace(epoch);
        if before != Some(epoch)
            && let Err(error) = self.sweep(before.is_none()).await
        {
            warn!(%error, "the content store was not swept");
        }
    }

    /// Who does not know what was named meanwhile removes nothing, and looks everything through again.
    fn missed_blocks(&mut self) {
        self.store.take_back();
        self.leaving = None;
        self.epoch = None;
    }

    /// Marks content as used, or has it fetched.
    fn keep(&mut self, named: Named) {
        match self.store.need(&named.expected.hash) {
            Ok(true) | Err(StoreError::Withdrawn { .. }) => {}
            Ok(false) => self.fetch(named),
            Err(error) => warn!(%error, "content was not marked as used"),
        }
    }

    fn fetch(&mut self, named: Named) {
        let lane = match named.content {
            Content::Weights => &mut self.weights,
            Content::Data => &mut self.data,
        };
        lane.take(&self.sources, &self.store, named);
    }

    /// Marks what is needed, has what is `missing` fetched if so told, and sets aside what leaves.
    async fn sweep(&mut self, missing: bool) -> Result<(), ReadError> {
        let Some(now) = self.query.view(view::epoch).await? else {
            return Ok(());
        };
        let needed = needed(&self.query, &now).await?;
        if missing {
            for named in needed.values() {
                if self.store.admit(&named.expected.hash).is_ok()
                    && !self.store.contains(&named.expected.hash)
                {
                    self.fetch(named.clone());
                }
            }
        }
        let Some(old) = self.epoch_before_began(&now).await? else {
            return Ok(());
        };
        let public = self.public(&now, &needed).await?;
        let beyond = beyond(&self.retention, now.epoch, &public);
        let public: Vec<_> = public.iter().map(|content| content.hash).collect();
        let aside = set_aside(&self.store, needed, public, beyond, old).await;
        // Read once it is aside: whoever names it in a later block names what was not there.
        let tip = self.query.index().tip().map_or(0, |tip| tip.height);
        self.leaving = aside.map(|hashes| Leaving::new(hashes, tip));
        Ok(())
    }

    /// When the epoch before the current one began.
    async fn epoch_before_began(&self, now: &EpochState) -> Result<Option<SystemTime>, ReadError> {
        let Some(before) = now.epoch.minus(1) else {
            return Ok(None);
        };
        let record = self.query.view(|state| view::epoch_record(state, before)).await?;
        let began = |started_ms| SystemTime::UNIX_EPOCH + Duration::from_millis(started_ms);
        Ok(record.map(|record| began(record.state.started_ms)))
    }

    /// Stored content that has won or competed, and that nothing needs.
    async fn public(&mut self, now: &EpochState, needed: &Needed) -> Result<Vec<Public>, ReadError> {
        self.won.retain(|hash, _| self.store.contains(hash));
        let mut public = Vec::new();
        for hash in self.store.hashes() {
            if needed.contains_key(&hash) {
                continue;
            }
            let won = match self.won.get(&hash) {
                Some(epoch) => Some(*epoch),
                None => won_in(&self.query, hash).await?,
            };
            self.won.extend(won.map(|epoch| (hash, epoch)));
            let last = won.max(self.query.index().last_active(&hash, now.epoch));
            if let Some(last) = last
                && let Some(size_bytes) = self.store.length_bytes(&hash)
            {
                public.push(Public {
                    last,
                    hash,
                    size_bytes,
                });
            }
        }
        Ok(public)
    }
}
