//! Models ready to score: taken from the node, checked against what was committed, decrypted, parsed, and
//! kept.
//!
//! Weights are a stranger's file, and may be many gigabytes on a host that trickles. So loading never waits
//! for a host: what the node does not keep is *brought* to it first, one file at a time, by whoever has time
//! for it.
//!
//! Bounds: [`KEPT_BYTES_MAX`] of models in memory besides those in use. One file at a time is brought; a host
//! that failed is left alone for [`REST`]. A file that does not load is remembered, and not read again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use soma_blobs::{ContainerError, decrypt};
use soma_model::{Model, WeightsError};
use soma_types::{Architecture, ContentHash, DecryptionKey, objects::Weights, transaction::ModelFault};
use tokio::sync::Semaphore;

use crate::download::{DownloadError, Downloader, Named};

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
}

impl ExpertError {
    /// What to report to the ledger. Nothing where only the participant's own node failed.
    #[must_use]
    pub const fn fault(&self) -> Option<ModelFault> {
        Some(match self {
            Self::NotKept(_) | Self::Download(DownloadError::Unavailable { .. }) => ModelFault::Unavailable,
            Self::Download(DownloadError::Mismatch { .. }) => ModelFault::HashMismatch,
            Self::Download(DownloadError::Node { .. }) => return None,
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

/// Most memory that models kept for later may take, in bytes, unless set. Those in use are kept by their
/// users.
const KEPT_BYTES_MAX: u64 = 8 << 30;
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
    /// Least recently used first.
    loaded: Vec<(Key, Arc<Model>)>,
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
    kept_bytes_max: u64,
    memory: Arc<Mutex<Memory>>,
    bringing: Arc<Semaphore>,
}

/// The encrypted file of these weights.
fn file(weights: &Weights) -> Named {
    Named {
        url: weights.committed.url.clone(),
        hash: weights.committed.hash,
        size_bytes: weights.committed.size_bytes,
    }
}

impl Experts {
    /// None loaded yet.
    #[must_use]
    pub fn new(downloader: Downloader) -> Self {
        Self {
            downloader,
            kept_bytes_max: KEPT_BYTES_MAX,
            memory: Arc::default(),
            bringing: Arc::new(Semaphore::new(1)),
        }
    }

    /// The same, with room for at most this many bytes of models that nobody uses.
    #[must_use]
    pub fn keeping(self, kept_bytes_max: u64) -> Self {
        Self {
            kept_bytes_max,
            ..self
        }
    }

    /// How they are downloaded.
    #[must_use]
    pub const fn downloader(&self) -> &Downloader {
        &self.downloader
    }

    /// The model of these revealed weights, which the node keeps.
    ///
    /// # Errors
    /// [`ExpertError::NotKept`] where it does not: see [`Self::bring`]. Else why the weights are unusable.
    pub async fn load(&self, weights: &Weights) -> Result<Arc<Model>, ExpertError> {
        let key = Key::of(weights);
        if let Some(known) = self.memory().recall(&key) {
            return known;
        }
        let kept = self.downloader.kept(&file(weights)).await?;
        let container = kept.ok_or(ExpertError::NotKept(key.hash))?;
        let read = tokio::task::spawn_blocking(move || {
            let plain =
                decrypt(&container, &key.key.into()).map_err(|error| ExpertError::Key(Arc::new(error)))?;
            let model = Model::from_bytes(&plain, &key.architecture);
            model.map_err(|error| ExpertError::Weights(Arc::new(error)))
        });
        let read = read
            .await
            .unwrap_or_else(|error| Err(ExpertError::Panicked(error.to_string())));
        let mut memory = self.memory();
        match read {
            Ok(model) => {
                let model = Arc::new(model);
                memory.loaded.push((key, Arc::clone(&model)));
                memory.shrink(self.kept_bytes_max);
                Ok(model)
            }
            Err(error) => {
                if memory.faults.len() >= FAULTS_MAX {
                    memory.faults.remove(0);
                }
                memory.faults.push((key, error.clone()));
                Err(error)
            }
        }
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
            if !matches!(error, DownloadError::Node { .. }) {
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

    /// The model of these revealed weights, which are brought to the node within `patience` if it does not
    /// keep them.
    ///
    /// # Errors
    /// Why they are unusable.
    pub async fn obtain(&self, weights: &Weights, patience: Duration) -> Result<Arc<Model>, ExpertError> {
        match self.load(weights).await {
            Err(ExpertError::NotKept(_)) => {
                self.bring(weights, patience).await?;
                self.load(weights).await
            }
            loaded => loaded,
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Each update is complete before anything in it can panic.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// What is known already; that it was used is noted.
    fn recall(&mut self, key: &Key) -> Option<Result<Arc<Model>, ExpertError>> {
        if let Some(place) = self.loaded.iter().position(|(loaded, _)| loaded == key) {
            let found = self.loaded.remove(place);
            let model = Arc::clone(&found.1);
            self.loaded.push(found);
            return Some(Ok(model));
        }
        let fault = self.faults.iter().find(|(faulty, _)| faulty == key);
        fault.map(|(_, error)| Err(error.clone()))
    }

    /// Forgets what was used least recently until the rest fits.
    fn shrink(&mut self, kept_bytes_max: u64) {
        let kept_bytes = |loaded: &[(_, Arc<Model>)]| -> u64 {
            loaded.iter().map(|(_, model)| model.memory_bytes()).sum()
        };
        while kept_bytes(&self.loaded) > kept_bytes_max {
            self.loaded.remove(0);
        }
    }

    /// Why this file could not be had a moment ago.
    fn resting(&mut self, hash: &ContentHash) -> Option<DownloadError> {
        self.absent.retain(|(_, since, _)| since.elapsed() < REST);
        let found = self.absent.iter().find(|(absent, ..)| absent == hash);
        found.map(|(.., error)| error.clone())
    }
}
