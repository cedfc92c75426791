//! A [`Bench`]: all that a target's scores depend on but the data. Its models' weights as they competed, and
//! its epoch's seed; of an epoch that is over too, whatever its models have become.

use std::{sync::Arc, time::Duration};

use soma_blobs::{Blob, Expected};
use soma_client::{ClientError, NodeClient};
use soma_model::{Contest, Directions};
use soma_types::{
    Epoch, ModelId, Seed,
    api::{GenerationView, TargetView},
    objects::{CommittedWeights, EpochState, Found, Weights},
};

use crate::{
    download::{DownloadError, Named},
    experts::{ExpertError, Experts},
    scoring_desk::{Case, NoScore, ScoringDesk},
};

/// How long the node may take to get a file of weights from its owner's host.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why nothing could be scored.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The node.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The data.
    #[error("the data: {0}")]
    Data(#[from] DownloadError),
    /// The node does not know with which weights a model competed.
    #[error("the node does not know with which weights model {model} competed in epoch {epoch}")]
    NoWeights {
        /// The model.
        model: ModelId,
        /// The epoch.
        epoch: Epoch,
    },
    /// A model's weights.
    #[error("model {model}: {error}")]
    Expert {
        /// The model.
        model: ModelId,
        /// Why they cannot be used.
        #[source]
        error: ExpertError,
    },
    /// Scoring said no.
    #[error(transparent)]
    Score(#[from] NoScore),
}

/// What a target's scores depend on but the data.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The target.
    pub target: TargetView,
    /// The state of its epoch, or how that closed.
    pub epoch: EpochState,
    /// Its models' weights as they competed, in its order.
    pub weights: Vec<Weights>,
    directions: Arc<Directions>,
}

impl Bench {
    /// Of a target of any epoch.
    ///
    /// # Errors
    /// When the node does not answer, or does not know the weights of then.
    pub async fn of(node: &NodeClient, target: TargetView) -> Result<Self, BenchError> {
        let epoch = node.epoch(Some(target.target.epoch)).await?.state;
        let mut weights = Vec::with_capacity(target.target.models.len());
        for model in &target.target.models {
            weights.push(weights_in(node, model, &epoch).await?);
        }
        let directions = Arc::new(Directions::draw(&epoch.seed, &epoch.architecture));
        Ok(Self {
            target,
            epoch,
            weights,
            directions,
        })
    }

    /// The seed that SIGReg's directions come from.
    #[must_use]
    pub const fn seed(&self) -> Seed {
        self.epoch.seed
    }

    /// The exact scores of `data` on it.
    ///
    /// # Errors
    /// When weights cannot be had, or the data has no score.
    pub async fn contest(
        &self,
        data: Blob,
        experts: &Experts,
        desk: &ScoringDesk,
    ) -> Result<Arc<Contest>, BenchError> {
        for (model, weights) in self.target.target.models.iter().zip(&self.weights) {
            // It is there: one after the other is taken when it is its turn. One that nobody can use has no
            // score.
            match experts.fetch(weights, PATIENCE).await {
                Err(error) if !error.is_final() => {
                    let model = *model;
                    return Err(BenchError::Expert { model, error });
                }
                _ => {}
            }
        }
        let case = Case {
            seed: self.seed(),
            directions: Arc::clone(&self.directions),
            data,
            models: self.weights.iter().cloned().map(Some).collect(),
        };
        desk.contest(case, experts).await.map_err(|error| match error {
            NoScore::Expert { index, error } => BenchError::Expert {
                model: self.target.target.models[index],
                error,
            },
            error => error.into(),
        })
    }
}

/// The weights with which a model competed in an epoch.
///
/// # Errors
/// When the node does not answer, or does not know.
pub async fn weights_in(
    node: &NodeClient,
    model: &ModelId,
    epoch: &EpochState,
) -> Result<Weights, BenchError> {
    let view = node.model(model).await?;
    // The ledger knows those of now and the last before.
    if let Some(weights) = view.model.weights_in(epoch.epoch) {
        return Ok(weights.clone());
    }
    let generations = node.generations(model).await?;
    let competed = generations.iter().find(|one| competed_in(one, epoch.epoch));
    competed
        .and_then(|generation| weights_of(generation, epoch))
        .ok_or(BenchError::NoWeights {
            model: *model,
            epoch: epoch.epoch,
        })
}

/// Whether weights competed in an epoch.
#[must_use]
pub fn competed_in(generation: &GenerationView, epoch: Epoch) -> bool {
    let until = generation.active_until;
    generation.active_from.is_some_and(|from| from <= epoch) && until.is_none_or(|until| epoch <= until)
}

/// A generation that competed in an epoch, as weights to score with. Its place among all commits is left at
/// zero: only the order of a target's models tells.
#[must_use]
pub fn weights_of(generation: &GenerationView, epoch: &EpochState) -> Option<Weights> {
    Some(Weights {
        committed: CommittedWeights {
            url: generation.url.clone(),
            size_bytes: generation.size_bytes,
            hash: generation.hash,
            epoch: generation.committed,
            architecture: epoch.architecture,
            sequence: 0,
            embedding: None,
        },
        key: generation.key?,
        active_from: generation.active_from?,
    })
}

/// The data of a submission, from the node's store or its owner's host, checked against its hash.
///
/// # Errors
/// Where it cannot be had, or other data came.
pub async fn data_of(experts: &Experts, found: &Found) -> Result<Blob, BenchError> {
    let named = Named {
        url: found.data_url.clone(),
        expected: Expected {
            hash: found.data_hash,
            size_bytes: found.data_size_bytes,
        },
    };
    Ok(experts.downloader().download(&named).await?)
}
