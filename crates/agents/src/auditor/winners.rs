//! Winners under audit: what became of each, and who works on which.
//!
//! Data comes from the node, which has fetched it when it had won. Only what the node does not keep is
//! asked of its submitter's host, which may trickle: [`HOSTS_MAX`] at a time, those first that were tried
//! least, the shortest of them first. So hosts that never answer hold up nobody whose data the node keeps.
//! Of the others nobody is asked twice before all were asked once: the last of `n` has its turn after `n` /
//! [`HOSTS_MAX`] times [`Patience::data`], whatever sizes were announced.
//!
//! Scoring, which takes a model's memory and all cores, is done for one at a time, the shortest first, so
//! that what takes long stands in nobody's way. It waits for nothing but the node: weights that the node does
//! not keep are brought to it meanwhile, and the winner is tried again.
//!
//! **What a missing thing means.** Data that does not come, or not as announced, accuses its winner. So do
//! weights that cannot be had although this auditor has never seen them: who claims on a target has scored
//! with all its models, and an honest submitter scores only with what a node keeps; otherwise an owner who
//! withholds weights could claim unseen. It takes that their owner was asked and did not give them: a node
//! that is full, or had no turn to ask, knows nothing. Weights that were sound before and have gone since
//! accuse nobody: the network lost them. Bytes that are as committed and no usable weights lack nothing: they
//! have no score, and a claim that says so is right. And where this validator's own node fails, it says
//! nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use soma_blobs::{Blob, Expected};
use soma_types::{
    ContentHash, Height, ModelId,
    api::SubmissionView,
    objects::{AuditStage, Weights},
    transaction::Verdict,
};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{
    error::AuditError,
    job::{Case, Due, Job, Lack, State},
    phase::{Patience, Phase},
    scoring::{Epochal, Scored, Tools, score},
};
use crate::{
    audit,
    download::{DownloadError, Named},
    experts::ExpertError,
};

/// Winners whose data the node is asked for, or that wait to be scored.
const IN_HAND_MAX: usize = 16;
/// Submitters' hosts that are asked at a time.
const HOSTS_MAX: usize = 16;
/// Blocks after which what was missing is looked for again.
const AGAIN_BLOCKS: u64 = 4;

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
    Asked(Case, Result<Option<Blob>, DownloadError>),
    Fetched(Case, Result<Blob, DownloadError>),
    Scored(Case, Scored),
    Brought(ModelId, ContentHash, Result<(), DownloadError>),
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
                tries: 0,
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
                Ok(Done::Asked(case, Ok(None))) => {
                    let lack = self.lack(&case);
                    self.set(&case, State::Elsewhere(lack));
                }
                Ok(Done::Asked(case, Ok(Some(data)))) => self.fetched(&case, Ok(data), again, passed_over),
                Ok(Done::Asked(case, Err(error))) => self.fetched(&case, Err(error), again, passed_over),
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
                        if !matches!(error, DownloadError::Here { .. }) && !sound.contains(&hash) {
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
        fetched: Result<Blob, DownloadError>,
        again: Height,
        passed_over: &mut Vec<AuditError>,
    ) {
        let state = match fetched {
            Ok(data) => {
                let before = match self.lack(case) {
                    Lack::Weights => Lack::Weights,
                    Lack::Nothing | Lack::Data(_) => Lack::Nothing,
                };
                State::Fetched(data, before)
            }
            Err(error) => {
                let lack = match error {
                    DownloadError::Unavailable { .. } => Lack::Data(Verdict::DataUnavailable),
                    DownloadError::Mismatch { .. } => Lack::Data(Verdict::HashMismatch),
                    DownloadError::Here { .. } => Lack::Nothing,
                };
                let submission = case.0;
                passed_over.push(AuditError::Data { submission, error });
                State::Missing { lack, again }
            }
        };
        self.set(case, state);
    }

    /// What a winner is known to lack.
    fn lack(&self, case: &Case) -> Lack {
        let lack = self.jobs.get(case).and_then(|job| job.state.lack());
        lack.unwrap_or(Lack::Nothing)
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
            let state = self.jobs.get_mut(case).map(|job| &mut job.state);
            if let Some(lack) = state.and_then(State::lack_mut) {
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

    /// Gives up what is too late, and has idle hands begin with what waits: those first that were tried
    /// least, and of them the shortest.
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
        let in_hand = |job: &&Job| matches!(job.state, State::Asked(_) | State::Fetched(..) | State::Scoring);
        let at_hosts = |job: &&Job| matches!(job.state, State::Fetching(_));
        let mut room = IN_HAND_MAX.saturating_sub(self.jobs.values().filter(in_hand).count());
        let mut hosts = HOSTS_MAX.saturating_sub(self.jobs.values().filter(at_hosts).count());
        let mut waiting: Vec<_> = self
            .jobs
            .iter_mut()
            .filter(|(_, job)| job.due.is_some())
            .collect();
        waiting.sort_by_key(|(case, job)| (job.tries, job.size_bytes(), **case));
        for (case, job) in waiting {
            let case = *case;
            let (lack, is_elsewhere) = match &mut job.state {
                State::Fetched(data, _) if self.scoring.as_ref().is_none_or(AbortHandle::is_finished) => {
                    let data = data.clone();
                    job.state = State::Scoring;
                    let score = score(tools.clone(), self.epochal.clone(), job.view.clone(), case, data);
                    let scoring = self.work.spawn(async move { Done::Scored(case, score.await) });
                    self.scoring = Some(scoring);
                    continue;
                }
                State::New => (Lack::Nothing, false),
                State::Missing { lack, again } if *again <= height => (*lack, false),
                State::Elsewhere(lack) => (*lack, true),
                _ => continue,
            };
            let Some(claim) = &job.view.submission.found else {
                job.state = State::Found(audit::without_score(Verdict::FalseScore));
                continue;
            };
            let data = Named {
                url: claim.data_url.clone(),
                expected: Expected {
                    hash: claim.data_hash,
                    size_bytes: claim.data_size_bytes,
                },
            };
            let downloader = tools.experts.downloader().clone();
            if is_elsewhere && hosts > 0 {
                hosts -= 1;
                job.tries += 1;
                job.state = State::Fetching(lack);
                self.work.spawn(async move {
                    let fetched = tokio::time::timeout(patience, downloader.fetch(&data)).await;
                    Done::Fetched(case, fetched.unwrap_or_else(|_| Err(data.late(patience))))
                });
            } else if !is_elsewhere && room > 0 {
                room -= 1;
                job.state = State::Asked(lack);
                self.work.spawn(async move {
                    let kept = tokio::time::timeout(patience, downloader.kept(&data)).await;
                    Done::Asked(case, kept.unwrap_or_else(|_| Err(data.unanswered(patience))))
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
