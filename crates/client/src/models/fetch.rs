//! Weights from the network: fetched, verified against the ledger, decrypted as they are read.

use std::io;

use soma_blobs::{Blob, ContainerError, Decrypting, DecryptionKey, Expected, blob::BlobReader};
use soma_files::Output;
use soma_types::{ModelId, api::ExpertView, objects::Weights};

use crate::{blocking::blocking, error::ClientError, node::NodeClient};

/// Revealed weights as they were committed to, encrypted, with the key that was revealed for them.
#[derive(Clone, Debug)]
pub struct FetchedWeights {
    container: Blob,
    key: DecryptionKey,
}

impl FetchedWeights {
    /// The weights (a safetensors file), decrypted as they are read. Reading blocks on the disk.
    ///
    /// # Errors
    /// When the key does not open them.
    pub fn open(&self) -> Result<Decrypting<BlobReader>, ContainerError> {
        Decrypting::new(self.container.reader(), self.container.size_bytes(), &self.key)
    }
}

impl NodeClient {
    /// A model's weights: those it competes with, or has revealed. Verified against the ledger.
    ///
    /// # Errors
    /// When the model has none, or the node does not have them; when they are not what was committed.
    pub async fn fetch_model(&self, model: &ModelId) -> Result<FetchedWeights, ClientError> {
        let view = self.model(model).await?;
        let weights = view.model.weights.or(view.model.revealed);
        let weights = weights.ok_or(ClientError::ModelLacks {
            model: *model,
            what: "revealed weights",
        })?;
        match self.fetch_weights(&weights).await {
            // The node then asks the owner's host, and keeps what it gets.
            Err(error) if error.is_not_found() => Ok(FetchedWeights {
                container: self.model_weights(model, container(&weights)).await?,
                key: weights.key.into(),
            }),
            found => found,
        }
    }

    /// The same into a file, of which never more than a part is in memory; its length in bytes.
    ///
    /// # Errors
    /// As [`NodeClient::fetch_model`], and when the disk refuses. The file is then as it was before.
    pub async fn fetch_model_to(&self, model: &ModelId, output: Output) -> Result<u64, ClientError> {
        let fetched = self.fetch_model(model).await?;
        let written = blocking(move || {
            let mut weights = fetched.open()?;
            output.write_with(|file| io::copy(&mut weights, file).map(drop))?;
            Ok(weights.plaintext_bytes())
        });
        written.await?
    }

    /// Weights that are one of the global model's, from the node's store or by way of the node from their
    /// owner's host, verified against the ledger.
    ///
    /// # Errors
    /// When the node does not have them ([`ClientError::is_not_found`]), or they are not what was committed.
    pub async fn fetch_expert(&self, expert: &ExpertView) -> Result<FetchedWeights, ClientError> {
        match self.fetch_weights(&expert.weights).await {
            Err(error) if error.is_not_found() => Ok(FetchedWeights {
                container: self
                    .model_weights(&expert.model, container(&expert.weights))
                    .await?,
                key: expert.weights.key.into(),
            }),
            found => found,
        }
    }

    /// The weights that the network began with (a safetensors file, not encrypted), from the node's store.
    ///
    /// # Errors
    /// When the network began without, the node does not have them, or has others.
    pub async fn fetch_genesis(&self) -> Result<Blob, ClientError> {
        let weights = self.genesis().await?.weights.ok_or_else(|| {
            ClientError::Argument("the network began without genesis weights: start from a model's".into())
        })?;
        self.blob(Expected {
            hash: weights.hash,
            size_bytes: weights.size_bytes,
        })
        .await
    }

    /// Given weights, from the node's store, verified against what was committed.
    ///
    /// # Errors
    /// When the node does not have them, or they are not what was committed.
    pub async fn fetch_weights(&self, weights: &Weights) -> Result<FetchedWeights, ClientError> {
        Ok(FetchedWeights {
            container: self.blob(container(weights)).await?,
            key: weights.key.into(),
        })
    }
}

/// What was committed to.
const fn container(weights: &Weights) -> Expected {
    Expected {
        hash: weights.committed.hash,
        size_bytes: weights.committed.size_bytes,
    }
}
