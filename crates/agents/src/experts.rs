//! Models ready to score: downloaded, checked against what was committed, decrypted, parsed, and kept.

use std::{collections::BTreeMap, sync::Arc};

use soma_blobs::{ContainerError, decrypt};
use soma_model::{Model, WeightsError};
use soma_types::{Architecture, ContentHash, objects::Weights, transaction::ModelFault};

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
    /// It is no weights file of the network's architecture.
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

/// Loads each weights file once. Files that left the routing table stay until [`Experts::retain`] drops
/// them, since the audits of an epoch need the weights that competed in it.
#[derive(Debug)]
pub struct Experts {
    downloader: Downloader,
    architecture: Architecture,
    loaded: BTreeMap<ContentHash, Arc<Model>>,
}

impl Experts {
    /// None loaded yet.
    #[must_use]
    pub const fn new(downloader: Downloader, architecture: Architecture) -> Self {
        Self {
            downloader,
            architecture,
            loaded: BTreeMap::new(),
        }
    }

    /// How they are downloaded.
    #[must_use]
    pub const fn downloader(&self) -> &Downloader {
        &self.downloader
    }

    /// The network's architecture.
    #[must_use]
    pub const fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The model of these revealed weights.
    ///
    /// # Errors
    /// The fault, when the weights are unusable.
    pub async fn load(&mut self, weights: &Weights) -> Result<Arc<Model>, ExpertError> {
        let committed = &weights.committed;
        if let Some(model) = self.loaded.get(&committed.hash) {
            return Ok(Arc::clone(model));
        }
        let container = self
            .downloader
            .download(&committed.url, committed.hash, committed.size_bytes)
            .await?;
        let plain = decrypt(&container, &weights.key.into())?;
        let model = Arc::new(Model::from_bytes(&plain, &self.architecture)?);
        self.loaded.insert(committed.hash, Arc::clone(&model));
        Ok(model)
    }

    /// Keeps only these files' models.
    pub fn retain(&mut self, keep: impl Fn(&ContentHash) -> bool) {
        self.loaded.retain(|hash, _| keep(hash));
    }
}
