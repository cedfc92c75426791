//! Weights from the network: fetched, verified against the ledger, decrypted.

use std::{
    io::{self, BufReader, Seek as _},
    path::PathBuf,
    sync::Arc,
};

use soma_blobs::container;
use soma_files::{At as _, Output};
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
        let weights = self.weights_of(model).await?;
        let hash = weights.committed.hash;
        let container = match self.blob(&hash).await {
            // The node then asks the owner's host, and keeps what it gets.
            Err(error) if error.is_not_found() => verified(self.model_weights(model).await?, hash)?,
            found => found?,
        };
        open(container, &weights).await
    }

    /// The same into a file, of which never more than a part is in memory.
    ///
    /// # Errors
    /// As [`NodeClient::fetch_model`], and when the disk refuses. The file is then as it was before.
    pub async fn fetch_model_to(&self, model: &ModelId, output: Output) -> Result<(), ClientError> {
        let weights = self.weights_of(model).await?;
        let hash = weights.committed.hash;
        let folder = match output.path().parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let container = Arc::new(tempfile::tempfile_in(&folder).at("write in", &folder)?);
        let kept = format!("/v1/blobs/{hash}");
        match self.download(&kept, hash, &container, &folder).await {
            Err(error) if error.is_not_found() => {
                // The node then asks the owner's host, and keeps what it gets.
                let owned = format!("/v1/models/{model}/weights");
                self.download(&owned, hash, &container, &folder).await?;
            }
            downloaded => downloaded?,
        }
        let key = weights.key.into();
        let decrypted = blocking(move || {
            output.write_with(|mut writer| {
                let mut container = BufReader::new(&*container);
                container.rewind()?;
                container::decrypt_stream(&mut container, &mut writer, &key)
                    .map(drop)
                    .map_err(io::Error::other)
            })
        });
        Ok(decrypted.await??)
    }

    /// The weights that a model competes with, or has revealed.
    async fn weights_of(&self, model: &ModelId) -> Result<Weights, ClientError> {
        let view = self.model(model).await?;
        let weights = view.model.weights.or(view.model.revealed);
        weights.ok_or(ClientError::ModelLacks {
            model: *model,
            what: "revealed weights",
        })
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
