//! Weights from the network: fetched, verified against the ledger, decrypted.

use soma_blobs::container;
use soma_types::{ModelId, objects::Weights};

use crate::{
    blocking::blocking,
    error::ClientError,
    node::{NodeClient, verified},
};

impl NodeClient {
    /// A model's weights, decrypted: those it competes with, or has revealed. Verified against the ledger.
    ///
    /// # Errors
    /// When the model has none, or the node does not have them; when they are not what was committed.
    pub async fn fetch_model(&self, model: &ModelId) -> Result<Vec<u8>, ClientError> {
        let view = self.model(model).await?;
        let weights = view.model.weights.or(view.model.revealed);
        let weights = weights.ok_or(ClientError::ModelLacks {
            model: *model,
            what: "revealed weights",
        })?;
        let hash = weights.committed.hash;
        let container = match self.blob(&hash).await {
            // The node then asks the owner's host, and keeps what it gets.
            Err(error) if error.is_not_found() => verified(self.model_weights(model).await?, hash)?,
            found => found?,
        };
        open(container, &weights).await
    }

    /// Given weights, decrypted, from the node's store, verified against their committed hash.
    ///
    /// # Errors
    /// When the node does not have them, or they are not what was committed.
    pub async fn fetch_weights(&self, weights: &Weights) -> Result<Vec<u8>, ClientError> {
        open(self.blob(&weights.committed.hash).await?, weights).await
    }
}

async fn open(container: Vec<u8>, weights: &Weights) -> Result<Vec<u8>, ClientError> {
    let key = weights.key.into();
    Ok(blocking(move || container::decrypt(&container, &key)).await??)
}
