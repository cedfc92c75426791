//! Models ready to score: taken from the node, checked against what was committed, decrypted, parsed, and
//! kept.
//!
//! Weights are a stranger's file, and may be many gigabytes on a host that trickles. So loading never waits
//! for a host: what the node does not keep is *brought* to it first, one file at a time, by whoever has time
//! for it. A file goes to a disk and from there through the cipher into the model: loading takes the model's
//! memory and that of one tensor.
//!
//! Bounds: [`MODELS_BYTES_MAX`] of models in memory, those in use among them, so whoever uses several takes
//! one after the other. With a [`Cache`], files that were used stay on this machine's disk, within its
//! budget, and [`DOWNLOADS_MAX`] are fetched into it at a time, each once. One file at a time is brought; a
//! host that failed is left alone for [`REST`]. A file that does not load is remembered, and not read
//! again.

use std::{
    future::Future,
    io::Read,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use soma_blobs::{Blob, ContainerError, Decrypting, Expected};
use soma_model::{Loan, Model, Shelf, ShelfError, Watch, WeightsError, residency::memory_bytes_max};
use soma_types::{Architecture, ContentHash, DecryptionKey, objects::Weights, transaction::ModelFault};
use tokio::{runtime::Handle, sync::Semaphore};

use crate::{
    attended::attended,
    cache::Cache,
    download::{DownloadError, Downloader, Named},
};

/// Why a model's weights cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExpertError {
    /// The node does not keep the encrypted file.
    #[error("the node does not keep the weights {0}")]
    NotKept(ContentHash),
    /// The encrypted file could not be had.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// The revealed key does not open it.
    #[error("the revealed key does not open the weights: {0}")]
    Key(Arc<ContainerError>),
    /// It is no weights file of the architecture it was committed for.
    #[error(transparent)]
    Weights(Arc<WeightsError>),
    /// Reading it panicked, which is a bug; whoever runs this program cannot use the file.
    #[error("reading the weights stopped unexpectedly: {0}")]
    Panicked(String),
    /// This machine's disk or memory does not allow it: that says nothing of the file.
    #[error("the weights cannot be loaded here: {0}")]
    Here(String),
}

impl From<ContainerError> for ExpertError {
    fn from(error: ContainerError) -> Self {
        match error {
            ContainerError::Io(error) => Self::Here(error.to_string()),
            error => Self::Key(Arc::new(error)),
        }
    }
}

impl From<WeightsError> for ExpertError {
    fn from(error: WeightsError) -> Self {
        match error {
            WeightsError::Io(error) => Self::Here(error.to_string()),
            error => Self::Weights(Arc::new(error)),
        }
    }
}

impl From<ShelfError<ExpertError>> for ExpertError {
    fn from(error: ShelfError<ExpertError>) -> Self {
        match error {
            ShelfError::Load(error) => error,
            ShelfError::TooLarge { .. } | ShelfError::Cancelled => Self::Here(error.to_string()),
        }
    }
}

impl ExpertError {
    /// What to report to the ledger. Nothing where only the participant's own node failed.
    #[must_use]
    pub const fn fault(&self) -> Option<ModelFault> {
        Some(match self {
            Self::NotKept(_) | Self::Download(DownloadError::Unavailable { .. }) => ModelFault::Unavailable,
            Self::Download(DownloadError::Mismatch { .. }) => ModelFault::HashMismatch,
            Self::Download(DownloadError::Here { .. }) | Self::Here(_) => return None,
            Self::Key(_) => ModelFault::WrongKey,
            Self::Weights(_) | Self::Panicked(_) => ModelFault::BadWeights,
        })
    }

    /// Whether this is a property of the bytes that were committed to: nobody can use them, now or ever.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Key(_) | Self::Weights(_) | Self::Panicked(_))
    }
}

/// Most memory that models may take, in bytes, unless set.
const MODELS_BYTES_MAX: u64 = 8 << 30;
/// Files that are fetched into the cache at a time.
const DOWNLOADS_MAX: usize = 3;
/// Between two looks whether anybody still waits for a download.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Faults remembered; past that the oldest is forgotten, which costs time and nothing else.
const FAULTS_MAX: usize = 1024;
/// For how long a host that did not deliver is not asked again.
const REST: Duration = Duration::from_secs(5);

/// All that a model depends on. Not the hash alone: a stranger can reveal another key for someone's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    hash: ContentHash,
    key: DecryptionKey,
    architecture: Architecture,
}

impl Key {
    const fn of(weights: &Weights) -> Self {
        Self {
            hash: weights.committed.hash,
            key: weights.key,
            architecture: weights.committed.architecture,
        }
    }
}

