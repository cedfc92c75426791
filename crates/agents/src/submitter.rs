//! The submitter: look for an open target that a document hits, score it with that target's models, submit.
//!
//! Upon a document:
//! - leave it if it is someone's already, as far as that is known before it is revealed;
//! - have the scout look at it, and try the targets that it may hit, likeliest first ([`crate::scout`]), each
//!   with just its own models; without a scout, or where there are hardly more models than one target has,
//!   score it with those of all open targets;
//! - of the open targets it is found to hit, take the one that this submitter's key ranks first, so that
//!   submitters of like data do not all race for the closest;
//! - commit, and reveal in a later block; the data stays here until it has won;
//! - if the target was won or closed meanwhile, try again with what is open then, at most [`ATTEMPTS_MAX`]
//!   times.
//!
//! A model that nobody can use (its file does not load, or the committee has found so) has no score and
//! loses: its targets are hit by the others' scores. A target with a model that the node neither keeps nor
//! gets within [`BRINGING_MAX`] is left to others until then: auditors could not check a claim on it either.
//! It stops no other target.
//!
//! Bounds: one model is in memory at a time besides the scout and what the [`Experts`]' budget lets stay.
//!
//! Persistence: salt, reveal and data are in the client's journal before the commit is sent, so a crash at
//! any step loses nothing.

mod dense;
mod outcome;
mod scouting;
mod sparse;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use soma_client::{Account, ClientError, NodeClient, Scores as Claim, Storage, TargetFilter};
use soma_model::{BackendError, Directions, Model, ScoreError, Scorer, Watch};
use soma_types::{
    ContentHash, Epoch, ModelId, RejectionCode, Seed, TargetId,
    api::TargetView,
    hash::domain_hash,
    objects::{EpochState, TargetStatus, Weights},
    params::Params,
};
use tokio::runtime::Handle;

use crate::{
    attended::attended,
    experts::Experts,
    matching::{Hit, Miss, Scores},
};
pub use outcome::{Attempt, Effort, Find, Search, SubmitError};
use scouting::Scouting;

/// How long a host may take to deliver a model's weights, once in an epoch; and no more than an eighth of
/// that.
pub const BRINGING_MAX: Duration = Duration::from_secs(10);
/// Targets that one document is submitted to, one after the other, where each is closed before it gets there.
pub const ATTEMPTS_MAX: usize = 4;

/// The models that claims can be made with, by the weights that they compete with; none for those that have
/// no score, whoever asks.
type Models = BTreeMap<ModelId, Option<Weights>>;

/// What a model is good for in an epoch.
#[derive(Clone, Debug)]
enum Use {
    /// It has scores.
    Scores(Weights),
    /// Nobody can use its weights: it has none.
    Nothing,
    /// Its weights cannot be had here.
    Absent,
}

/// What is frozen for an epoch.
#[derive(Debug)]
struct EpochFacts {
    epoch: Epoch,
    seed: Seed,
    directions: Arc<Directions>,
    /// Those met so far.
    models: BTreeMap<ModelId, Use>,
}

/// Submits documents under one key.
#[derive(Debug)]
pub struct Submitter {
    account: Account,
    params: Params,
    scorer: Scorer,
    experts: Experts,
    scouting: Option<Scouting>,
    storage: Option<Storage>,
    /// Targets that this submitter races for already.
    busy: BTreeSet<TargetId>,
    epoch: Option<EpochFacts>,
    effort: Effort,
}

impl Submitter {
    /// A submitter that signs as `account`, and scores with the models of all open targets.
    ///
    /// # Errors
    /// When this machine cannot score exactly.
    pub fn new(account: Account, params: Params, experts: Experts) -> Result<Self, BackendError> {
        Ok(Self {
            account,
            params,
            scorer: Scorer::new()?,
            experts,
            scouting: None,
            storage: None,
            busy: BTreeSet::new(),
            epoch: None,
            effort: Effort::default(),
        })
    }

    /// The same, which tries what `scout` thinks likely. It is in memory besides what the experts' budget
    /// allows.
    #[must_use]
    pub fn with_scout(self, scout: Model) -> Self {
        Self {
            scouting: Some(Scouting::new(scout)),
            ..self
        }
    }

