//! What a node remembers of finalized blocks beyond their state: receipts, events, and how fast they came.
//!
//! Persistence: each block with receipts or events is one record, durable before the block is
//! acknowledged, so a crash repeats a block rather than losing its record. Repeating changes nothing. The
//! maps from names to records live in memory and are rebuilt from the records when the node starts.

mod gauges;
pub mod generations;
mod memory;
mod record;

use std::sync::Arc;

use commonware_consensus::Heightable as _;
use commonware_cryptography::Digestible as _;
use commonware_runtime::{buffer::paged::CacheRef, telemetry::metrics::GaugeValue};
use commonware_storage::{
    archive::{Archive as _, Identifier, prunable},
    translator::EightCap,
};
use commonware_utils::{
    NZU16, NZU64, NZUsize,
    sync::{AsyncRwLock, RwLock},
};
use soma_ledger::BlockOutcome;
use soma_types::{
    Address, ContentHash, Epoch, Height, ModelId, TransactionHash,
    api::{Percentiles, UnbondingView},
    upgrade::PROTOCOL_VERSION,
};
use tokio::sync::broadcast;
use tracing::error;

use self::{
    gauges::Gauges,
    generations::Generation,
    memory::{Memory, bounded, percentiles},
};
use crate::{
    block::{Block, TIMESTAMP_STEP_MS_MAX},
    consensus::Digest,
    machine::{Executed, Observer},
    runtime::{Runtime, now_ms},
};

pub use self::record::{News, Record, Tip};

/// Longest record of a block, in bytes.
const RECORD_BYTES_MAX: usize = 64 << 20;
/// Heights of a file of records. Files are held open, and most heights have no record. Fixed for the life of
/// the data.
const HEIGHTS_PER_FILE: std::num::NonZeroU64 = NZU64!(1_048_576);
/// Blocks a slow reader of events may fall behind.
const EVENTS_BEHIND_MAX: usize = 1_024;

type Archive<E> = prunable::Archive<EightCap, E, Digest, Vec<u8>>;

/// The index. Clones share.
pub struct Index<E: Runtime> {
    clock: Arc<E>,
    gauges: Arc<Gauges>,
    /// Readers do not wait for each other, and whoever writes waits for those alone who are reading.
    archive: Arc<AsyncRwLock<Option<Archive<E>>>>,
    memory: Arc<RwLock<Memory>>,
    news: broadcast::Sender<Arc<News>>,
}

impl<E: Runtime> Clone for Index<E> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            gauges: self.gauges.clone(),
            archive: self.archive.clone(),
            memory: self.memory.clone(),
            news: self.news.clone(),
        }
    }
}

impl<E: Runtime> Index<E> {
    /// Opens the index in partitions that begin with `partition`.
    ///
    /// # Panics
    /// If storage fails, or a record is damaged.
    pub async fn open(context: E, partition: &str) -> Self {
        let config = prunable::Config {
            translator: EightCap,
            metadata_partition: format!("{partition}-index-metadata"),
            key_partition: format!("{partition}-index-key"),
            key_page_cache: CacheRef::new(NZU16!(4_096), NZUsize!(256)),
            value_partition: format!("{partition}-index-value"),
            compression: Some(3),
            codec_config: ((0..=RECORD_BYTES_MAX).into(), ()),
            items_per_section: HEIGHTS_PER_FILE,
            key_write_buffer: NZUsize!(64 * 1024),
            value_write_buffer: NZUsize!(64 * 1024),
            replay_buffer: NZUsize!(64 * 1024),
        };
        let gauges = Arc::new(Gauges::new(&context));
        let clock = Arc::new(context.child("clock"));
        let archive: Archive<E> = prunable::Archive::init(context, config)
            .await
            .unwrap_or_else(|error| panic!("cannot open the index of blocks: {error}"));
        let mut memory = Memory {
            final_ms: now_ms(clock.as_ref()),
            ..Memory::default()
        };
        let ranges: Vec<(u64, u64)> = archive.ranges().collect();
        for height in ranges.into_iter().flat_map(|(first, last)| first..=last) {
            let record = read(&archive, height)
                .await
                .expect("a range holds every height in it");
            memory.learn(&record);
        }
        Self {
            clock,
            gauges,
            archive: Arc::new(AsyncRwLock::new(Some(archive))),
            memory: Arc::new(RwLock::new(memory)),
            news: broadcast::Sender::new(EVENTS_BEHIND_MAX),
        }
    }

