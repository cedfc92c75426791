//! Winners under audit: what became of each, and who works on which.
//!
//! Data comes from the node, which has fetched it when it was revealed. Only what the node does not keep is
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
//! accuse nobody: the network lost them. Bytes that are as committed and no usable weights accuse at once:
//! nobody has ever scored with them. And where this validator's own node fails, it says nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use soma_blobs::{Blob, Expected};
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
    download::{DownloadError, Named},
    experts::{ExpertError, Experts},
    scoring_desk::{self, NoScore, ScoringDesk},
};

/// Winners whose data the node is asked for, or that wait to be scored.
const IN_HAND_MAX: usize = 16;
/// Submitters' hosts that are asked at a time.
const HOSTS_MAX: usize = 16;
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
    /// The node is asked for its data, perhaps again.
    Asked(Lack),
    /// The node does not keep its data: its host has to be asked.
    Elsewhere(Lack),
    /// Its data is on its way from its host.
    Fetching(Lack),
    /// Its data is here.
    Fetched(Blob, Lack),
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
    /// How often the host of its data was asked.
    tries: u32,
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
    Asked(Case, Result<Option<Blob>, DownloadError>),
    Fetched(Case, Result<Blob, DownloadError>),
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

impl State {
    /// What is known to be lacking, where something may be.
    const fn lack(&self) -> Option<Lack> {
        match self {
            Self::Asked(lack)
            | Self::Elsewhere(lack)
            | Self::Fetching(lack)
            | Self::Fetched(_, lack)
            | Self::Missing { lack, .. } => Some(*lack),
            Self::New | Self::Scoring | Self::Found(_) => None,
        }
    }

    const fn lack_mut(&mut self) -> Option<&mut Lack> {
        match self {
            Self::Asked(lack)
            | Self::Elsewhere(lack)
            | Self::Fetching(lack)
            | Self::Fetched(_, lack)
            | Self::Missing { lack, .. } => Some(lack),
            Self::New | Self::Scoring | Self::Found(_) => None,
        }
    }
}

impl Job {
    /// What this validator says of the winner, if it can say anything yet. At the `last_call` what is missing
    /// is missing.
    pub(super) fn finding(&self, last_call: bool) -> Option<AuditFinding> {
        match &self.state {
            State::Found(finding) => Some(*finding),
            state if last_call => state.lack()?.verdict().map(audit::without_score),
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
async fn score(tools: Tools, epochal: Epochal, view: SubmissionView, case: Case, data: Blob) -> Scored {
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
            // It is there, and let go: one model after the other is taken when it is its turn to be scored
            // with.
            Ok(_) => models.push(weights.clone()),
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
        data,
        models,
    };
    let (submission, stage) = case;
    match tools.desk.contest(question, &tools.experts).await {
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
        Err(NoScore::Expert { index, error }) => Scored::Failed(AuditError::Expert {
            model: target.models[index],
            error,
        }),
        Err(NoScore::Data(reason)) => Scored::Failed(AuditError::Data {
            submission,
            error: DownloadError::Here {
                url: claim.data_url.clone(),
                reason,
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use soma_model::Scorer;
    use soma_types::{
        Address, Shannons, TargetId,
        objects::{Found, Submission, SubmissionStatus},
        transaction::BasisPoints,
    };

    use super::*;
    use crate::test_cast::{ARCHITECTURE, DATA, Store};

    /// A host that takes every connection and never answers.
    fn tarpit() -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
        format!("http://{address}/never")
    }

    fn winner(number: u8, url: &str, data: Expected) -> SubmissionView {
        let submission = Submission {
            id: SubmissionId([number; 32]),
            target: TargetId([number; 32]),
            submitter: Address([number; 32]),
            commitment: Commitment([number; 32]),
            committed: Height(1),
            sequence: u64::from(number),
            threshold_q30: 0,
            deposit: Shannons::ZERO,
            bond: Shannons::ZERO,
            status: SubmissionStatus::Won,
            found: Some(Found {
                revealed: Height(2),
                data_url: url.parse().unwrap(),
                data_size_bytes: data.size_bytes,
                data_hash: data.hash,
                losses_nano: Vec::new(),
                cross_entropy_nano: 0,
                model: ModelId([1; 32]),
                commission: BasisPoints::default(),
                dot_q30: 0,
                winner_index: None,
            }),
            challenge: None,
        };
        SubmissionView {
            submission,
            embedding: None,
            audit_stage: Some(AuditStage::Drawn),
            auditors: Vec::new(),
            audits: Vec::new(),
            audit_outcome: None,
        }
    }

    /// Data that is announced as tiny and never comes holds up nobody whose data the node keeps, however many
    /// say so; the others take turns, and whoever was asked once waits until all were.
    #[tokio::test]
    async fn tarpits_hold_up_nobody_whose_data_the_node_keeps() {
        let store = Store::keeping(vec![DATA.to_vec()]);
        let tools = Tools {
            node: store.node.clone(),
            experts: store.experts(),
            desk: ScoringDesk::new(Scorer::new().unwrap()),
        };
        let seed = Seed([9; 32]);
        let mut winners = Winners::new(Epochal {
            epoch: Epoch(1),
            seed,
            directions: Arc::new(Directions::draw(&seed, &ARCHITECTURE)),
        });
        let note = |winners: &mut Winners, number, url: &str, data| {
            winners.note(winner(number, url, data), AuditStage::Drawn, Some(Due::Commit));
        };
        let url = tarpit();
        for number in 0..3 * HOSTS_MAX as u8 {
            note(&mut winners, number, &url, Expected::of(&[number]));
        }
        let (honest, elsewhere) = (200, 201);
        note(&mut winners, honest, &url, Expected::of(DATA));
        note(
            &mut winners,
            elsewhere,
            &url,
            Expected::of(b"as long, and nowhere to be had but there"),
        );

        let patience = Patience {
            data: Duration::from_millis(1_500),
            weights: Duration::from_secs(1),
        };
        let case = |number| (SubmissionId([number; 32]), AuditStage::Drawn);
        let start = Instant::now();
        let (mut done, mut asked) = (None, None);
        for height in 1_u64.. {
            let (until, sound) = (Instant::now() + Duration::from_millis(50), BTreeSet::new());
            let mut passed_over = Vec::new();
            winners
                .advance(Height(height), &tools, patience, &sound, until, &mut passed_over)
                .await;
            // Without an embedding its claim is false, which takes no model to see.
            if matches!(winners.jobs[&case(honest)].state, State::Found(_)) {
                done.get_or_insert_with(|| start.elapsed());
            }
            if winners.jobs[&case(elsewhere)].tries > 0 {
                asked.get_or_insert_with(|| start.elapsed());
            }
            if (done.is_some() && asked.is_some()) || start.elapsed() > Duration::from_secs(20) {
                break;
            }
        }
        assert!(done.unwrap() < patience.data, "after {done:?}");
        // Three shares of tarpits come before it, each for as long as patience lasts, though by then those
        // are due again.
        assert!(asked.unwrap() < 4 * patience.data, "after {asked:?}");
    }
}
