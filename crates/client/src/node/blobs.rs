//! Bytes by their hash: the node's store, and what it serves of models and targets.

use reqwest::Method;
use soma_types::{ContentHash, ModelId, TargetId, api::BlobView};
use url::Url;

use super::{
    NodeClient,
    request::{Load, Request},
};
use crate::error::ClientError;

impl NodeClient {
    /// Hands bytes to the node's store; their name.
    ///
    /// # Errors
    /// When the node does not answer, has no room, or got other bytes.
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<ContentHash, ClientError> {
        let hash = ContentHash::of(&bytes);
        // Repeating a large body needs its bytes more than once; they are shared, not copied.
        let bytes = bytes::Bytes::from(bytes);
        let request = Request::repeatable(Method::PUT, &format!("/v1/blobs/{hash}")).moving(Load::Blob);
        let view: BlobView = self
            .json(&request, |builder| {
                builder
                    .header("content-type", "application/octet-stream")
                    .body(bytes.clone())
            })
            .await?;
        if view.hash != hash {
            return Err(request.bad(format!("it calls the bytes {}, they are {hash}", view.hash)));
        }
        Ok(hash)
    }

    /// The bytes named `hash`, verified.
    ///
    /// # Errors
    /// When the node does not have them, or sends others ([`ClientError::WrongHash`]).
    pub async fn blob(&self, hash: &ContentHash) -> Result<Vec<u8>, ClientError> {
        verified(self.get_blob(&format!("/v1/blobs/{hash}")).await?, *hash)
    }

    /// Where the node serves `hash`, for [`soma_blobs::Fetcher`].
    pub fn blob_url(&self, hash: &ContentHash) -> Url {
        self.url(&format!("/v1/blobs/{hash}"), &[])
    }

    /// A model's encrypted weights as the node has them. [`NodeClient::fetch_model`] checks and decrypts.
    ///
    /// # Errors
    /// When there is no such model, or it has no weights ([`ClientError::is_not_found`]), or the node does
    /// not answer.
    pub async fn model_weights(&self, model: &ModelId) -> Result<Vec<u8>, ClientError> {
        self.get_blob(&format!("/v1/models/{model}/weights")).await
    }

    /// The data that won a target, as the node has it.
    ///
    /// # Errors
    /// When there is no such target or nobody has won it ([`ClientError::is_not_found`]), or the node does
    /// not answer.
    pub async fn target_data(&self, target: &TargetId) -> Result<Vec<u8>, ClientError> {
        self.get_blob(&format!("/v1/targets/{target}/data")).await
    }

    async fn get_blob(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        let request = Request::repeatable(Method::GET, path).moving(Load::Blob);
        self.send(&request, |builder| builder, self.options().blob_bytes_max)
            .await
    }
}

/// `bytes`, if they are those named `expected`.
pub(crate) fn verified(bytes: Vec<u8>, expected: ContentHash) -> Result<Vec<u8>, ClientError> {
    let found = ContentHash::of(&bytes);
    if found == expected {
        Ok(bytes)
    } else {
        Err(ClientError::WrongHash { expected, found })
    }
}
