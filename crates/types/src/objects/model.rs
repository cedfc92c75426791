//! Models and their weights (docs/protocol.md, section 5).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::commission::Commission;
use crate::{
    Address, Architecture, Commitment, ContentHash, DecryptionKey, Embedding, Epoch, ModelId, Shannons, Url,
    hash::domain_hash,
};

/// Where a model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelStatus {
    /// Has never competed.
    Created,
    /// Competes, with its weights and stake frozen for the epoch.
    Active,
    /// Competed before; fresh weights bring it back.
    Stale,
    /// Deactivated or faulted for good.
    Retired,
}

/// Why a model stopped competing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inactivity {
    /// Its weights are older than the refresh time.
    Stale,
    /// Its owner deactivated it.
    Deactivated,
    /// The committee found its weights unusable.
    Faulted,
    /// The network's architecture changed: it has to commit anew.
    Outgrown,
}

/// Encrypted weights as committed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct CommittedWeights {
    /// Where they can be downloaded.
    pub url: Url,
    /// Their length in bytes.
    pub size_bytes: u64,
    /// Their BLAKE3.
    pub hash: ContentHash,
    /// When they were committed.
    pub epoch: Epoch,
    /// Their shape: the network's when they were committed.
    pub architecture: Architecture,
    /// The ledger's count of commits then: of two equal models the lower is the earlier. Kept when
    /// the same file is committed again.
    pub sequence: u64,
    /// [`embedding_commitment`]: what is revealed has to open it. None where the network lets the reveal
    /// choose.
    pub embedding: Option<Commitment>,
}

/// What a commit of weights by `owner` says of their embedding: nobody learns it before the key is shown, and
/// nobody but the owner can show it.
#[must_use]
pub fn embedding_commitment(owner: &Address, key: &DecryptionKey, embedding: &Embedding) -> Commitment {
    let coordinates: Vec<u8> = embedding
        .as_slice()
        .iter()
        .flat_map(|c| c.to_le_bytes())
        .collect();
    Commitment(domain_hash(
        "soma 2026 embedding commitment",
        &[&owner.0, &key.0, &coordinates],
    ))
}

/// Weights with the key that decrypts them. The embedding is stored beside the model.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Weights {
    /// What was committed.
    pub committed: CommittedWeights,
    /// Decrypts it.
    pub key: DecryptionKey,
    /// The epoch from which they compete.
    pub active_from: Epoch,
}

/// A seat's word that a model's weights are unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Report {
    /// The weights, by their commit's place in the order of all commits.
    pub sequence: u64,
    /// Whose seat.
    pub validator: Address,
    /// When: it counts in this epoch and in the next.
    pub epoch: Epoch,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub id: ModelId,
    /// Its position in the list of all models.
    pub index: u64,
    /// Who owns it.
    pub owner: Address,
    /// The owner's share of its rewards.
    pub commission: Commission,
    /// The network's shape when it was created or last committed.
    pub architecture: Architecture,
    /// When it was created.
    pub created: Epoch,
    /// Where it stands.
    pub status: ModelStatus,
    /// Deactivated or faulted, and retired from the next boundary on.
    pub retiring: Option<Inactivity>,
    /// The weights it competes with.
    pub weights: Option<Weights>,
    /// The weights it competed with before those took over: audits of the epoch before need them.
    pub previous: Option<Weights>,
    /// Revealed weights that take over at the next boundary.
    pub revealed: Option<Weights>,
    /// Committed weights that wait for their reveal.
    pub committed: Option<CommittedWeights>,
    /// Who reported its newest weights, for as long as that counts: at most one for each seat.
    pub reports: Vec<Report>,
    /// The weights that the committee found unusable, by their commit's place in the order of all commits.
    pub faulted: Option<u64>,
    /// Hits in the current epoch.
    pub hits: u64,
    /// Hits ever.
    pub hits_total: u64,
    /// Rewards ever: its owner's commission and its pool's part.
    pub rewards_total: Shannons,
}

impl Model {
    /// Whether it takes stake and weights: not retired, nor about to be.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.status != ModelStatus::Retired && self.retiring.is_none()
    }

    /// The weights it competed with in `epoch`, where that is this epoch or the one before.
    #[must_use]
    pub fn weights_in(&self, epoch: Epoch) -> Option<&Weights> {
        [&self.weights, &self.previous]
            .into_iter()
            .flatten()
            .find(|weights| weights.active_from <= epoch)
    }

    /// Whether the committee found the weights unusable with which it competed in `epoch`, where that is this
    /// epoch or the one before: they have no score from then on, for anyone.
    #[must_use]
    pub fn is_faulted_in(&self, epoch: Epoch) -> bool {
        let competing = self.weights_in(epoch).map(|weights| weights.committed.sequence);
        self.faulted.is_some() && self.faulted == competing
    }
}
