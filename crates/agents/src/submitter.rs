//! The submitter: score a document with the network's models, find an open target it hits, submit it in
//! two steps.
//!
//! Upon a document:
//! - leave it if it is someone's already, as far as that is known before it is revealed;
//! - if asked to, estimate its scores from a few chunks, and leave it if it comes near no open target;
//! - score it with every model that an open target has and that the node keeps or gets within
//!   [`BRINGING_MAX`], one after the other in memory: a target with another one is left to others, since
//!   auditors could not check a claim on it either;
//! - of the open targets it hits, take the one that this submitter's key ranks first, so that submitters
//!   of like data do not all race for the closest;
//! - hand the data to the node, commit, and reveal in a later block;
//! - if the target was won or closed meanwhile, try again with what is open then, at most [`ATTEMPTS_MAX`]
//!   times.
//!
//! Persistence: salt, reveal and data are in the client's journal before the commit is sent, so a crash
//! between commit and reveal loses nothing.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

use soma_client::{Account, ClientError, NodeClient, Scores as Claim, TargetFilter};
use soma_model::{BackendError, Directions, Fast as _, FastScore, Loan, Sample, ScoreError, Scorer, Watch};
use soma_types::{
    ContentHash, ModelId, RejectionCode, Seed, SubmissionId, TargetId,
    api::TargetView,
    hash::domain_hash,
    objects::{EpochState, TargetStatus, Weights},
    params::Params,
};
use tokio::runtime::Handle;

use crate::{
    attended::attended,
    experts::Experts,
    matching::{self, Hit, Miss, Scores},
};

/// How long a host may take to deliver a model's weights, once in an epoch; and no more than an eighth of
/// that.
pub const BRINGING_MAX: Duration = Duration::from_secs(10);
/// Targets that one document is submitted to, one after the other, where each is closed before it gets there.
pub const ATTEMPTS_MAX: usize = 4;

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
#[derive(Debug)]
pub enum Attempt {
    /// It hits no open target.
    Missed(Miss),
    /// It was committed and revealed, and races for its target now.
    Revealed(SubmissionId),
    /// It is someone's already, so nothing was paid for it; by whose word, in words.
    Known(String),
    /// The ledger said no, to the commit or to the reveal, or would have.
    Rejected(Box<ClientError>),
}

/// The models that can be used, by the weights that they compete with.
type Models = BTreeMap<ModelId, Weights>;

/// What is frozen for an epoch.
#[derive(Debug)]
struct EpochFacts {
    seed: Seed,
    directions: Arc<Directions>,
    /// Those met so far, with the weights they compete with; none where those cannot be had or used.
    models: BTreeMap<ModelId, Option<Weights>>,
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
        let mut attempts = 1;
        loop {
            let attempt = self.try_once(data).await?;
            match &attempt {
                Attempt::Rejected(error)
                    if error.rejection_code() == Some(RejectionCode::TargetClosed)
                        && attempts < ATTEMPTS_MAX =>
                {
                    attempts += 1;
                }
                _ => return Ok(attempt),
            }
        }
    }

    /// Tries one document on the targets that are open now.
    async fn try_once(&mut self, data: &[u8]) -> Result<Attempt, SubmitError> {
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
        let score = move |model: &Loan| scorer.score(model, &data, &directions);
        // One without a finite loss has no score and loses.
        self.each(models, score).await
    }

    /// What `score` makes of each model that can be had, or that it has no finite loss. They are in memory
    /// one after the other.
    async fn each<T: Send + 'static>(
        &self,
        models: Models,
        score: impl Fn(&Loan) -> Result<T, ScoreError> + Send + 'static,
    ) -> Result<BTreeMap<ModelId, Option<T>>, SubmitError> {
        let (experts, runtime) = (self.experts.clone(), Handle::current());
        let each = move |watch: &Watch<'_>| {
            let mut scores = BTreeMap::new();
            for (id, weights) in models {
                // It was there a moment ago: targets with it are left to others.
                let Ok(model) = experts.lend(&weights, &runtime, watch) else {
                    continue;
                };
                match score(&model) {
                    Ok(score) => scores.insert(id, Some(score)),
                    Err(ScoreError::Model { .. }) => scores.insert(id, None),
                    Err(error) => return Err(error.into()),
                };
            }
            Ok(scores)
        };
        attended(each).await?
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
        let estimates = self.each(models, move |model| sample.estimate(model, &data));
        let estimates: BTreeMap<ModelId, FastScore> = estimates
            .await?
            .into_iter()
            .filter_map(|(id, estimate)| Some((id, estimate?)))
            .collect();
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
                        Ok(_) => Some(weights.clone()),
                        // It is the node that failed: the next document asks it again.
                        Err(error) if error.fault().is_none() => continue,
                        Err(_) => None,
                    },
                    None => None,
                };
                facts.models.insert(*id, usable);
            }
            if let Some(Some(weights)) = facts.models.get(id) {
                models.insert(*id, weights.clone());
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
            Err(error) if error.rejection_code().is_some() => Ok(Attempt::Rejected(Box::new(error))),
            Err(error) => Err(error.into()),
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
