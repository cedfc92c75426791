//! Winners under audit: what became of each, and who works on which.
//!
//! Data is fetched for many at a time, since it comes from hosts that may trickle; scoring, which takes a
//! model's memory and all cores, is done for one at a time, the shortest first, so that what takes long
//! stands in nobody's way. It waits for nothing but the node: weights that the node does not keep are brought
//! to it meanwhile, and the winner is tried again.
//!
//! **What a missing thing means.** Data that does not come, or not as announced, accuses its winner. So do
//! weights that cannot be had although this auditor has never seen them: who claims on a target has scored
//! with all its models, and an honest submitter scores only with what a node keeps; otherwise an owner who
//! withholds weights could claim unseen. It takes that their owner was asked and did not give them: a node
//! that is full, or had no turn to ask, knows nothing. Weights that were sound before and have gone since
//! accuse nobody: the network lost them. Bytes that are as committed and no usable weights accuse at once:
//! nobody has ever scored with them. And where this validator's own node fails, it says nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::Duration,
};

use soma_client::NodeClient;
use soma_model::{Directions, ScoreError};
use soma_types::{
    Commitment, ContentHash, Epoch, Height, ModelId, Seed, SubmissionId,
    api::SubmissionView,
    objects::{AuditFinding, AuditStage, Weights},
    transaction::Verdict,
};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{
    AuditError,
    phase::{Patience, Phase},
};
use crate::{
    audit,
    download::{DownloadError, Downloader, Named},
    experts::{ExpertError, Experts},
    scoring_desk::{self, NoScore, ScoringDesk},
};

/// Winners whose data is fetched, or waits to be scored.
const IN_HAND_MAX: usize = 16;
/// Blocks after which what was missing is looked for again.
const AGAIN_BLOCKS: u64 = 4;

/// A winner in one stage of its audit.
pub(super) type Case = (SubmissionId, AuditStage);

/// What this validator still has to send on a winner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Commit,
    /// Of what it has committed to.
    Reveal(Commitment),
}

/// What could not be had so far, where that says anything of the winner.
#[derive(Clone, Copy, Debug)]
enum Lack {
    Nothing,
    Data(Verdict),
    Weights,
}

impl Lack {
    /// What is the case if it stays so.
    const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Nothing => None,
            Self::Data(verdict) => Some(verdict),
            Self::Weights => Some(Verdict::DataUnavailable),
        }
    }
}

/// How far the examination of a winner is.
#[derive(Debug)]
enum State {
    /// Nobody has begun.
    New,
    /// Its data is on its way, perhaps again.
    Fetching(Lack),
    /// Its data is here.
    Fetched(Vec<u8>, Lack),
    /// It is being scored.
    Scoring,
    /// Something could not be had.
    Missing {
        lack: Lack,
        again: Height,
    },
    Found(AuditFinding),
}

#[derive(Debug)]
pub(super) struct Job {
    view: SubmissionView,
    state: State,
    pub(super) due: Option<Due>,
    /// What was last sent, or refused, that the node was not asked about since, and when.
    pub(super) sent: Option<(Height, Due)>,
}

/// What came of scoring a winner.
enum Scored {
    Found(AuditFinding),
    /// Weights of this model that the node does not keep.
    NotKept(ModelId, Weights),
    Failed(AuditError),
}

/// What all of an epoch's audits have in common.
#[derive(Clone, Debug)]
pub(super) struct Epochal {
    pub(super) epoch: Epoch,
    pub(super) seed: Seed,
    pub(super) directions: Arc<Directions>,
}

/// The winners of an epoch on which this validator has a vote.
#[derive(Debug)]
pub(super) struct Winners {
    pub(super) epochal: Epochal,
    /// The phase in which the node was last asked what is due.
    pub(super) asked_in: Option<Phase>,
    pub(super) jobs: BTreeMap<Case, Job>,
    work: JoinSet<Done>,
    /// What is being scored.
    scoring: Option<AbortHandle>,
    /// Weights on their way to the node, and who waits for them.
    awaited: BTreeMap<ContentHash, Vec<Case>>,
}

