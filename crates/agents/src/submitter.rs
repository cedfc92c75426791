//! The submitter: score a document with the network's models, find an open target it hits, submit it in
//! two steps.
//!
//! Upon a document:
//! - leave it if it is someone's already, as far as that is known before it is revealed;
//! - if asked to, estimate its scores from a few chunks, and leave it if it comes near no open target;
//! - score it with every model that an open target has and that the node keeps or gets within
//!   [`BRINGING_MAX`]: a target with another one is left to others, since auditors could not check a claim on
//!   it either;
//! - of the open targets it hits, take the one that this submitter's key ranks first, so that submitters
//!   of like data do not all race for the closest;
//! - hand the data to the node, commit, and reveal in a later block.
//!
//! Persistence: salt, reveal and data are in the client's journal before the commit is sent, so a crash
//! between commit and reveal loses nothing.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

use soma_client::{Account, ClientError, NodeClient, Scores as Claim, TargetFilter};
use soma_model::{BackendError, Directions, Fast as _, FastScore, Model, Sample, ScoreError, Scorer};
use soma_types::{
    ContentHash, ModelId, Seed, SubmissionId, TargetId,
    api::TargetView,
    hash::domain_hash,
    objects::{EpochState, TargetStatus},
    params::Params,
};

use crate::{
    experts::Experts,
    matching::{self, Hit, Miss, Scores},
};

/// How long a host may take to deliver a model's weights, once in an epoch; and no more than an eighth of
/// that.
pub const BRINGING_MAX: Duration = Duration::from_secs(10);

/// Why a document could not be tried at all.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The node did not answer, or not as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// This machine cannot score exactly.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The document cannot be scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// Scoring panicked, which is a bug.
    #[error("scoring stopped unexpectedly: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// What became of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Attempt {
    /// It hits no open target.
    Missed(Miss),
    /// It was committed and revealed, and races for its target now.
    Revealed(SubmissionId),
    /// It is someone's already, so nothing was paid for it; by whose word, in words.
    Known(String),
    /// The ledger said no, to the commit or to the reveal, for the reason of this name.
    Rejected(String),
}

type Models = BTreeMap<ModelId, Arc<Model>>;

/// What is frozen for an epoch.
#[derive(Debug)]
struct EpochFacts {
    seed: Seed,
    directions: Arc<Directions>,
    /// Those met so far, with the weights they compete with; none where those cannot be had or used.
    models: BTreeMap<ModelId, Option<Arc<Model>>>,
}

/// Submits documents under one key.
#[derive(Debug)]
pub struct Submitter {
    account: Account,
    params: Params,
    scorer: Scorer,
    prefilter: Option<Sample>,
    experts: Experts,
    epoch: Option<EpochFacts>,
}

impl Submitter {
    /// A submitter that signs as `account`.
    ///
    /// # Errors
    /// When this machine cannot score exactly.
    pub fn new(account: Account, params: Params, experts: Experts) -> Result<Self, BackendError> {
        Ok(Self {
            account,
            params,
            scorer: Scorer::new()?,
            prefilter: None,
            experts,
            epoch: None,
        })
    }

    /// Estimates every document from at most `chunks` of its chunks, and scores only what may hit.
    #[must_use]
    pub const fn prefiltered(mut self, chunks: NonZeroUsize) -> Self {
        self.prefilter = Some(Sample {
            scorer: self.scorer,
            chunks,
        });
        self
    }

