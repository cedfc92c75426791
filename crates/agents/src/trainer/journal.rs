//! What a trainer remembers between two steps, and how each step changes it.
//!
//! It says what was done, not what is so: whether weights are committed or revealed is the ledger's to say.
//! So whatever was stopped before it could be noted is found again there.

use serde::{Deserialize, Serialize};
use soma_types::{Address, ChainId, ContentHash, Epoch, ModelId};

/// The format of the file.
const VERSION: u32 = 1;

/// The memory of one trainer: of one model, one owner, one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    version: u32,
    /// The network.
    pub chain: ChainId,
    /// Who owns the model.
    pub owner: Address,
    /// The model, once there is one.
    pub model: Option<ModelId>,
    /// Since this epoch a model is being created.
    pub creating: Option<Epoch>,
    /// Rounds begun.
    pub round: u64,
    /// The epoch in which the last of them began.
    pub began: Option<Epoch>,
    /// How far the round is.
    pub stage: Stage,
    /// Weights on their way to the network: at most one file at a time.
    pub publishing: Option<Publishing>,
    /// What was published last.
    pub published: Option<Published>,
}

/// How far a round is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// None is under way; the next begins with this epoch.
    Resting {
        /// The epoch.
        until: Epoch,
    },
    /// Data that won is being fetched, and text chosen.
    Gathering,
    /// Weights are being trained.
    Training,
    /// Trained weights are to be compared with what was published last.
    Judging {
        /// BLAKE3 of the trained weights.
        candidate: ContentHash,
    },
    /// Weights are to be published.
    Ready {
        /// BLAKE3 of the weights.
        weights: ContentHash,
        /// What for.
        why: Why,
    },
}

/// Why weights are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The model has none yet.
    First,
    /// They are better than those before.
    Better,
    /// They are those before, at the place where the model wins.
    Follow,
    /// They are those before, which would grow stale.
    Refresh,
}

/// Weights on their way to the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publishing {
    /// BLAKE3 of the weights.
    pub weights: ContentHash,
    /// What for.
    pub why: Why,
    /// Where they are registered.
    pub placement: Placement,
    /// BLAKE3 of the encrypted weights, once they were seen committed.
    pub container: Option<ContentHash>,
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// BLAKE3 of the weights.
    pub weights: ContentHash,
    /// Where they are registered.
    pub placement: Placement,
    /// Since when the model is placed by this data.
    pub placed: Epoch,
    /// The model's hits until then.
    pub hits: u64,
}

/// The data whose embedding is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Placement {
    /// A sample of the owner's text.
    Corpus,
    /// Data that the model has won.
    Won {
        /// Its BLAKE3s, latest first.
        data: Vec<ContentHash>,
    },
}

impl Journal {
    /// Of a trainer who has done nothing yet.
    #[must_use]
    pub const fn new(chain: ChainId, owner: Address, model: Option<ModelId>) -> Self {
        Self {
            version: VERSION,
            chain,
            owner,
            model,
            creating: None,
            round: 0,
            began: None,
            stage: Stage::Resting { until: Epoch::ZERO },
            publishing: None,
            published: None,
        }
    }

    /// Whether this version of the program reads it.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.version == VERSION
    }

    /// A round begins.
    pub fn begin(&mut self, epoch: Epoch) {
        self.round += 1;
        self.began = Some(epoch);
        self.stage = Stage::Gathering;
    }

    /// The round is over; the next begins with another epoch.
    pub fn rest(&mut self) {
        self.stage = Stage::Resting {
            until: self.began.map_or(Epoch::ZERO, Epoch::next),
        };
    }

    /// What is ready goes to the network.
    pub fn publish(&mut self, weights: ContentHash, why: Why, placement: Placement) {
        self.publishing = Some(Publishing {
            weights,
            why,
            placement,
            container: None,
        });
        self.rest();
    }

    /// What was on its way is revealed, while the model has this many hits.
    pub fn settle(&mut self, epoch: Epoch, hits: u64) {
        let Some(Publishing {
            weights, placement, ..
        }) = self.publishing.take()
        else {
            return;
        };
        let (placed, hits) = match &self.published {
            Some(before) if before.placement == placement => (before.placed, before.hits),
            _ => (epoch, hits),
        };
        self.published = Some(Published {
            weights,
            placement,
            placed,
            hits,
        });
    }

    /// The weights that training goes on from, and that others have to beat.
    #[must_use]
    pub fn newest(&self) -> Option<ContentHash> {
        let publishing = self.publishing.as_ref().map(|publishing| publishing.weights);
        publishing.or(self.published.as_ref().map(|published| published.weights))
    }

    /// Where the model is registered, or about to be.
    #[must_use]
    pub fn placement(&self) -> Placement {
        let publishing = self.publishing.as_ref().map(|publishing| &publishing.placement);
        let published = self.published.as_ref().map(|published| &published.placement);
        publishing.or(published).cloned().unwrap_or(Placement::Corpus)
    }

    /// Weights that are still needed.
    pub fn weights(&self) -> impl Iterator<Item = ContentHash> {
        let round = match self.stage {
            Stage::Judging { candidate } => Some(candidate),
            Stage::Ready { weights, .. } => Some(weights),
            Stage::Resting { .. } | Stage::Gathering | Stage::Training => None,
        };
        let publishing = self.publishing.as_ref().map(|publishing| publishing.weights);
        let published = self.published.as_ref().map(|published| published.weights);
        [round, publishing, published].into_iter().flatten()
    }
}