/// Work that was done.
enum Done {
    Fetched(Case, Result<Vec<u8>, DownloadError>),
    Scored(Case, Scored),
    Brought(ModelId, ContentHash, Result<(), DownloadError>),
}

/// What the work on winners is done with.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    pub(super) node: NodeClient,
    pub(super) experts: Experts,
    pub(super) desk: ScoringDesk,
}

impl Winners {
    pub(super) fn new(epochal: Epochal) -> Self {
        Self {
            epochal,
            asked_in: None,
            jobs: BTreeMap::new(),
            work: JoinSet::new(),
            scoring: None,
            awaited: BTreeMap::new(),
        }
    }

    /// Notes what is due on a winner.
    pub(super) fn note(&mut self, view: SubmissionView, stage: AuditStage, due: Option<Due>) {
        let job = self
            .jobs
            .entry((view.submission.id, stage))
            .or_insert_with(|| Job {
                view,
                state: State::New,
                due: None,
                sent: None,
            });
        // What was just sent may be on its way into a block.
        job.due = due.filter(|due| job.sent.is_none_or(|(_, sent)| sent != *due));
    }

    /// Takes what the work has come to, and has idle hands go on, `until` when there is any. `sound` says
    /// which weights this auditor has seen. What could not be done goes to `passed_over`.
    pub(super) async fn advance(
        &mut self,
        height: Height,
        tools: &Tools,
        patience: Patience,
        sound: &BTreeSet<ContentHash>,
        until: Instant,
        passed_over: &mut Vec<AuditError>,
    ) {
        loop {
            self.start(height, tools, patience.data);
            let Ok(Some(done)) = tokio::time::timeout_at(until, self.work.join_next()).await else {
                return;
            };
            let again = height.plus(AGAIN_BLOCKS);
            match done {
                Ok(Done::Fetched(case, fetched)) => self.fetched(&case, fetched, again, passed_over),
                Ok(Done::Scored(case, Scored::Found(finding))) => self.set(&case, State::Found(finding)),
                Ok(Done::Scored(case, Scored::NotKept(model, weights))) => {
                    // That the node does not keep them says nothing yet.
                    let hash = weights.committed.hash;
                    let lack = if tools.experts.was_refused(&hash) && !sound.contains(&hash) {
                        Lack::Weights
                    } else {
                        Lack::Nothing
                    };
                    self.set(&case, State::Missing { lack, again });
                    self.bring(case, model, weights, tools, patience.weights);
                }
                Ok(Done::Scored(case, Scored::Failed(error))) => {
                    passed_over.push(error);
                    let lack = Lack::Nothing;
                    self.set(&case, State::Missing { lack, again });
                }
                Ok(Done::Brought(model, hash, brought)) => {
                    let waiting = self.awaited.remove(&hash).unwrap_or_default();
                    if let Err(error) = brought {
                        // Where this validator's own node fails, or has had them before, nothing is known of
                        // their owner.
                        if !matches!(error, DownloadError::Node { .. }) && !sound.contains(&hash) {
                            self.lacks_weights(&waiting);
                        }
                        let error = ExpertError::Download(error);
                        passed_over.push(AuditError::Expert { model, error });
                    }
                }
                // It was given up.
                Err(error) if error.is_cancelled() => {}
                Err(error) => passed_over.push(error.into()),
            }
        }
    }

