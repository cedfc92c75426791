//! What participants do, in whole steps: pay, stake, publish models.
//!
//! A model is published in two steps, an epoch apart. [`Account::commit_model`] encrypts the weights, writes
//! the key to the journal, hands the container to the node and commits to it; [`Account::reveal_model`]
//! finds the key again and reveals it. A crash between the two, or in the middle of the first, loses
//! nothing: [`Account::pending_models`] says what is still to be revealed, and [`Account::publication`] how far given
//! weights have come, so that who brings them again goes on instead of beginning anew.

use std::time::{Duration, Instant};

use soma_blobs::{container, location::Location};
use soma_types::equivocation::Equivocation;
use soma_types::keys::Keypair;
use soma_types::list::List;
use soma_types::objects::Weights;
use soma_types::receipt::{Created, Outcome};
use soma_types::transaction::{
    BasisPoints, ModelFault, Payment, PoolId, VALIDATOR_KEY_NAMESPACE, Withdrawal, validator_key_message,
};
use soma_types::upgrade::{Ballot, Upgrade};
use soma_types::{
    Architecture, ChainId, ContentHash, DecryptionKey, Embedding, Epoch, ModelId, Receipt, Shannons,
    SubmissionId, TransactionKind, Url,
};

use crate::account::{Account, LIFETIME_EPOCHS};
use crate::error::ClientError;
use crate::journal::{Journal, PendingModel};
use crate::node::NodeClient;

/// Weights that were committed.
#[derive(Clone, Debug)]
pub struct CommittedModel {
    /// The model.
    pub model: ModelId,
    /// BLAKE3 of the encrypted weights.
    pub hash: ContentHash,
    /// Their length in bytes.
    pub size_bytes: u64,
    /// Where they can be fetched.
    pub url: Url,
    /// The epoch in which they must be revealed.
    pub reveal_in: Epoch,
    /// The commit's receipt; none where an earlier process has committed them.
    pub receipt: Option<Receipt>,
}

/// How far the publication of weights has come.
#[derive(Clone, Debug)]
pub enum Publication {
    /// Nothing that is known has been done.
    Begins,
    /// They are committed and wait for their reveal.
    Committed(Box<CommittedModel>),
    /// They are revealed, and compete from this epoch.
    Revealed(Epoch),
}

/// Committed weights that wait for their reveal.
#[derive(Clone, Debug)]
pub struct DueModel {
    /// Their secrets.
    pub pending: PendingModel,
    /// The epoch in which they must be revealed.
    pub reveal_in: Epoch,
}

impl Account {
    /// Pays others, and [`Params::account_price`](soma_types::params::Params::account_price) for each who has no
    /// account yet.
    pub async fn transfer(&self, payments: Vec<Payment>) -> Result<Receipt, ClientError> {
        let payments = List::new(payments).map_err(|error| ClientError::Argument(error.to_string()))?;
        self.execute(TransactionKind::Transfer { payments }).await
    }

