//! The trainer: train from what the model has, publish, again.
//!
//! Upon a round:
//! - start from this model's last weights, at first from the weights given (the network's genesis weights,
//!   a competitor's, or none);
//! - train for the configured steps or time, elsewhere than on the async threads;
//! - embed a sample of the text: where the model will be routed to;
//! - commit in this epoch, reveal in the next; but first reveal what a round that was interrupted has
//!   committed.
//!
//! Failures: a node that does not answer is asked again for as long as the reveal may take: what is not
//! revealed costs a share of the stake.
//!
//! Persistence: the client's journal holds key and embedding between commit and reveal.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use soma_blobs::Blob;
use soma_client::{Account, ClientError};
use soma_data::Dataset;
use soma_model::{BackendError, Model, ScoreError, Scorer, WeightsError};
use soma_train::{Event, TrainConfig, TrainError, Trained, train};
use soma_types::{Embedding, Epoch, ModelId};

/// Chunks over which a specialization embedding is taken.
pub const EMBED_CHUNKS: usize = 256;
/// Until a node that did not answer is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The node did not answer as it should, or the ledger refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The trainer could not go on.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The weights do not load.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The weights do not embed the text.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// This machine cannot score exactly.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The weights cannot be read from this machine's disk.
    #[error("the weights cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// Training panicked, which is a bug.
    #[error("training stopped unexpectedly: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// Trains one model on one text and publishes it.
#[derive(Debug)]
pub struct Trainer {
    account: Account,
    model: ModelId,
    config: TrainConfig,
    text: Arc<Dataset>,
    weights: Option<Blob>,
}

impl Trainer {
    /// A trainer for `model`, which `account` owns, that starts from `init` (safetensors).
    #[must_use]
    pub fn new(
        account: Account,
        model: ModelId,
        config: TrainConfig,
        text: Arc<Dataset>,
        init: Option<Vec<u8>>,
    ) -> Self {
        Self {
            account,
            model,
            config,
            text,
            weights: init.map(Blob::from),
        }
    }

    /// The weights it has now (safetensors).
    #[must_use]
    pub const fn weights(&self) -> Option<&Blob> {
        self.weights.as_ref()
    }

    /// Trains for one round. `watch` is told of every update and checkpoint; setting `cancel` ends the round.
    ///
    /// # Errors
    /// When training cannot start or go on; the weights stay as they were.
    pub async fn train(
        &mut self,
        watch: impl FnMut(Event<'_>) + Send + 'static,
        cancel: Arc<AtomicBool>,
    ) -> Result<Trained, RoundError> {
        let (config, text, init) = (self.config.clone(), Arc::clone(&self.text), self.weights.clone());
        let trained = tokio::task::spawn_blocking(move || {
            let init = init.map(|weights| weights.bytes()).transpose()?;
            Ok::<_, RoundError>(train(&config, &text, init.as_deref(), watch, &cancel)?)
        })
        .await??;
        self.weights = Some(trained.weights.clone().into());
        Ok(trained)
    }

    /// Commits to the weights in this epoch and reveals them in the next: the epoch from which they
    /// compete. Does nothing without weights. Each of its waits for an epoch takes `epoch_timeout` at most.
    ///
    /// # Errors
    /// When the weights are unusable, the node does not answer, or the ledger refuses.
    pub async fn publish(&self, epoch_timeout: Duration) -> Result<Option<Epoch>, RoundError> {
        let Some(weights) = self.weights.clone() else {
            return Ok(None);
        };
        let (text, architecture) = (Arc::clone(&self.text), self.config.architecture);
        let (reader, size_bytes) = (weights.reader(), weights.size_bytes());
        let embedding = tokio::task::spawn_blocking(move || {
            specialization(&Model::read(reader, size_bytes, &architecture)?, &text)
        })
        .await??;
        self.reveal_interrupted(epoch_timeout).await?;
        let committed = self
            .account
            .commit_model(self.model, weights, Some(embedding))
            .await?;
        self.reveal(committed.reveal_in, epoch_timeout).await?;
        Ok(Some(committed.reveal_in.next()))
    }

    /// Reveals what an interrupted round has committed: until then nothing else can be.
    async fn reveal_interrupted(&self, epoch_timeout: Duration) -> Result<(), RoundError> {
        for due in self.account.pending_models().await? {
            if due.pending.model == self.model {
                match self.reveal(due.reveal_in, epoch_timeout).await {
                    // Too late, or without an embedding: it lapses, and the next commit is taken after that.
                    Err(error) if error.rejection_code().is_none() => return Err(error.into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Waits for the epoch `reveal_in`, and reveals.
    async fn reveal(&self, reveal_in: Epoch, epoch_timeout: Duration) -> Result<(), ClientError> {
        let start = Instant::now();
        loop {
            let left = epoch_timeout.saturating_sub(start.elapsed());
            let revealed = match self.account.node().wait_for_epoch(reveal_in, left).await {
                Ok(_) => self.account.reveal_model(self.model, None).await,
                Err(error) => Err(error),
            };
            match revealed {
                Err(ClientError::Unreachable { .. } | ClientError::TimedOut { .. })
                    if start.elapsed() < epoch_timeout =>
                {
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                revealed => return revealed.map(|_| ()),
            }
        }
    }
}

/// Where `model`'s representations of a sample of `text` point: what it registers as its speciality.
///
/// # Errors
/// When the model has no finite representations, or this machine cannot score exactly.
pub fn specialization(model: &Model, text: &Dataset) -> Result<Embedding, RoundError> {
    let documents: Vec<&[u8]> = text
        .documents()
        .iter()
        .map(|document| document.data.as_slice())
        .collect();
    Ok(Scorer::new()?.embed(model, &documents, EMBED_CHUNKS)?)
}