    /// What became of block `height`; `None` if it is unknown or held nothing.
    pub async fn record(&self, height: u64) -> Option<Record> {
        let archive = self.archive.read().await;
        read(archive.as_ref()?, height).await
    }

    /// The heights from `from` on that have records, at most `limit`.
    pub async fn recorded_from(&self, from: u64, limit: usize) -> Vec<u64> {
        let archive = self.archive.read().await;
        let Some(archive) = archive.as_ref() else {
            return Vec::new();
        };
        archive
            .ranges_from(from)
            .flat_map(|(first, last)| first.max(from)..=last)
            .take(limit)
            .collect()
    }

    /// Where a transaction is: its block's height and its position there.
    #[must_use]
    pub fn transaction(&self, hash: &TransactionHash) -> Option<(u64, u32)> {
        self.memory.read().transactions.get(hash).copied()
    }

    /// The transactions of an account, earliest first: those it sent and those that paid it. At most
    /// `limit` before position `end`, with the position of the first.
    #[must_use]
    pub fn account(
        &self,
        account: &Address,
        end: Option<usize>,
        limit: usize,
    ) -> (usize, Vec<TransactionHash>) {
        let memory = self.memory.read();
        let all = memory.accounts.get(account).map_or(&[][..], Vec::as_slice);
        let end = end.unwrap_or(all.len()).min(all.len());
        let start = end.saturating_sub(limit);
        (start, all[start..end].to_vec())
    }

    /// What an account has withdrawn and not yet got, in the order of release.
    #[must_use]
    pub fn unbonding(&self, account: &Address) -> Vec<UnbondingView> {
        self.memory
            .read()
            .unbonding
            .get(account)
            .cloned()
            .unwrap_or_default()
    }

    /// The weights that a model has had, in the order of their commits.
    #[must_use]
    pub fn generations(&self, model: &ModelId) -> Vec<Generation> {
        self.memory.read().generations.of(model).to_vec()
    }

    /// The last epoch, up to `now`, in which a model competed with this file of weights.
    #[must_use]
    pub fn last_active(&self, weights: &ContentHash, now: Epoch) -> Option<Epoch> {
        self.memory.read().generations.last_active(weights, now)
    }

    /// The newest finalized block since the node started.
    #[must_use]
    pub fn tip(&self) -> Option<Tip> {
        self.memory.read().tip
    }

    /// When the newest finalized block became final here, or else when the node started, in milliseconds of
    /// [`Self::clock`].
    #[must_use]
    pub fn final_ms(&self) -> u64 {
        self.memory.read().final_ms
    }

    /// The node's clock, which does not step.
    #[must_use]
    pub fn clock(&self) -> &E {
        &self.clock
    }

    /// Notes for the metrics how many transactions wait.
    pub fn note_waiting(&self, transactions: usize) {
        self.gauges.mempool.set(gauge(transactions as u64));
    }

    /// Finalized blocks as they come.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
    }

    /// From a recent block's proposal to its finality here.
    #[must_use]
    pub fn finality_ms(&self, height: u64) -> Option<u64> {
        self.memory
            .read()
            .finality_ms
            .iter()
            .find(|(at, _)| *at == height)
            .map(|(_, latency)| *latency)
    }

    /// Finality over recent blocks.
    #[must_use]
    pub fn finality(&self) -> Percentiles {
        percentiles(self.memory.read().finality_ms.iter().map(|(_, latency)| *latency))
    }

    /// Time between recent blocks.
    #[must_use]
    pub fn block_times(&self) -> Percentiles {
        percentiles(self.memory.read().block_ms.iter().copied())
    }
}