    /// Adds stake to a pool; it counts from the next epoch.
    pub async fn add_stake(&self, pool: PoolId, amount: Shannons) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::AddStake { pool, amount }).await
    }

    /// Takes stake out of a pool; it unbonds first.
    pub async fn withdraw_stake(&self, pool: PoolId, amount: Withdrawal) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::WithdrawStake { pool, amount })
            .await
    }

    /// Demands that a winner be audited. Locks a bond: lost to the submitter if the winner is found valid, back
    /// with a share of the winner's if it is found false.
    pub async fn challenge(&self, submission: SubmissionId) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::ChallengeSubmission { submission })
            .await
    }

    /// Makes this account a validator, whose node signs with `network`: a seat from the next epoch, if its stake is
    /// among the largest then.
    pub async fn register_validator(
        &self,
        network: &Keypair,
        commission: BasisPoints,
        stake: Shannons,
    ) -> Result<Receipt, ClientError> {
        let message = validator_key_message(&self.chain().await?, &self.address());
        self.execute(TransactionKind::RegisterValidator {
            network_key: network.public_key(),
            proof: network.sign(VALIDATOR_KEY_NAMESPACE, &message),
            commission,
            stake,
        })
        .await
    }

    /// Gives up this validator's seat at the next boundary. Its stake stays where it is until withdrawn.
    pub async fn leave_validator(&self) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::LeaveValidator).await
    }

    /// Changes this validator's share of its pool's rewards from the next epoch.
    pub async fn set_validator_commission(&self, commission: BasisPoints) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::SetValidatorCommission { commission })
            .await
    }

    /// Votes, as a validator, on the price of storing a MiB of weights for an epoch.
    pub async fn set_rent_vote(&self, rent_per_mib_epoch: Shannons) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::SetRentVote { rent_per_mib_epoch })
            .await
    }

    /// Reports, as a validator with a seat, that a model's revealed weights are unusable.
    pub async fn report_model(&self, model: ModelId, fault: ModelFault) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::ReportModel { model, fault }).await
    }

    /// Proposes a change of the protocol, as a validator with a seat. Returns the proposal's number.
    pub async fn propose_upgrade(&self, upgrade: Upgrade) -> Result<(u64, Receipt), ClientError> {
        let receipt = self.execute(TransactionKind::ProposeUpgrade { upgrade }).await?;
        match receipt.outcome {
            Outcome::Applied {
                created: Some(Created::Proposal(proposal)),
            } => Ok((proposal, receipt)),
            _ => Err(unexpected("a proposal")),
        }
    }

    /// Votes on a change of the protocol, as a validator with a seat.
    pub async fn vote_upgrade(&self, proposal: u64, ballot: Ballot) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::VoteUpgrade { proposal, ballot })
            .await
    }

    /// Hands in evidence that a validator voted for two blocks in one view.
    pub async fn report_equivocation(&self, evidence: Equivocation) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::ReportEquivocation { evidence })
            .await
    }

    /// Creates a model of the network's architecture.
    pub async fn create_model(
        &self,
        commission: BasisPoints,
        stake: Shannons,
    ) -> Result<ModelId, ClientError> {
        let architecture = self.params().await?.architecture;
        self.create_model_of(commission, stake, architecture).await
    }

    /// Creates a model of a given architecture, which the ledger compares with the network's.
    pub async fn create_model_of(
        &self,
        commission: BasisPoints,
        stake: Shannons,
        architecture: Architecture,
    ) -> Result<ModelId, ClientError> {
        let receipt = self
            .execute(TransactionKind::CreateModel {
                commission,
                stake,
                architecture,
            })
            .await?;
        match receipt.outcome {
            Outcome::Applied {
                created: Some(Created::Model(model)),
            } => Ok(model),
            _ => Err(unexpected("a created model")),
        }
    }

    /// Commits to `weights` (a safetensors file), the first or an update: encrypts them, hands them to the
    /// node, commits. The embedding may be given now or at the reveal. Weights that are committed already are not
    /// committed again.
    pub async fn commit_model(
        &self,
        model: ModelId,
        weights: Vec<u8>,
        embedding: Option<Embedding>,
    ) -> Result<CommittedModel, ClientError> {
        let plain = ContentHash::of(&weights);
        if let Publication::Committed(committed) = self.publication(model, plain).await? {
            return Ok(*committed);
        }
        let (container, key) = blocking(move || container::encrypt(&weights)).await??;
        let hash = ContentHash::of(&container);
        let url = Location::Soma(hash)
            .to_string()
            .parse()
            .expect("soma: and a hash make a short ASCII URL");
        self.commit_container(model, url, container, (&key).into(), embedding, Some(plain))
            .await
    }

    /// How far the publication of these weights (their BLAKE3) by this account has come: by the ledger's word, and by
    /// following a commit that was left behind.
    pub async fn publication(
        &self,
        model: ModelId,
        weights: ContentHash,
    ) -> Result<Publication, ClientError> {
        let (chain, epoch) = (self.chain().await?, self.current_epoch().await?);
        let found = self.journaled(move |journal| journal.models(&chain)).await?;
        let mine = found.entries.into_iter().filter(|entry| {
            entry.owner == self.address()
                && entry.model == model
                && entry.weights == Some(weights)
                && epoch <= entry.keep_until
        });
        for pending in mine {
            let left = self.left_commit(&chain, pending.hash).await?;
            let receipt = match left {
                Some(kind) => self.resume(&kind).await?,
                None => None,
            };
            let model = self.node().model(&model).await?.model;
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
            let revealed = model.revealed.or(model.weights);
            if let Some(revealed) = revealed.filter(|revealed| revealed.committed.hash == pending.hash) {
                self.journaled(move |journal| journal.remove_model(&chain, &pending.hash))
                    .await?;
                return Ok(Publication::Revealed(revealed.active_from));
            }
        }
        Ok(Publication::Begins)
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

    /// Commits to weights that were encrypted before ([`soma_blobs::encrypt`]) and that `url` serves.
    pub async fn commit_encrypted(
        &self,
        model: ModelId,
        url: Url,
        container: Vec<u8>,
        key: DecryptionKey,
        embedding: Option<Embedding>,
    ) -> Result<CommittedModel, ClientError> {
        Location::parse_public(url.as_str()).map_err(|error| ClientError::Argument(error.to_string()))?;
        self.commit_container(model, url, container, key, embedding, None)
            .await
    }

    /// Commits to a container. The node hosts it where `weights`, the BLAKE3 of what is in it, are given.
    async fn commit_container(
        &self,
        model: ModelId,
        url: Url,
        container: Vec<u8>,
        key: DecryptionKey,
        embedding: Option<Embedding>,
        weights: Option<ContentHash>,
    ) -> Result<CommittedModel, ClientError> {
        let chain = self.chain().await?;
        let (hash, size_bytes) = (ContentHash::of(&container), container.len() as u64);
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
        let committed = async {
            if weights.is_some() {
                self.node().put_blob(container).await?;
            }
            self.execute(TransactionKind::CommitModel {
                model,
                url: url.clone(),
                size_bytes,
                hash,
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

    /// Reveals the weights that `model` has committed, with the key from the journal. The embedding given
    /// here, if any, takes precedence over the one given at the commit.
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
        let embedding = embedding.or(pending.embedding).ok_or(ClientError::ModelLacks {
            model,
            what: "embedding: give the reveal the text that it is good at, and its weights",
        })?;
        self.reveal_model_with(model, hash, pending.key, embedding).await
    }

    /// Reveals weights with a key that the caller kept.
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

    /// Changes the owner's share of a model's rewards from the next epoch.
    pub async fn set_model_commission(
        &self,
        model: ModelId,
        commission: BasisPoints,
    ) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::SetModelCommission { model, commission })
            .await
    }

    /// Ends a model's competing at the next boundary, for good.
    pub async fn deactivate_model(&self, model: ModelId) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::DeactivateModel { model }).await
    }

    /// This account's weights that are committed and not yet revealed, and drops the secrets of commits that
    /// never happened or have lapsed. What a program asks when it starts.
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

    /// Runs a step of the journal off the executor, since it waits for the disk.
    pub(crate) async fn journaled<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Journal) -> Result<T, soma_files::FileError> + Send + 'static,
    ) -> Result<T, ClientError> {
        let journal = self.journal().clone();
        Ok(blocking(move || step(&journal)).await??)
    }
}

