//! What a step did, in words.

use std::fmt;

use serde::Serialize;
use soma_types::{Epoch, ModelId};

use super::journal::Why;

/// What a step did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Deed {
    /// A round began.
    Began {
        /// Its number.
        round: u64,
        /// In which epoch.
        epoch: Epoch,
    },
    /// Data that won was fetched, and text chosen.
    Gathered {
        /// Winners that were new here.
        winners: usize,
        /// Of those, the model's own.
        own: usize,
        /// Winners whose data the network does not keep any more.
        gone: usize,
        /// Texts chosen to train on beside the owner's: those of others on which they are better.
        chosen: usize,
    },
    /// Weights were trained.
    Trained {
        /// Steps that were made.
        steps: u64,
        /// The last step's.
        bits_per_byte: Option<f64>,
    },
    /// Training went on from nothing, for its progress did not fit any more.
    BeganAnew {
        /// Why not.
        reason: String,
    },
    /// Training failed, and its round is over.
    GaveUp {
        /// What failed.
        reason: String,
    },
    /// Weights were compared.
    Judged {
        /// Mean loss of the trained ones on held-out text, in nano-nats.
        candidate_nano: u64,
        /// The same of those before.
        before_nano: Option<u64>,
        /// What is published, if anything.
        publishes: Option<Why>,
    },
    /// A model was created.
    Created {
        /// Its name.
        model: ModelId,
    },
    /// Weights were committed.
    Committed {
        /// When they are to be revealed.
        reveal_in: Epoch,
    },
    /// Weights were revealed.
    Revealed {
        /// From when they compete.
        competes_from: Epoch,
    },
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nats = |nano: u64| nano as f64 / 1e9;
        match self {
            Self::Began { round, epoch } => write!(f, "round {round} begins in epoch {epoch}"),
            Self::Gathered {
                winners,
                own,
                gone,
                chosen,
            } => write!(
                f,
                "fetched the data of {winners} winners, {own} of them this model's; {gone} are gone; training on the \
                 {chosen} of others on which they are better"
            ),
            Self::Trained { steps, bits_per_byte } => match bits_per_byte {
                Some(bits) => write!(f, "trained {steps} steps, to {bits:.3} bits/byte"),
                None => write!(f, "trained {steps} steps"),
            },
            Self::BeganAnew { reason } => write!(f, "training begins anew: {reason}"),
            Self::GaveUp { reason } => write!(f, "this round publishes nothing: {reason}"),
            Self::Judged {
                candidate_nano,
                before_nano,
                publishes,
            } => {
                write!(f, "held-out loss {:.4}", nats(*candidate_nano))?;
                if let Some(before) = before_nano {
                    write!(f, ", before {:.4}", nats(*before))?;
                }
                f.write_str(match publishes {
                    Some(Why::First) => ": the model's first weights",
                    Some(Why::Better) => ": better, to be published",
                    Some(Why::Follow) => {
                        ": not better; those before are registered anew, where the model wins"
                    }
                    Some(Why::Refresh) => {
                        ": not better; those before are committed anew, for they would grow stale"
                    }
                    None => ": not better, so nothing is published",
                })
            }
            Self::Created { model } => write!(f, "created model {model}"),
            Self::Committed { reveal_in } => write!(f, "committed; to be revealed in epoch {reveal_in}"),
            Self::Revealed { competes_from } => {
                write!(f, "revealed; the weights compete from epoch {competes_from}")
            }
        }
    }
}
