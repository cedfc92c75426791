//! The auditor: what a validator does besides ordering blocks.
//!
//! Upon a new epoch E: every winner of E-1 that this validator was drawn for is downloaded, checked
//! against its size and hash, and scored exactly with all models of its target; the verdict is committed. So
//! is every challenged winner, once its auditors are drawn.
//! Upon the end of the commit window: the verdict is revealed, with the transcript that proves the work.
//! Upon the beginning of hearings: every winner that its auditors accused is examined in the same way, by
//! every validator, and what was found is committed and revealed in the windows of hearings.
//! Upon a model's reveal: its weights are downloaded, decrypted and parsed; a fault is reported.
//!
//! Persistence: none. The salt of a verdict is derived from the validator's key, the submission and the stage
//! of its audit, and exact scoring gives the same transcript again, so a restarted auditor goes on where it
//! stopped.
//!
//! Failures: what cannot be examined, and what the ledger refuses, is passed over and named in the step's
//! [`Progress`]; it stands in the way of nothing else. Verdicts are sent without waiting for their blocks;
//! one that does not appear on chain within [`RESEND_BLOCKS`], or was refused, is sent again then. A fault is
//! reported once in an epoch, whatever comes of it.
//!
//! Bounds: a step waits for the node, and for a block's time at most for downloads and scoring, which go on
//! beside it: see [`winners`] and [`weights`]. It sends at most [`AUDITS_PER_STEP_MAX`] verdicts, so that a
//! caller stays responsive.

mod error;
mod job;
mod phase;
mod scoring;
mod weights;
mod winners;

use std::{convert::Infallible, sync::Arc, time::Duration};

use soma_client::{Account, ClientError, ModelFilter, NodeClient};
use soma_model::Directions;
use soma_types::{
    Address, Commitment, Epoch, Height, ModelId, Salt, SubmissionId, TransactionKind,
    api::{EpochView, Status},
    hash::domain_hash,
    objects::{AuditFinding, AuditStage, ModelStatus},
    params::Params,
    transaction::Verdict,
};
use tokio::time::Instant;

use self::{
    job::{Case, Due},
    phase::{Patience, Phase},
    scoring::{Epochal, Tools},
    weights::Revealed,
    winners::Winners,
};
use crate::{audit, experts::Experts, scoring_desk::ScoringDesk};

pub use self::{error::AuditError, weights::MODELS_EVERY_BLOCKS};

/// Most verdicts sent in one step.
pub const AUDITS_PER_STEP_MAX: usize = 16;
/// Blocks after which a verdict that is not on chain is sent again.
pub const RESEND_BLOCKS: u64 = 12;

/// What one step did.
#[derive(Debug, Default)]
pub struct Progress {
    /// Verdicts committed.
    pub committed: usize,
    /// Verdicts revealed.
    pub revealed: usize,
    /// Models whose newest revealed weights were found as committed.
    pub models_sound: Vec<ModelId>,
    /// Models whose newest revealed weights were reported.
    pub models_reported: Vec<ModelId>,
    /// What could not be done; all else was.
    pub passed_over: Vec<AuditError>,
}

/// Audits under one validator's key.
#[derive(Debug)]
pub struct Auditor {
    node: NodeClient,
    account: Account,
    params: Params,
    tools: Tools,
    winners: Option<Winners>,
    revealed: Revealed,
}

impl Auditor {
    /// An auditor that signs as `account` and has winners scored at `desk`.
    #[must_use]
    pub fn new(account: Account, params: Params, experts: Experts, desk: ScoringDesk) -> Self {
        let node = account.node().clone();
        Self {
            node: node.clone(),
            account,
            params,
            tools: Tools { node, experts, desk },
            winners: None,
            revealed: Revealed::default(),
        }
    }

    /// Whose audits these are.
    #[must_use]
    pub fn address(&self) -> Address {
        self.account.address()
    }

    /// Steps for as long as the task lives, a block time apart, and tells `observe` what came of each. A
    /// step that failed is made good by the next.
    pub async fn run(mut self, mut observe: impl FnMut(Result<Progress, AuditError>)) -> Infallible {
        loop {
            let next = Instant::now() + self.block_time();
            observe(self.step().await);
            tokio::time::sleep_until(next).await;
        }
    }

    const fn block_time(&self) -> Duration {
        Duration::from_millis(self.params.block_time_ms)
    }