    fn fetched(
        &mut self,
        case: &Case,
        fetched: Result<Vec<u8>, DownloadError>,
        again: Height,
        passed_over: &mut Vec<AuditError>,
    ) {
        let state = match fetched {
            Ok(data) => {
                let before = match self.jobs.get(case).map(|job| &job.state) {
                    Some(State::Fetching(Lack::Weights)) => Lack::Weights,
                    _ => Lack::Nothing,
                };
                State::Fetched(data, before)
            }
            Err(error) => {
                let lack = match error {
                    DownloadError::Unavailable { .. } => Lack::Data(Verdict::DataUnavailable),
                    DownloadError::Mismatch { .. } => Lack::Data(Verdict::HashMismatch),
                    DownloadError::Node { .. } => Lack::Nothing,
                };
                let submission = case.0;
                passed_over.push(AuditError::Data { submission, error });
                State::Missing { lack, again }
            }
        };
        self.set(case, state);
    }

    /// What a winner has come to, unless this validator has committed to something by now.
    fn set(&mut self, case: &Case, state: State) {
        if let Some(job) = self.jobs.get_mut(case)
            && !matches!(job.state, State::Found(_))
        {
            job.state = state;
        }
    }

    /// Notes that what these winners need was asked of its owner's host, which does not give it.
    fn lacks_weights(&mut self, cases: &[Case]) {
        for case in cases {
            if let Some(State::Fetching(lack) | State::Fetched(_, lack) | State::Missing { lack, .. }) =
                self.jobs.get_mut(case).map(|job| &mut job.state)
            {
                *lack = Lack::Weights;
            }
        }
    }

    fn bring(&mut self, case: Case, model: ModelId, weights: Weights, tools: &Tools, patience: Duration) {
        let hash = weights.committed.hash;
        let waiting = self.awaited.entry(hash).or_default();
        waiting.push(case);
        if waiting.len() == 1 {
            let experts = tools.experts.clone();
            self.work
                .spawn(async move { Done::Brought(model, hash, experts.bring(&weights, patience).await) });
        }
    }

    /// Gives up what is too late, and has idle hands begin with what waits, shortest data first.
    fn start(&mut self, height: Height, tools: &Tools, patience: Duration) {
        for job in self.jobs.values_mut().filter(|job| job.due.is_none()) {
            match job.state {
                State::Fetched(..) => job.state = State::New,
                State::Scoring => {
                    if let Some(scoring) = self.scoring.take() {
                        scoring.abort();
                    }
                    job.state = State::New;
                }
                _ => {}
            }
        }
        let in_hand = |job: &&Job| {
            matches!(
                job.state,
                State::Fetching(_) | State::Fetched(..) | State::Scoring
            )
        };
        let mut room = IN_HAND_MAX.saturating_sub(self.jobs.values().filter(in_hand).count());
        let mut waiting: Vec<_> = self
            .jobs
            .iter_mut()
            .filter(|(_, job)| job.due.is_some())
            .collect();
        waiting.sort_by_key(|(case, job)| (job.size_bytes(), **case));
        for (case, job) in waiting {
            let case = *case;
            let lack = match &mut job.state {
                State::Fetched(data, _) if self.scoring.as_ref().is_none_or(AbortHandle::is_finished) => {
                    let data = mem::take(data);
                    job.state = State::Scoring;
                    let score = score(tools.clone(), self.epochal.clone(), job.view.clone(), case, data);
                    let scoring = self.work.spawn(async move { Done::Scored(case, score.await) });
                    self.scoring = Some(scoring);
                    continue;
                }
                State::New => Lack::Nothing,
                State::Missing { lack, again } if *again <= height => *lack,
                _ => continue,
            };
            let Some(claim) = &job.view.submission.found else {
                job.state = State::Found(audit::without_score(Verdict::FalseScore));
                continue;
            };
            if room > 0 {
                room -= 1;
                let data = Named {
                    url: claim.data_url.clone(),
                    hash: claim.data_hash,
                    size_bytes: claim.data_size_bytes,
                };
                job.state = State::Fetching(lack);
                let downloader = tools.experts.downloader().clone();
                self.work
                    .spawn(async move { Done::Fetched(case, fetch(&downloader, &data, patience).await) });
            }
        }
    }
}