/// What a gauge shows of `value`.
fn gauge(value: u64) -> GaugeValue {
    GaugeValue::try_from(value).unwrap_or(GaugeValue::MAX)
}

async fn read<E: Runtime>(archive: &Archive<E>, height: u64) -> Option<Record> {
    let bytes = archive
        .get(Identifier::Index(height))
        .await
        .unwrap_or_else(|error| panic!("cannot read the index of blocks: {error}"))?;
    Some(borsh::from_slice(&bytes).unwrap_or_else(|error| {
        panic!(
            "the index record of block {height} is damaged ({error}): restore the node's folder from a copy"
        )
    }))
}

impl<E: Runtime> Observer<BlockOutcome> for Index<E> {
    fn seen(&self, block: &Block, now_ms: u64) {
        let timestamp_ms = block.header().timestamp_ms;
        // Proposed when its timestamp says, unless the network stood still and is catching up.
        let lagging = now_ms.saturating_sub(timestamp_ms) > TIMESTAMP_STEP_MS_MAX;
        let proposed_ms = if lagging { now_ms } else { timestamp_ms.min(now_ms) };
        let key = (block.height().get(), block.digest());
        self.memory.write().seen_ms.entry(key).or_insert(proposed_ms);
    }

    async fn finalized(&self, block: &Block, executed: Executed<BlockOutcome>, time_ms: u64) {
        let Executed {
            transactions,
            outcome,
        } = executed;
        let (header, digest) = (block.header(), block.digest());
        let height = header.height.get();
        self.gauges.height.set(gauge(height));
        self.gauges.epoch.set(gauge(outcome.epoch.0));
        self.gauges.transactions.inc_by(outcome.receipts.len() as u64);
        let record = Record {
            height: Height(height),
            epoch: outcome.epoch,
            timestamp_ms: header.timestamp_ms,
            transactions: block.transactions().to_vec(),
            receipts: outcome.receipts,
            events: outcome.events,
        };
        let empty = record.receipts.is_empty() && record.events.is_empty();
        if !empty {
            let bytes = borsh::to_vec(&record).expect("encoding to memory does not fail");
            let mut slot = self.archive.write().await;
            let archive = slot.take().expect("a failed index stops the node");
            let archive = archive
                .put_sync(height, digest, &bytes)
                .await
                .unwrap_or_else(|error| panic!("cannot write the index of blocks: {error}"));
            *slot = Some(archive);
        }
        {
            let mut memory = self.memory.write();
            if !empty && height > memory.recorded {
                memory.learn(&record);
            }
            if let Some((version, activation)) = memory.unsupported.filter(|_| outcome.boundary) {
                error!(
                    %version, epoch = %activation, supported = %PROTOCOL_VERSION,
                    "an upgrade is scheduled that this software does not implement: it stops before that epoch; \
                     install a newer release"
                );
            }
            if let Some(parent) = memory.tip.filter(|tip| tip.height + 1 == height) {
                bounded(
                    &mut memory.block_ms,
                    header.timestamp_ms.saturating_sub(parent.timestamp_ms),
                );
            }
            if let Some(seen_ms) = memory.seen_ms.get(&(height, digest)).copied() {
                let latency_ms = time_ms.saturating_sub(seen_ms);
                bounded(&mut memory.finality_ms, (height, latency_ms));
                self.gauges.finality.observe(latency_ms as f64 / 1_000.0);
            }
            memory.seen_ms = memory.seen_ms.split_off(&(height + 1, Digest::from([0; 32])));
            memory.final_ms = now_ms(self.clock.as_ref());
            memory.tip = Some(Tip {
                height,
                digest,
                state_root: header.state_root,
                timestamp_ms: header.timestamp_ms,
            });
        }
        // Nobody listening is no error.
        let _ = self.news.send(Arc::new(News {
            record: Arc::new(record),
            transactions,
        }));
    }
}
