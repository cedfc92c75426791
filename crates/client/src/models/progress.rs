//! How far the publication of given weights has come, and what is due.

use soma_types::{ChainId, ContentHash, Epoch, ModelId, TransactionKind, objects::Model};

use super::publication::{CommittedModel, Publication};
use crate::{account::Account, error::ClientError, journal::PendingModel};

/// Committed weights that wait for their reveal.
#[derive(Clone, Debug)]
pub struct DueModel {
    /// Their secrets.
    pub pending: PendingModel,
    /// The epoch in which they must be revealed.
    pub reveal_in: Epoch,
}

impl Account {
    /// How far the publication of these weights (their BLAKE3) by this account has come: by the ledger's
    /// word, and by following a commit that was left behind.
    ///
    /// # Errors
    /// When the node or the disk fails, or the commit that was left behind did ([`Account::resume`]).
    pub async fn publication(
        &self,
        model: ModelId,
        weights: ContentHash,
    ) -> Result<Publication, ClientError> {
        let (chain, epoch) = (self.chain().await?, self.current_epoch().await?);
        let own = self.containers_of(weights).await?.into_iter();
        for pending in own.filter(|entry| entry.model == model && epoch <= entry.keep_until) {
            let left = self.left_commit(&chain, pending.hash).await?;
            let receipt = match left {
                Some(kind) => self.resume(&kind).await?,
                None => None,
            };
            let model = self.node().model(&model).await?.model;
            let active_from = competes_from(&model, pending.hash);
            if let Some(committed) = model.committed.filter(|committed| committed.hash == pending.hash) {
                return Ok(Publication::Committed(Box::new(CommittedModel {
                    model: pending.model,
                    hash: pending.hash,
                    size_bytes: committed.size_bytes,
                    url: committed.url,
                    reveal_in: committed.epoch.next(),
                    receipt,
                })));
            }
            if let Some(active_from) = active_from {
                self.journaled(move |journal| journal.remove_model(&chain, &pending.hash))
                    .await?;
                return Ok(Publication::Revealed(active_from));
            }
        }
        Ok(Publication::Begins)
    }

    /// The containers of these weights (their BLAKE3) that this account has begun to publish, and has not
    /// learned to be revealed, by this machine's journal.
    ///
    /// # Errors
    /// When the node or the disk fails.
    pub async fn containers_of(&self, weights: ContentHash) -> Result<Vec<PendingModel>, ClientError> {
        let (chain, owner) = (self.chain().await?, self.address());
        let found = self.journaled(move |journal| journal.models(&chain)).await?;
        let mut entries = found.entries;
        entries.retain(|entry| entry.owner == owner && entry.weights == Some(weights));
        Ok(entries)
    }

    /// The commit to a container that was handed in, and whose end is not known.
    async fn left_commit(
        &self,
        chain: &ChainId,
        container: ContentHash,
    ) -> Result<Option<TransactionKind>, ClientError> {
        let outbox = self.outbox(chain);
        let left = self.journaled(move |_| outbox.all()).await?;
        let kinds = left.into_iter().map(|signed| signed.transaction.kind);
        Ok(kinds
            .into_iter()
            .find(|kind| matches!(kind, TransactionKind::CommitModel { hash, .. } if *hash == container)))
    }

    /// This account's weights that are committed and not yet revealed, and drops the secrets of commits that
    /// never happened or have lapsed. What a program asks when it starts.
    ///
    /// # Errors
    /// When the node or the disk fails.
    pub async fn pending_models(&self) -> Result<Vec<DueModel>, ClientError> {
        let (chain, epoch) = (self.chain().await?, self.current_epoch().await?);
        let found = self.journaled(move |journal| journal.models(&chain)).await?;
        let mut due = Vec::new();
        for pending in found
            .entries
            .into_iter()
            .filter(|entry| entry.owner == self.address())
        {
            let committed = match self.node().model(&pending.model).await {
                Ok(view) => view
                    .model
                    .committed
                    .filter(|committed| committed.hash == pending.hash),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error),
            };
            match committed {
                Some(committed) => due.push(DueModel {
                    pending,
                    reveal_in: committed.epoch.next(),
                }),
                None if epoch > pending.keep_until => {
                    self.journaled(move |journal| journal.remove_model(&chain, &pending.hash))
                        .await?;
                }
                None => {}
            }
        }
        Ok(due)
    }
}

/// From when the weights in this container compete, where they are a model's newest revealed ones.
pub(super) fn competes_from(model: &Model, container: ContentHash) -> Option<Epoch> {
    let newest = model.revealed.as_ref().or(model.weights.as_ref())?;
    (newest.committed.hash == container).then_some(newest.active_from)
}