    /// Whom it submits for.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    fn node(&self) -> &NodeClient {
        self.account.node()
    }

    /// Tries one document: see the module's head.
    ///
    /// # Errors
    /// When it could not be tried. A rejection by the ledger is no error but an [`Attempt`].
    pub async fn try_document(&mut self, data: &[u8]) -> Result<Attempt, SubmitError> {
        match self.account.check_new(ContentHash::of(data)).await {
            Ok(()) => {}
            Err(error @ ClientError::DataKnown { .. }) => return Ok(Attempt::Known(error.to_string())),
            Err(error) => return Err(error.into()),
        }
        let mut targets = self.open_targets().await?;
        if targets.is_empty() {
            return Ok(Attempt::Missed(Miss::NoTargets));
        }
        let (usable, _) = self.models(&targets).await?;
        targets.retain(|view| view.target.models.iter().all(|model| usable.contains_key(model)));
        if targets.is_empty() {
            return Ok(Attempt::Missed(Miss::NoModels));
        }
        if let Some(sample) = self.prefilter
            && !self.may_hit(sample, data, &targets).await?
        {
            return Ok(Attempt::Missed(Miss::Unlikely));
        }
        let scores = self.score(data, &targets).await?;
        let hits = match matching::hits(&scores, &targets, &self.params) {
            Ok(hits) => hits,
            Err(miss) => return Ok(Attempt::Missed(miss)),
        };
        let Some(hit) = self.choose(&hits) else {
            return Ok(Attempt::Missed(Miss::NoTargets));
        };
        self.submit(data, hit.target, hit.claim.clone()).await
    }

    /// The targets that take commits now.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn open_targets(&self) -> Result<Vec<TargetView>, ClientError> {
        let mut targets = self.node().targets(&TargetFilter::default()).await?;
        targets.retain(|view| view.current && view.target.status == TargetStatus::Open);
        Ok(targets)
    }

    /// Scores `data` with every model of `targets` that can be used.
    ///
    /// # Errors
    /// When the node does not answer or the data cannot be scored.
    pub async fn score(&mut self, data: &[u8], targets: &[TargetView]) -> Result<Scores, SubmitError> {
        let (models, directions) = self.models(targets).await?;
        let (scorer, data) = (self.scorer, data.to_vec());
        tokio::task::spawn_blocking(move || score_each(scorer, &models, &data, &directions)).await?
    }

    /// Whether an estimate comes near one of `targets`.
    async fn may_hit(
        &mut self,
        sample: Sample,
        data: &[u8],
        targets: &[TargetView],
    ) -> Result<bool, SubmitError> {
        let (models, _) = self.models(targets).await?;
        let data = data.to_vec();
        let estimate = move || estimate_each(sample, &models, &data);
        let estimates = tokio::task::spawn_blocking(estimate).await??;
        Ok(matching::may_hit(&estimates, targets))
    }

    /// The models of `targets` that can be used, and the epoch's directions.
    async fn models(&mut self, targets: &[TargetView]) -> Result<(Models, Arc<Directions>), SubmitError> {
        let mut facts = self.facts().await?;
        let mut models = BTreeMap::new();
        let epoch = Duration::from_millis(self.params.epoch_blocks.saturating_mul(self.params.block_time_ms));
        let patience = BRINGING_MAX.min(epoch / 8);
        for id in targets.iter().flat_map(|view| &view.target.models) {
            if !facts.models.contains_key(id) {
                let view = self.node().model(id).await?;
                let usable = match &view.model.weights {
                    Some(weights) => match self.experts.obtain(weights, patience).await {
                        Ok(model) => Some(model),
                        // It is the node that failed: the next document asks it again.
                        Err(error) if error.fault().is_none() => continue,
                        Err(_) => None,
                    },
                    None => None,
                };
                facts.models.insert(*id, usable);
            }
            if let Some(Some(model)) = facts.models.get(id) {
                models.insert(*id, Arc::clone(model));
            }
        }
        let directions = Arc::clone(&facts.directions);
        self.epoch = Some(facts);
        Ok((models, directions))
    }

    /// Commits to a claim about `data`, waits for the block, and reveals it.
    ///
    /// # Errors
    /// When the node does not answer as it should. A rejection by the ledger is no error but an [`Attempt`].
    pub async fn submit(&self, data: &[u8], target: TargetId, claim: Claim) -> Result<Attempt, SubmitError> {
        match self.account.submit_data(target, data.to_vec(), claim).await {
            Ok(submission) => Ok(Attempt::Revealed(submission)),
            Err(error @ ClientError::DataKnown { .. }) => Ok(Attempt::Known(error.to_string())),
            Err(error) => match error.rejection_name() {
                Some(name) => Ok(Attempt::Rejected(name.to_owned())),
                None => Err(error.into()),
            },
        }
    }

    /// The hit whose target this key ranks first.
    fn choose<'a>(&self, hits: &'a [Hit]) -> Option<&'a Hit> {
        let me = self.account.address();
        hits.iter()
            .min_by_key(|hit| domain_hash("soma 2026 target rank", &[&me.0, &hit.target.0]))
    }

    /// Takes what is known of the current epoch; drawn afresh when a new one has begun.
    async fn facts(&mut self) -> Result<EpochFacts, ClientError> {
        let EpochState {
            seed, architecture, ..
        } = self.node().epoch(None).await?.state;
        Ok(match self.epoch.take() {
            Some(facts) if facts.seed == seed => facts,
            _ => EpochFacts {
                seed,
                directions: Arc::new(Directions::draw(&seed, &architecture)),
                models: BTreeMap::new(),
            },
        })
    }
}

/// Estimates with each model that has a finite loss.
fn estimate_each(
    sample: Sample,
    models: &Models,
    data: &[u8],
) -> Result<BTreeMap<ModelId, FastScore>, SubmitError> {
    models
        .iter()
        .filter_map(|(id, model)| match sample.estimate(model, data) {
            Ok(estimate) => Some(Ok((*id, estimate))),
            Err(ScoreError::Model { .. }) => None,
            Err(error) => Some(Err(error.into())),
        })
        .collect()
}

/// Scores with each model; one without a finite loss has no score and loses.
fn score_each(
    scorer: Scorer,
    models: &Models,
    data: &[u8],
    directions: &Directions,
) -> Result<Scores, SubmitError> {
    models
        .iter()
        .map(|(id, model)| match scorer.score(model, data, directions) {
            Ok(score) => Ok((*id, Some(score))),
            Err(ScoreError::Model { .. }) => Ok((*id, None)),
            Err(error) => Err(error.into()),
        })
        .collect()
}
