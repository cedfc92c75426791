//! Why a run fails.

use soma_model::WeightsError;
use soma_types::architecture::ArchitectureError;

use crate::checkpoint::CheckpointError;

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Bad dimensions.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
    /// A setting outside its range.
    #[error("training: {setting} is {value}, must be {range}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// The initial weights are unusable.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The teacher's weights are unusable.
    #[error("the teacher's {0}")]
    Teacher(#[source] WeightsError),
    /// The initial weights are so large that nothing can be computed with them.
    #[error(
        "the weights to start from overflow: their gradient is not finite before any training; the largest value, \
         {value:e}, is in '{tensor}'"
    )]
    Overflow {
        /// The tensor with the largest value.
        tensor: String,
        /// That value.
        value: f32,
    },
    /// A checkpoint could not be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is further than the run is to go.
    #[error("training: the checkpoint holds {done} steps, more than the {steps} asked for")]
    Beyond {
        /// Updates that it holds.
        done: u64,
        /// Updates asked for.
        steps: u64,
    },
    /// The loss left the numbers.
    #[error(
        "training diverged at step {step} (the gradient is not finite); lower the learning rate of {learning_rate}"
    )]
    Diverged {
        /// The update that failed.
        step: u64,
        /// The setting.
        learning_rate: f64,
    },
}
