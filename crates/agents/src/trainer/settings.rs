//! How a trainer goes about it. Kept in its folder, so that a later start needs none.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use soma_data::{Rules, Want};
use soma_types::{ContentHash, ModelId, Shannons, transaction::BasisPoints};

use super::plan::Cadence;

/// Settings of a trainer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The sources of the owner's text; paths are absolute.
    pub data: Vec<PathBuf>,
    /// What is wanted of their records.
    #[serde(default)]
    pub want: Want,
    /// How much of them is enough.
    #[serde(default)]
    pub take_bytes: Option<u64>,
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
    /// How the owner's text is read: as `soma train` reads it.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            want: self.want.clone(),
            take_bytes: self.take_bytes,
            unique: true,
            ..Rules::default()
        }
    }

    /// When the embedding follows.
    #[must_use]
    pub const fn cadence(&self) -> Cadence {
        Cadence {
            wins: self.follow_wins,
            epochs: self.follow_epochs,
        }
    }
}