    /// Does what is due now: see the module's head.
    ///
    /// # Errors
    /// When the node does not answer; the next step tries again.
    pub async fn step(&mut self) -> Result<Progress, AuditError> {
        let mut progress = Progress::default();
        let status = self.node.status().await?;
        // Each alone: who cannot do the one does the other.
        for done in [
            self.audit_winners(&status, &mut progress).await,
            self.examine_models(&status, &mut progress).await,
        ] {
            if let Err(error) = done {
                progress.passed_over.push(error);
            }
        }
        Ok(progress)
    }

    /// Examines weights that were revealed since the last step, and reports those that are not what the
    /// protocol promises.
    async fn examine_models(&mut self, status: &Status, progress: &mut Progress) -> Result<(), AuditError> {
        let epoch = status.epoch;
        if self.revealed.is_due(status.height) {
            let mut models = Vec::new();
            // The retired ones would be ever more.
            for status in [ModelStatus::Active, ModelStatus::Created, ModelStatus::Stale] {
                let filter = ModelFilter {
                    status: Some(status),
                    owner: None,
                };
                models.extend(self.node.models(&filter).await?);
            }
            let network = self.node.params().await?.architecture;
            let models = models.iter().map(|view| &view.model);
            self.revealed.list(status.height, epoch, models, network);
        }
        let patience = Patience::of(&self.params).weights;
        self.revealed
            .advance(epoch, &self.tools.experts, patience, &mut progress.passed_over);
        progress.models_sound = self.revealed.newly_sound();
        let reports = self.revealed.to_report(epoch);
        let is_heard = !reports.is_empty() && self.has_seat().await?;
        for (model, fault) in reports {
            if !is_heard {
                self.revealed.reported(model, epoch);
                continue;
            }
            match self
                .account
                .submit(TransactionKind::ReportModel { model, fault })
                .await
            {
                Ok(_) => progress.models_reported.push(model),
                Err(error) if error.rejection_code().is_some() => {
                    progress.passed_over.push(AuditError::Report { model, error });
                }
                Err(error) => return Err(error.into()),
            }
            self.revealed.reported(model, epoch);
        }
        Ok(())
    }

    /// Whether this validator's reports are heard in this epoch.
    async fn has_seat(&self) -> Result<bool, ClientError> {
        let me = self.address();
        let validators = self.node.validators().await?;
        let mine = validators.iter().find(|view| view.validator.address == me);
        Ok(mine.is_some_and(|view| view.seat.is_some()))
    }

    /// Examines the last epoch's winners, and commits to verdicts on them or reveals those.
    async fn audit_winners(&mut self, status: &Status, progress: &mut Progress) -> Result<(), AuditError> {
        let Some(epoch) = status.epoch.minus(1) else {
            return Ok(());
        };
        self.prepare(epoch).await?;
        let offset = status.height.0.saturating_sub(status.epoch_first_height.0);
        let phase = Phase::at(offset, &self.params);
        // What is known to be due goes on while the node cannot say what else is.
        let asked = self.ask(status.height, phase).await;
        let (sound, until) = (self.revealed.sound(), Instant::now() + self.block_time());
        if let Some(winners) = &mut self.winners {
            let patience = Patience::of(&self.params);
            winners
                .advance(
                    status.height,
                    &self.tools,
                    patience,
                    &sound,
                    until,
                    &mut progress.passed_over,
                )
                .await;
        }
        self.send_verdicts(status.height, offset, progress).await?;
        asked
    }

    /// Makes ready to audit the winners of `epoch`. What is still done for another is given up.
    async fn prepare(&mut self, epoch: Epoch) -> Result<(), AuditError> {
        let is_ready = |winners: &Winners| winners.epochal.epoch == epoch;
        if self.winners.as_ref().is_some_and(is_ready) {
            return Ok(());
        }
        let EpochView { state, .. } = self.node.epoch(Some(epoch)).await?;
        // Votes may have changed them at the boundary.
        self.params = self.node.params().await?;
        self.winners = Some(Winners::new(Epochal {
            epoch,
            seed: state.seed,
            directions: Arc::new(Directions::draw(&state.seed, &state.architecture)),
        }));
        Ok(())
    }

