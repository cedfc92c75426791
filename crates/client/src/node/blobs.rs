//! Bytes by their hash: the node's store, and what it serves of models and targets. They flow to a disk and
//! from it, since those of a model are too many for memory.

use reqwest::{Body, Method};
use soma_blobs::{Blob, Expected};
use soma_types::{ContentHash, ModelId, SubmissionId, api::BlobView};
use url::Url;

use super::{
    NodeClient,
    request::{Load, Request},
};
use crate::error::ClientError;

impl NodeClient {
    /// Hands bytes to the node's store.
    ///
    /// # Errors
    /// When the node does not answer, has no room, or got other bytes.
    pub async fn put_blob(&self, blob: &Blob) -> Result<(), ClientError> {
        let hash = blob.hash();
        let request = Request::repeatable(Method::PUT, &format!("/v1/blobs/{hash}")).moving(Load::Blob);
        let view: BlobView = self
            .json(&request, |builder| {
                builder
                    .header("content-type", "application/octet-stream")
                    .header("content-length", blob.size_bytes())
                    .body(Body::wrap(soma_blobs::Body::from(blob)))
            })
            .await?;
        if view.hash != hash {
            return Err(request.bad(format!("it calls the bytes {}, they are {hash}", view.hash)));
        }
        Ok(())
    }

    /// The bytes `expected`, from the node's store.
    ///
    /// # Errors
    /// When the node does not have them ([`ClientError::is_not_found`]), or sends others
    /// ([`ClientError::WrongHash`]); when what has this hash is of another size ([`ClientError::WrongSize`]);
    /// when this machine's disk has no room for them.
    pub async fn blob(&self, expected: Expected) -> Result<Blob, ClientError> {
        self.get_blob(&format!("/v1/blobs/{}", expected.hash), expected)
            .await
    }

    /// The bytes named `hash`, however many, from the node's store.
    ///
    /// # Errors
    /// When the node does not have them ([`ClientError::is_not_found`]), or sends others
    /// ([`ClientError::WrongHash`]); when this machine's disk has no room for them.
    pub async fn content(&self, hash: &ContentHash) -> Result<Blob, ClientError> {
        let request = Request::repeatable(Method::GET, &format!("/v1/blobs/{hash}")).moving(Load::Blob);
        let blob = self.receive(&request, None).await?;
        if blob.hash() == *hash {
            Ok(blob)
        } else {
            Err(ClientError::WrongHash {
                expected: *hash,
                found: blob.hash(),
            })
        }
    }

    /// Where the node serves `hash`, for [`soma_blobs::Fetcher`].
    pub fn blob_url(&self, hash: &ContentHash) -> Url {
        self.url(&format!("/v1/blobs/{hash}"), &[])
    }

    /// A model's encrypted weights, from the node's store, or from their owner's host by way of the node.
    ///
    /// # Errors
    /// When there is no such model, or it has no weights, or else as [`Self::blob`].
    pub async fn model_weights(&self, model: &ModelId, expected: Expected) -> Result<Blob, ClientError> {
        self.get_blob(&format!("/v1/models/{model}/weights"), expected)
            .await
    }

    /// The data of a submission that has won, from the node's store, or from its host by way of the node.
    ///
    /// # Errors
    /// When there is no such submission, or it has not won, or else as [`Self::blob`].
    pub async fn submission_data(
        &self,
        submission: &SubmissionId,
        expected: Expected,
    ) -> Result<Blob, ClientError> {
        self.get_blob(&format!("/v1/submissions/{submission}/data"), expected)
            .await
    }

    async fn get_blob(&self, path: &str, expected: Expected) -> Result<Blob, ClientError> {
        let request = Request::repeatable(Method::GET, path).moving(Load::Blob);
        self.receive(&request, Some(expected)).await
    }
}
