//! Models ready to score: downloaded, checked against what was committed, decrypted, parsed, and kept.

use std::sync::Arc;

use soma_blobs::{ContainerError, decrypt};
use soma_model::{Model, WeightsError};
use soma_types::{ContentHash, objects::Weights, transaction::ModelFault};

use crate::download::{DownloadError, Downloader};

/// Why a model's weights cannot be used. Each kind is a [`ModelFault`] that an auditor reports.
#[derive(Debug, thiserror::Error)]
pub enum ExpertError {
    /// The encrypted file could not be had.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// The revealed key does not open it.
    #[error("the revealed key does not open the weights: {0}")]
    Key(#[from] ContainerError),
    /// It is no weights file of the architecture it was committed for.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl ExpertError {
    /// What to report to the ledger.
    #[must_use]
    pub const fn fault(&self) -> ModelFault {
        match self {
            Self::Download(DownloadError::Unavailable { .. }) => ModelFault::Unavailable,
            Self::Download(DownloadError::Mismatch { .. }) => ModelFault::HashMismatch,
            Self::Key(_) => ModelFault::WrongKey,
            Self::Weights(_) => ModelFault::BadWeights,
        }
    }
}

/// Most memory that models kept for later may take, in bytes. Those in use are kept by their users.
const KEPT_BYTES_MAX: u64 = 8 << 30;

/// Loads each weights file once, and keeps what was used last.
#[derive(Debug)]
pub struct Experts {
    downloader: Downloader,
    /// Least recently used first.
    loaded: Vec<(ContentHash, Arc<Model>)>,
}

impl Experts {
    /// None loaded yet.
    #[must_use]
    pub const fn new(downloader: Downloader) -> Self {
        Self {
            downloader,
            loaded: Vec::new(),
        }
    }

    /// How they are downloaded.
    #[must_use]
    pub const fn downloader(&self) -> &Downloader {
        &self.downloader
    }

    /// The model of these revealed weights.
    ///
    /// # Errors
    /// The fault, when the weights are unusable.
    pub async fn load(&mut self, weights: &Weights) -> Result<Arc<Model>, ExpertError> {
        let committed = &weights.committed;
        if let Some(place) = self.loaded.iter().position(|(hash, _)| *hash == committed.hash) {
            let found = self.loaded.remove(place);
            let model = Arc::clone(&found.1);
            self.loaded.push(found);
            return Ok(model);
        }
        let container = self
            .downloader
            .download(&committed.url, committed.hash, committed.size_bytes)
            .await?;
        let plain = decrypt(&container, &weights.key.into())?;
        let model = Arc::new(Model::from_bytes(&plain, &committed.architecture)?);
        self.loaded.push((committed.hash, Arc::clone(&model)));
        let kept_bytes = |loaded: &[(_, Arc<Model>)]| -> u64 {
            loaded.iter().map(|(_, model)| model.memory_bytes()).sum()
        };
        while kept_bytes(&self.loaded) > KEPT_BYTES_MAX {
            self.loaded.remove(0);
        }
        Ok(model)
    }
}
