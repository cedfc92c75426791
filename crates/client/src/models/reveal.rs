//! The second step: revealing the key.

use soma_types::{ContentHash, DecryptionKey, Embedding, ModelId, Receipt, TransactionKind};

use super::{CommittedModel, progress::competes_from};
use crate::{account::Account, error::ClientError};

impl Account {
    /// Reveals the weights that `model` has committed, with the key from the journal. Where the commit fixed
    /// an embedding, it is that one; else the one given here comes before one that was given then.
    ///
    /// # Errors
    /// When nothing is committed, or its key or embedding is not here; when the ledger says no
    /// ([`ClientError::rejection_code`]), or how it ended did not become known ([`ClientError::is_unknown`]).
    pub async fn reveal_model(
        &self,
        model: ModelId,
        embedding: Option<Embedding>,
    ) -> Result<Receipt, ClientError> {
        let view = self.node().model(&model).await?;
        let committed = view.model.committed.ok_or(ClientError::ModelLacks {
            model,
            what: "committed weights to reveal",
        })?;
        let (chain, hash) = (self.chain().await?, committed.hash);
        let pending = self
            .journaled(move |journal| journal.model(&chain, &hash))
            .await?
            .ok_or(ClientError::SecretMissing { model, hash })?;
        let embedding = match committed.embedding {
            Some(_) => pending.embedding.or(embedding),
            None => embedding.or(pending.embedding),
        };
        let embedding = embedding.ok_or(ClientError::ModelLacks {
            model,
            what: "embedding: give the reveal the text that it is good at, and its weights",
        })?;
        self.reveal_model_with(model, hash, pending.key, embedding).await
    }

    /// Reveals what was committed; `None` where another process has by now.
    ///
    /// # Errors
    /// As [`Account::reveal_model`].
    pub async fn reveal_committed(
        &self,
        committed: &CommittedModel,
        embedding: Option<Embedding>,
    ) -> Result<Option<Receipt>, ClientError> {
        let error = match self.reveal_model(committed.model, embedding).await {
            Ok(receipt) => return Ok(Some(receipt)),
            Err(error) => error,
        };
        if error.is_unknown() {
            return Err(error);
        }
        let model = self.node().model(&committed.model).await?.model;
        match competes_from(&model, committed.hash) {
            Some(_) => Ok(None),
            None => Err(error),
        }
    }

    /// Reveals weights with a key that the caller kept.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn reveal_model_with(
        &self,
        model: ModelId,
        hash: ContentHash,
        key: DecryptionKey,
        embedding: Embedding,
    ) -> Result<Receipt, ClientError> {
        let receipt = self
            .execute(TransactionKind::RevealModel {
                model,
                key,
                embedding,
            })
            .await?;
        let chain = self.chain().await?;
        self.journaled(move |journal| journal.remove_model(&chain, &hash))
            .await?;
        Ok(receipt)
    }
}