    /// Asks what is due: once in each phase, and again when a verdict had time to appear on chain.
    async fn ask(&mut self, height: Height, phase: Phase) -> Result<(), AuditError> {
        let me = self.address();
        let Some(winners) = &mut self.winners else {
            return Ok(());
        };
        let is_overdue = |sent: Height| height >= sent.plus(RESEND_BLOCKS);
        let again = winners
            .jobs
            .values()
            .any(|job| job.sent.is_some_and(|(sent, _)| is_overdue(sent)));
        if winners.asked_in == Some(phase) && !again {
            return Ok(());
        }
        let views = self.node.audits(&me).await?;
        for job in winners.jobs.values_mut() {
            job.due = None;
            job.sent = job.sent.filter(|(sent, _)| !is_overdue(*sent));
        }
        for view in views {
            let Some(stage) = view.audit_stage else {
                continue;
            };
            let mut votes = view.audits.iter();
            let mine = votes.find(|audit| audit.auditor == me && audit.stage == stage);
            let due = match mine.map(|audit| &audit.vote) {
                None => (!phase.reveals(stage)).then_some(Due::Commit),
                Some(vote) => {
                    let is_due = phase.reveals(stage) && vote.revealed.is_none();
                    is_due.then_some(Due::Reveal(vote.commitment))
                }
            };
            winners.note(view, stage, due);
        }
        winners.asked_in = Some(phase);
        Ok(())
    }

    /// Sends what is due of what was found.
    async fn send_verdicts(
        &mut self,
        height: Height,
        offset: u64,
        progress: &mut Progress,
    ) -> Result<(), AuditError> {
        let ready: Vec<(Case, Due, AuditFinding)> = self.winners.as_ref().map_or_else(Vec::new, |winners| {
            let ready = winners.jobs.iter().filter_map(|(case, job)| {
                let due = job.due?;
                let finding = match due {
                    Due::Commit => job.finding(phase::is_last_call(offset, case.1, &self.params)),
                    Due::Reveal(_) => self.unscored(case, due).or_else(|| job.finding(false)),
                };
                Some((*case, due, finding?))
            });
            ready.take(AUDITS_PER_STEP_MAX).collect()
        });
        for (case, due, finding) in ready {
            let (submission, stage) = case;
            let AuditFinding { verdict, transcript } = finding;
            let salt = self.salt(&submission, stage);
            let commitment = self.commitment(&case, finding);
            let kind = match due {
                Due::Commit => TransactionKind::CommitAudit {
                    submission,
                    commitment,
                },
                Due::Reveal(committed) if committed == commitment => TransactionKind::RevealAudit {
                    submission,
                    salt,
                    verdict,
                    transcript,
                },
                Due::Reveal(_) => {
                    progress.passed_over.push(AuditError::Changed(submission));
                    self.sent(&case, height, due, finding);
                    continue;
                }
            };
            match (self.account.submit(kind).await, due) {
                (Ok(_), Due::Commit) => progress.committed += 1,
                (Ok(_), Due::Reveal(_)) => progress.revealed += 1,
                (Err(error), _) if error.rejection_code().is_some() => {
                    progress
                        .passed_over
                        .push(AuditError::Verdict { submission, error });
                }
                (Err(error), _) => return Err(error.into()),
            }
            self.sent(&case, height, due, finding);
        }
        Ok(())
    }

    /// Notes that nothing more is to be sent on a winner, until the node is asked again.
    fn sent(&mut self, case: &Case, height: Height, due: Due, finding: AuditFinding) {
        let jobs = self.winners.as_mut().map(|winners| &mut winners.jobs);
        if let Some(job) = jobs.and_then(|jobs| jobs.get_mut(case)) {
            job.settle(finding);
            (job.due, job.sent) = (None, Some((height, due)));
        }
    }

    /// The finding without a score that this validator has committed to, if it is one: whatever is found by
    /// now, only that can be revealed.
    fn unscored(&self, case: &Case, due: Due) -> Option<AuditFinding> {
        let verdicts = [
            Verdict::DataUnavailable,
            Verdict::HashMismatch,
            Verdict::FalseScore,
        ];
        let mut findings = verdicts.into_iter().map(audit::without_score);
        findings.find(|finding| due == Due::Reveal(self.commitment(case, *finding)))
    }

    fn commitment(&self, (submission, stage): &Case, finding: AuditFinding) -> Commitment {
        let AuditFinding { verdict, transcript } = finding;
        let salt = self.salt(submission, *stage);
        verdict.commitment(&self.address(), submission, &transcript, &salt)
    }

    /// Hides a verdict until it is revealed; only this validator's key can tell it.
    fn salt(&self, submission: &SubmissionId, stage: AuditStage) -> Salt {
        let secret = self.account.keys().to_secret_bytes();
        Salt(domain_hash(
            "soma 2026 audit salt",
            &[&secret, &submission.0, &[stage as u8]],
        ))
    }
}