impl NodeClient {
    /// A model's weights, decrypted: those it competes with, or has revealed. Verified against the ledger.
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
    pub async fn fetch_weights(&self, weights: &Weights) -> Result<Vec<u8>, ClientError> {
        open(self.blob(&weights.committed.hash).await?, weights).await
    }

    /// Waits until `epoch` is in progress (or over), at most `timeout`; the epoch then in progress.
    pub async fn wait_for_epoch(&self, epoch: Epoch, timeout: Duration) -> Result<Epoch, ClientError> {
        let start = Instant::now();
        loop {
            let status = self.status().await?;
            if status.epoch >= epoch {
                return Ok(status.epoch);
            }
            let waited = start.elapsed();
            if waited >= timeout {
                return Err(ClientError::GaveUp {
                    what: format!("epoch {epoch}"),
                    waited,
                });
            }
            let next_height = status.epoch_first_height.plus(status.epoch_length_blocks);
            let blocks = next_height.0.saturating_sub(status.height.0);
            let expected = Duration::from_millis(blocks.saturating_mul(status.block_ms.p50) / 2);
            let delay = expected.clamp(Duration::from_millis(100), Duration::from_secs(5));
            tokio::time::sleep(delay.min(timeout - waited)).await;
        }
    }

    /// Waits for the next boundary; the epoch that then begins.
    pub async fn wait_for_next_epoch(&self, timeout: Duration) -> Result<Epoch, ClientError> {
        let epoch = self.status().await?.epoch;
        self.wait_for_epoch(epoch.next(), timeout).await
    }
}

async fn open(container: Vec<u8>, weights: &Weights) -> Result<Vec<u8>, ClientError> {
    let key = weights.key.into();
    Ok(blocking(move || container::decrypt(&container, &key)).await??)
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

/// An answer that an honest node does not give.
pub(crate) fn unexpected(missing: &str) -> ClientError {
    ClientError::BadAnswer {
        request: "a transaction that took effect".to_owned(),
        reason: format!("{missing} is missing"),
    }
}

/// Runs heavy or blocking work off the executor.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ClientError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Ok(value),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(ClientError::Argument(format!(
                "the program is shutting down: {error}"
            ))),
        },
    }
}
