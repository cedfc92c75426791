//! How a trainer goes about it. Kept in its folder, so that a later start needs none.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use soma_types::{ContentHash, ModelId, Shannons, transaction::BasisPoints};

use super::plan::Cadence;

/// Settings of a trainer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The owner's text: files, folders or globs, absolute.
    pub data: Vec<PathBuf>,
    /// The model; without one the first round's end creates it.
    pub model: Option<ModelId>,
    /// Weights to start from, kept in the folder; without them the network's genesis weights, or fresh ones
    /// where it has none.
    pub start: Option<ContentHash>,
    /// Optimizer steps of a round.
    pub steps: u64,
    /// The highest learning rate; none: as it suits the architecture, half of it once there are weights.
    pub learning_rate: Option<f64>,
    /// The first round's seed; each later round has the next.
    pub seed: u64,
    /// Targets of others that a round looks at.
    pub targets: usize,
    /// Trained weights are published if their loss is smaller by this share at least.
    pub gain: f64,
    /// After so many wins the embedding follows.
    pub follow_wins: u64,
    /// Or after so many epochs, if there was a win.
    pub follow_epochs: u64,
    /// The owner's share of rewards, of a model that is created.
    pub commission: BasisPoints,
    /// The first stake of a model that is created; none: the least.
    pub stake: Option<Shannons>,
}

impl Settings {
    /// When the embedding follows.
    #[must_use]
    pub const fn cadence(&self) -> Cadence {
        Cadence {
            wins: self.follow_wins,
            epochs: self.follow_epochs,
        }
    }
}