    /// The same, whose winning data goes to one's own storage.
    #[must_use]
    pub fn with_storage(self, storage: Option<Storage>) -> Self {
        Self { storage, ..self }
    }

    /// Whom it submits for.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Where winning data goes, if not to the node.
    #[must_use]
    pub const fn storage(&self) -> Option<&Storage> {
        self.storage.as_ref()
    }

    /// The rules that it goes by.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// What its searches have taken so far.
    #[must_use]
    pub const fn effort(&self) -> Effort {
        self.effort
    }

    /// Leaves these targets out: it races for them already.
    pub fn set_busy(&mut self, targets: impl IntoIterator<Item = TargetId>) {
        self.busy = targets.into_iter().collect();
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
            let attempt = match self.search(data).await? {
                Search::Found(find) => self.submit(data, find.target, find.claim).await?,
                Search::Missed(miss) => return Ok(Attempt::Missed(miss)),
                Search::Known(why) => return Ok(Attempt::Known(why)),
            };
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

    /// Looks for a target that is open now and that the document hits.
    ///
    /// # Errors
    /// When it could not be looked for.
    pub async fn search(&mut self, data: &[u8]) -> Result<Search, SubmitError> {
        match self.account.check_new(ContentHash::of(data)).await {
            Ok(()) => {}
            Err(error @ ClientError::DataKnown { .. }) => return Ok(Search::Known(error.to_string())),
            Err(error) => return Err(error.into()),
        }
        let mut targets = self.open_targets().await?;
        targets.retain(|view| !self.busy.contains(&view.target.id));
        if targets.is_empty() {
            return Ok(Search::Missed(Miss::NoTargets));
        }
        self.effort.documents += 1;
        let competing: BTreeSet<&ModelId> = targets.iter().flat_map(|view| &view.target.models).collect();
        match self.scouting.take() {
            Some(mut scouting) if competing.len() > dense::MODELS_MAX => {
                let found = self.search_sparsely(&mut scouting, data, &targets).await;
                self.scouting = Some(scouting);
                found
            }
            scouting => {
                self.scouting = scouting;
                self.search_densely(data, targets).await
            }
        }
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
        self.score_with(models, directions, data).await
    }

    /// The exact scores of these models; none of one that has no finite loss, or cannot be used by anyone,
    /// which loses. They are in memory one after the other. Of those that are gone by now nothing is said,
    /// and they are left out from then on.
    async fn score_with(
        &mut self,
        models: Models,
        directions: Arc<Directions>,
        data: &[u8],
    ) -> Result<Scores, SubmitError> {
        let (experts, runtime) = (self.experts.clone(), Handle::current());
        let (scorer, length_bytes, data) = (self.scorer, data.len() as u64, data.to_vec());
        let scoring = move |watch: &Watch<'_>| {
            let (mut scores, mut met, mut time) = (Scores::new(), Vec::new(), Duration::ZERO);
            for (id, weights) in models {
                let Some(weights) = weights else {
                    scores.insert(id, None);
                    continue;
                };
                let model = match experts.lend(&weights, &runtime, watch) {
                    Ok(model) => model,
                    Err(error) if error.is_final() => {
                        scores.insert(id, None);
                        met.push((id, Use::Nothing));
                        continue;
                    }
                    Err(error) => {
                        met.extend(error.fault().map(|_| (id, Use::Absent)));
                        continue;
                    }
                };
                let start = Instant::now();
                let score = scorer.score(&model, &data, &directions);
                time += start.elapsed();
                match score {
                    Ok(score) => scores.insert(id, Some(score)),
                    Err(ScoreError::Model { .. }) => scores.insert(id, None),
                    Err(error) => return Err(SubmitError::from(error)),
                };
            }
            Ok((scores, met, time))
        };
        let (scores, met, time) = attended(scoring).await??;
        self.effort.scorings += scores.len() as u64;
        self.effort.scored_bytes += scores.len() as u64 * length_bytes;
        self.effort.scoring += time;
        if let Some(facts) = &mut self.epoch {
            facts.models.extend(met);
        }
        Ok(scores)
    }

