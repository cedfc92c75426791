//! The first step: committing to encrypted weights.

use soma_blobs::{Blob, Location, container};
use soma_types::{
    ContentHash, DecryptionKey, Embedding, ModelId, RejectionCode, TransactionKind, Url,
    objects::embedding_commitment,
};

use super::publication::{CommittedModel, Publication};
use crate::{
    account::{Account, LIFETIME_EPOCHS},
    blocking::blocking,
    error::{ClientError, unexpected},
    journal::PendingModel,
};

/// Weights that were encrypted before.
#[derive(Clone, Debug)]
pub struct Encrypted {
    /// BLAKE3 of the container.
    pub hash: ContentHash,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Opens it; the journal keeps it until the reveal. None where the caller alone has it, who must then
    /// keep it for [`Account::reveal_model_with`].
    pub key: Option<DecryptionKey>,
    /// BLAKE3 of the weights themselves, where it is known ([`PendingModel::weights`]).
    pub weights: Option<ContentHash>,
}

impl Account {
    /// Commits to `weights` (a safetensors file), the first or an update: encrypts them, hands them to the
    /// node, commits. The embedding is fixed if it is given now; a network may want that, and else it may be
    /// given at the reveal. Weights that are committed already, or are by another process meanwhile, are not
    /// committed again.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn commit_model(
        &self,
        model: ModelId,
        weights: Blob,
        embedding: Option<Embedding>,
    ) -> Result<CommittedModel, ClientError> {
        let plain = weights.hash();
        if let Publication::Committed(committed) = self.publication(model, plain).await? {
            return Ok(*committed);
        }
        let sealed = blocking(move || {
            Blob::written(|writer| {
                container::encrypt_stream(&mut weights.reader(), weights.size_bytes(), writer)
            })
        });
        let (container, key) = sealed.await??;
        let encrypted = Encrypted {
            hash: container.hash(),
            size_bytes: container.size_bytes(),
            key: Some((&key).into()),
            weights: Some(plain),
        };
        let url = Location::Soma(encrypted.hash)
            .to_string()
            .parse()
            .expect("soma: and a hash make a short ASCII URL");
        let committed = self
            .commit_container(model, url, encrypted, Some(&container), embedding)
            .await;
        match committed {
            Err(error) if error.rejection_code() == Some(RejectionCode::AlreadyCommitted) => {
                match self.publication(model, plain).await? {
                    Publication::Committed(committed) => Ok(*committed),
                    Publication::Begins | Publication::Revealed(_) => Err(error),
                }
            }
            committed => committed,
        }
    }

    /// Commits to a container, of weights that were encrypted before ([`soma_blobs::encrypt`]), that `url`
    /// serves.
    ///
    /// # Errors
    /// When `url` is not public, the ledger says no ([`ClientError::rejection_code`]), or how it ended did
    /// not become known ([`ClientError::is_unknown`]).
    pub async fn commit_encrypted(
        &self,
        model: ModelId,
        url: Url,
        encrypted: Encrypted,
        embedding: Option<Embedding>,
    ) -> Result<CommittedModel, ClientError> {
        Location::parse_public(url.as_str()).map_err(|error| ClientError::Argument(error.to_string()))?;
        self.commit_container(model, url, encrypted, None, embedding)
            .await
    }

    /// Commits to a container, once the node hosts it where it is given.
    async fn commit_container(
        &self,
        model: ModelId,
        url: Url,
        encrypted: Encrypted,
        hosted: Option<&Blob>,
        embedding: Option<Embedding>,
    ) -> Result<CommittedModel, ClientError> {
        // One of them may stand already: then this one fails, and is not sent where the account rehearses.
        self.unheard_commits().await?;
        let chain = self.chain().await?;
        let Encrypted {
            hash,
            size_bytes,
            key,
            weights,
        } = encrypted;
        // Fixed where it is known: what is revealed has to be it.
        let fixed = key
            .zip(embedding.as_ref())
            .map(|(key, embedding)| embedding_commitment(&self.address(), &key, embedding));
        if let Some(key) = key {
            let pending = PendingModel {
                chain,
                owner: self.address(),
                model,
                hash,
                weights,
                key,
                embedding,
                keep_until: self.current_epoch().await?.plus(LIFETIME_EPOCHS + 1),
            };
            self.journaled(move |journal| journal.put_model(&pending)).await?;
        }
        let committed = async {
            if let Some(container) = hosted {
                self.node().put_blob(container).await?;
            }
            self.execute(TransactionKind::CommitModel {
                model,
                url: url.clone(),
                size_bytes,
                hash,
                embedding: fixed,
            })
            .await
        };
        let receipt = match committed.await {
            Ok(receipt) => receipt,
            Err(error) => {
                // Where the ledger said no, there is nothing to reveal. Otherwise it may yet happen.
                if error.rejection_code().is_some() {
                    self.journaled(move |journal| journal.remove_model(&chain, &hash))
                        .await?;
                }
                return Err(error);
            }
        };
        let view = self.node().model(&model).await?;
        let committed = view.model.committed.filter(|committed| committed.hash == hash);
        let epoch = committed
            .ok_or_else(|| unexpected("the committed weights"))?
            .epoch;
        Ok(CommittedModel {
            model,
            hash,
            size_bytes,
            url,
            reveal_in: epoch.next(),
            receipt: Some(receipt),
        })
    }
}