#[derive(Debug, Default)]
struct Memory {
    /// What never will load; oldest first.
    faults: Vec<(Key, ExpertError)>,
    /// Files whose hosts did not deliver, and when.
    absent: Vec<(ContentHash, Instant, DownloadError)>,
    /// Files whose hosts did not deliver when they were asked last; oldest first.
    refused: Vec<ContentHash>,
}

/// Loads each weights file once, and keeps what was used last. Clones share.
#[derive(Clone, Debug)]
pub struct Experts {
    downloader: Downloader,
    models: Arc<Shelf<Key>>,
    memory: Arc<Mutex<Memory>>,
    bringing: Arc<Semaphore>,
    cache: Option<Cache>,
    downloads: Arc<Semaphore>,
    downloaded_bytes: Arc<AtomicU64>,
}

/// The encrypted file of these weights.
fn file(weights: &Weights) -> Named {
    Named {
        url: weights.committed.url.clone(),
        expected: Expected {
            hash: weights.committed.hash,
            size_bytes: weights.committed.size_bytes,
        },
    }
}

impl Experts {
    /// None loaded yet.
    #[must_use]
    pub fn new(downloader: Downloader) -> Self {
        Self {
            downloader,
            models: Arc::new(Shelf::new(MODELS_BYTES_MAX)),
            memory: Arc::default(),
            bringing: Arc::new(Semaphore::new(1)),
            cache: None,
            downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
            downloaded_bytes: Arc::default(),
        }
    }

    /// The same, which keep the files that they use in `cache`.
    #[must_use]
    pub fn cached(self, cache: Cache) -> Self {
        Self {
            cache: Some(cache),
            ..self
        }
    }

    /// Bytes of weights that were taken from the node so far.
    #[must_use]
    pub fn downloaded_bytes(&self) -> u64 {
        self.downloaded_bytes.load(Ordering::Relaxed)
    }

    /// The same, with this much memory for models.
    #[must_use]
    pub fn within(self, models_bytes_max: u64) -> Self {
        Self {
            models: Arc::new(Shelf::new(models_bytes_max)),
            ..self
        }
    }

    /// The same, with the models of `others` on this machine: what one of them has loaded, none loads again.
    #[must_use]
    pub fn sharing(self, others: &Self) -> Self {
        Self {
            models: Arc::clone(&others.models),
            ..self
        }
    }

    /// How they are downloaded.
    #[must_use]
    pub const fn downloader(&self) -> &Downloader {
        &self.downloader
    }

    /// The model of these revealed weights, which the node keeps. Return it before the next is asked for.
    ///
    /// # Errors
    /// [`ExpertError::NotKept`] where it does not: see [`Self::bring`]. Else why the weights are unusable.
    pub async fn load(&self, weights: &Weights) -> Result<Loan, ExpertError> {
        let (experts, key, named) = (self.clone(), Key::of(weights), weights.clone());
        let runtime = Handle::current();
        let lent = attended(move |watch| experts.lend(&named, &runtime, watch)).await;
        lent.unwrap_or_else(|error| {
            let error = ExpertError::Panicked(error.to_string());
            self.memory().remember(key, &error);
            Err(error)
        })
    }