    /// The models of `targets` that claims can be made with, and the epoch's directions.
    async fn models(&mut self, targets: &[TargetView]) -> Result<(Models, Arc<Directions>), SubmitError> {
        let mut facts = self.facts().await?;
        let epoch = Duration::from_millis(self.params.epoch_blocks.saturating_mul(self.params.block_time_ms));
        let patience = BRINGING_MAX.min(epoch / 8);
        let named: BTreeSet<ModelId> = targets
            .iter()
            .flat_map(|view| view.target.models.clone())
            .collect();
        let mut fetches = tokio::task::JoinSet::new();
        for id in named.iter().copied() {
            let met = facts.models.get(&id);
            if matches!(met, Some(Use::Scores(_) | Use::Nothing)) {
                continue;
            }
            // Whether the committee has found so since is asked again, the model's host is not.
            let is_absent = met.is_some();
            let model = self.node().model(&id).await?.model;
            if model.is_faulted_in(facts.epoch) {
                facts.models.insert(id, Use::Nothing);
                continue;
            }
            let Some(weights) = model.weights.filter(|_| !is_absent) else {
                facts.models.insert(id, Use::Absent);
                continue;
            };
            let experts = self.experts.clone();
            fetches.spawn(async move {
                let fetched = experts.fetch(&weights, patience).await;
                (id, weights, fetched)
            });
        }
        while let Some(fetched) = fetches.join_next().await {
            match fetched? {
                (id, weights, Ok(())) => facts.models.insert(id, Use::Scores(weights)),
                // It is the node or this machine that failed: the next document asks again.
                (_, _, Err(error)) if error.fault().is_none() => None,
                (id, _, Err(error)) if error.is_final() => facts.models.insert(id, Use::Nothing),
                (id, ..) => facts.models.insert(id, Use::Absent),
            };
        }
        let models = named
            .into_iter()
            .filter_map(|id| match facts.models.get(&id)? {
                Use::Scores(weights) => Some((id, Some(weights.clone()))),
                Use::Nothing => Some((id, None)),
                Use::Absent => None,
            })
            .collect();
        let directions = Arc::clone(&facts.directions);
        self.epoch = Some(facts);
        Ok((models, directions))
    }

    /// Commits to a claim about `data`, waits for the block, and reveals it.
    ///
    /// # Errors
    /// When the node does not answer as it should. A rejection by the ledger is no error but an [`Attempt`].
    pub async fn submit(&self, data: &[u8], target: TargetId, claim: Claim) -> Result<Attempt, SubmitError> {
        let (data, storage) = (data.to_vec(), self.storage.as_ref());
        match self.account.enter_submission(target, data, claim, storage).await {
            Ok(pending) => Ok(Attempt::Revealed(Box::new(pending))),
            Err(error @ ClientError::DataKnown { .. }) => Ok(Attempt::Known(error.to_string())),
            Err(error) if error.rejection_code().is_some() => Ok(Attempt::Rejected(Box::new(error))),
            Err(error) => Err(error.into()),
        }
    }

    /// The hit whose target this key ranks first.
    fn choose(&self, hits: Vec<Hit>) -> Option<Find> {
        let chosen = hits.into_iter().min_by_key(|hit| self.rank(&hit.target))?;
        Some(Find {
            target: chosen.target,
            claim: chosen.claim,
        })
    }

    /// This key's own order of targets.
    fn rank(&self, target: &TargetId) -> [u8; 32] {
        domain_hash("soma 2026 target rank", &[&self.account.address().0, &target.0])
    }

    /// Takes what is known of the current epoch; drawn afresh when a new one has begun.
    async fn facts(&mut self) -> Result<EpochFacts, ClientError> {
        let EpochState {
            epoch,
            seed,
            architecture,
            ..
        } = self.node().epoch(None).await?.state;
        Ok(match self.epoch.take() {
            Some(facts) if facts.seed == seed => facts,
            _ => EpochFacts {
                epoch,
                seed,
                directions: Arc::new(Directions::draw(&seed, &architecture)),
                models: BTreeMap::new(),
            },
        })
    }
}