/// Downloads a winner's data, if it comes in time.
async fn fetch(downloader: &Downloader, data: &Named, patience: Duration) -> Result<Vec<u8>, DownloadError> {
    let fetched = tokio::time::timeout(patience, downloader.download(data)).await;
    fetched.unwrap_or_else(|_| Err(data.late(patience)))
}

impl Job {
    /// What this validator says of the winner, if it can say anything yet. At the `last_call` what is missing
    /// is missing.
    pub(super) fn finding(&self, last_call: bool) -> Option<AuditFinding> {
        match &self.state {
            State::Found(finding) => Some(*finding),
            State::Fetching(lack) | State::Fetched(_, lack) | State::Missing { lack, .. } if last_call => {
                lack.verdict().map(audit::without_score)
            }
            _ => None,
        }
    }

    /// How much there is to score.
    fn size_bytes(&self) -> u64 {
        let found = self.view.submission.found.as_ref();
        found.map_or(0, |found| found.data_size_bytes)
    }

    /// Fixes what it was found to be: it is committed to.
    pub(super) fn settle(&mut self, finding: AuditFinding) {
        self.state = State::Found(finding);
    }
}

/// Scores a winner with the models of its target, as they competed.
async fn score(tools: Tools, epochal: Epochal, view: SubmissionView, case: Case, data: Vec<u8>) -> Scored {
    let (Some(claim), Some(embedding)) = (&view.submission.found, &view.embedding) else {
        return Scored::Found(audit::without_score(Verdict::FalseScore));
    };
    let target = match tools.node.target(&view.submission.target).await {
        Ok(view) => view.target,
        Err(error) => return Scored::Failed(error.into()),
    };
    let (mut models, mut missing) = (Vec::with_capacity(target.models.len()), None);
    for id in &target.models {
        let model = match tools.node.model(id).await {
            Ok(view) => view.model,
            Err(error) => return Scored::Failed(error.into()),
        };
        let Some(weights) = model.weights_in(epochal.epoch) else {
            let epoch = epochal.epoch;
            return Scored::Failed(AuditError::NoWeights { model: *id, epoch });
        };
        match tools.experts.load(weights).await {
            Ok(model) => models.push((weights.committed.hash, model)),
            Err(ExpertError::NotKept(_)) => missing = Some((*id, weights.clone())),
            // Nobody has ever scored with them, so the claim is made up. What the chain says of them
            // contradicts itself, or the file that the node keeps under their hash: so it does for everyone.
            Err(ExpertError::Download(
                DownloadError::Unavailable { .. } | DownloadError::Mismatch { .. },
            )) => {
                return Scored::Found(audit::without_score(Verdict::FalseScore));
            }
            Err(error) if error.is_final() => {
                return Scored::Found(audit::without_score(Verdict::FalseScore));
            }
            Err(error) => return Scored::Failed(AuditError::Expert { model: *id, error }),
        }
    }
    if let Some((model, weights)) = missing {
        return Scored::NotKept(model, weights);
    }
    let question = scoring_desk::Case {
        seed: epochal.seed,
        directions: epochal.directions,
        data_hash: claim.data_hash,
        data,
        models,
    };
    let (submission, stage) = case;
    match tools.desk.contest(question).await {
        Ok(exact) => Scored::Found(audit::finding(stage, claim, embedding, &target.models, &exact)),
        // What cannot be scored at all was never scored by the submitter either.
        Err(
            NoScore::Panicked(_)
            | NoScore::Score(
                ScoreError::Empty
                | ScoreError::NothingPredicted
                | ScoreError::TooLong(_)
                | ScoreError::Model { .. },
            ),
        ) => Scored::Found(audit::without_score(Verdict::FalseScore)),
        Err(NoScore::Score(error)) => Scored::Failed(AuditError::Unscorable { submission, error }),
    }
}