    /// [`Self::load`] where it may block, with the node asked on `runtime`, until `watch` says stop.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn lend(&self, weights: &Weights, runtime: &Handle, watch: &Watch<'_>) -> Result<Loan, ExpertError> {
        let (key, file) = (Key::of(weights), file(weights));
        if let Some(fault) = self.memory().fault(&key) {
            return Err(fault);
        }
        let load = || {
            if let Some(cache) = &self.cache
                && cache.size_bytes(&key.hash) == Some(file.expected.size_bytes)
                && let Some(read) = cache.read(&key.hash, |reader, size_bytes| read(reader, size_bytes, &key))
                && read.as_ref().err().is_none_or(ExpertError::is_final)
            {
                return read;
            }
            let kept = runtime.block_on(while_awaited(self.downloader.kept(&file), watch));
            let container = kept??.ok_or(ExpertError::NotKept(key.hash))?;
            self.take_in(&container);
            read(container.reader(), container.size_bytes(), &key)
        };
        let size_bytes_max = memory_bytes_max(&key.architecture, file.expected.size_bytes);
        let lent = self.models.lend(&key, size_bytes_max, load, watch);
        lent.map_err(|error| {
            let error = ExpertError::from(error);
            if error.is_final() {
                self.memory().remember(key, &error);
            }
            error
        })
    }

    /// Has the node keep the file of these weights, from their owner's host. Takes its turn among others, and
    /// then no more than `patience`.
    ///
    /// # Errors
    /// Whether it did not arrive, or something else did.
    pub async fn bring(&self, weights: &Weights, patience: Duration) -> Result<(), DownloadError> {
        // Never closed.
        let _turn = self.bringing.acquire().await;
        let hash = weights.committed.hash;
        if let Some(error) = self.memory().resting(&hash) {
            return Err(error);
        }
        let file = file(weights);
        let brought = tokio::time::timeout(patience, self.downloader.bring(&file)).await;
        let brought = brought.unwrap_or_else(|_| Err(file.late(patience)));
        let mut memory = self.memory();
        memory.refused.retain(|refused| *refused != hash);
        if let Err(error) = &brought {
            memory.absent.push((hash, Instant::now(), error.clone()));
            // Where the node itself failed, nothing is known of their owner.
            if !matches!(error, DownloadError::Here { .. }) {
                if memory.refused.len() >= FAULTS_MAX {
                    memory.refused.remove(0);
                }
                memory.refused.push(hash);
            }
        }
        drop(memory);
        brought
    }

    /// Whether the owner's host was asked for this file, and did not give it when it was asked last.
    #[must_use]
    pub fn was_refused(&self, hash: &ContentHash) -> bool {
        self.memory().refused.contains(hash)
    }

    /// Has the file of these weights where it can be loaded from: in the cache, or where there is none with
    /// the node. It is brought to the node within `patience` if that does not keep it. Several may wait for
    /// one file: it is downloaded once.
    ///
    /// # Errors
    /// Why it cannot be had, or that it will never load.
    pub async fn fetch(&self, weights: &Weights, patience: Duration) -> Result<(), ExpertError> {
        let (key, file) = (Key::of(weights), file(weights));
        if let Some(fault) = self.memory().fault(&key) {
            return Err(fault);
        }
        let Some(cache) = &self.cache else {
            return match self.load(weights).await {
                Err(ExpertError::NotKept(_)) => Ok(self.bring(weights, patience).await?),
                loaded => loaded.map(drop),
            };
        };
        if cache.contains(&key.hash) || self.is_loaded(&key) {
            return Ok(());
        }
        let _turn = cache.turn(&key.hash).await;
        if cache.contains(&key.hash) {
            return Ok(());
        }
        // Never closed.
        let _permit = self.downloads.acquire().await;
        let container = match self.downloader.kept(&file).await? {
            Some(container) => container,
            None => {
                self.bring(weights, patience).await?;
                let kept = self.downloader.kept(&file).await?;
                kept.ok_or(ExpertError::NotKept(key.hash))?
            }
        };
        let experts = self.clone();
        let taken = tokio::task::spawn_blocking(move || experts.take_in(&container)).await;
        taken.map_err(|error| ExpertError::Panicked(error.to_string()))
    }

    fn is_loaded(&self, key: &Key) -> bool {
        self.models.keys().contains(key)
    }

    /// Counts a file that was downloaded, and keeps it where there is a cache with room. Blocks on the disk.
    fn take_in(&self, container: &Blob) {
        self.downloaded_bytes
            .fetch_add(container.size_bytes(), Ordering::Relaxed);
        if let Some(cache) = &self.cache {
            cache.keep(container);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Each update is complete before anything in it can panic.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The model in a container, through the cipher.
fn read(container: impl Read, container_bytes: u64, key: &Key) -> Result<Model, ExpertError> {
    let plaintext = Decrypting::new(container, container_bytes, &key.key.into())?;
    let size_bytes = plaintext.plaintext_bytes();
    Ok(Model::read(plaintext, size_bytes, &key.architecture)?)
}

/// What comes of `work`, unless `watch` says stop before.
async fn while_awaited<T>(work: impl Future<Output = T>, watch: &Watch<'_>) -> Result<T, ExpertError> {
    let mut work = std::pin::pin!(work);
    while watch(0).is_continue() {
        if let Ok(done) = tokio::time::timeout(LOOK_EVERY, &mut work).await {
            return Ok(done);
        }
    }
    Err(ShelfError::Cancelled.into())
}

impl Memory {
    /// Why this file will never load, if that is known.
    fn fault(&self, key: &Key) -> Option<ExpertError> {
        let fault = self.faults.iter().find(|(faulty, _)| faulty == key);
        fault.map(|(_, error)| error.clone())
    }

    fn remember(&mut self, key: Key, fault: &ExpertError) {
        if self.faults.len() >= FAULTS_MAX {
            self.faults.remove(0);
        }
        self.faults.push((key, fault.clone()));
    }

    /// Why this file could not be had a moment ago.
    fn resting(&mut self, hash: &ContentHash) -> Option<DownloadError> {
        self.absent.retain(|(_, since, _)| since.elapsed() < REST);
        let found = self.absent.iter().find(|(absent, ..)| absent == hash);
        found.map(|(.., error)| error.clone())
    }
}

#[cfg(test)]
mod tests;
