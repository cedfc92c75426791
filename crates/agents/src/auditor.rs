//! The auditor: what a validator does besides ordering blocks.
//!
//! Upon a new epoch E: every winner of E-1 that this validator was drawn for is downloaded, checked
//! against its size and hash, and scored exactly with all models of its target; the verdict is committed. So
//! is every challenged winner, once its auditors are drawn.
//! Upon the end of the commit window: the verdict is revealed, with the transcript that proves the work.
//! Upon the beginning of hearings: every winner that its auditors accused is examined in the same way, by every
//! validator, and what was found is committed and revealed in the windows of hearings.
//! Upon a model's reveal: its weights are downloaded, decrypted and parsed; a fault is reported.
//!
//! Persistence: none. The salt of a verdict is derived from the validator's key, the submission and the stage of its
//! audit, and exact scoring gives the same transcript again, so a restarted auditor goes on where it stopped.
//!
//! Verdicts are sent without waiting for their blocks; one that does not appear on chain within
//! [`RESEND_BLOCKS`] is sent again.
//!
//! Bounds: one step handles at most [`AUDITS_PER_STEP_MAX`] winners, so that a caller stays responsive.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use soma_client::{Account, ClientError, ModelFilter, NodeClient};
use soma_model::{Directions, Model};
use soma_types::{
    Address, ContentHash, Epoch, Height, ModelId, Salt, Seed, SubmissionId, TransactionKind,
    api::{EpochView, SubmissionView},
    hash::domain_hash,
    objects::{AuditFinding, AuditStage, Weights},
    params::Params,
    transaction::Verdict,
};

use crate::{
    audit,
    download::DownloadError,
    experts::{ExpertError, Experts},
    scoring_desk::{self, ScoringDesk},
};

/// Most winners handled in one step.
pub const AUDITS_PER_STEP_MAX: usize = 16;
/// Blocks after which a verdict that is not on chain is sent again.
pub const RESEND_BLOCKS: u64 = 12;
/// Blocks between two looks at all models for weights revealed since.
pub const MODELS_EVERY_BLOCKS: u64 = 12;

/// Why a step could not be made. What is wrong with a submission or a model is no error but a finding.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The node did not answer, or not as it should, or the ledger refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A model that competed cannot be loaded, so nothing it competed for can be scored.
    #[error("model {model}: {error}")]
    Expert {
        /// The model.
        model: ModelId,
        /// Why.
        #[source]
        error: ExpertError,
    },
    /// A target's model has no weights for the audited epoch on chain.
    #[error("model {model} has no weights of epoch {epoch} on chain")]
    NoWeights {
        /// The model.
        model: ModelId,
        /// The epoch.
        epoch: Epoch,
    },
    /// Scoring panicked, which is a bug.
    #[error("scoring stopped unexpectedly: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Verdicts committed.
    pub committed: usize,
    /// Verdicts revealed.
    pub revealed: usize,
    /// Models whose newest revealed weights were found as committed.
    pub models_sound: Vec<ModelId>,
    /// Models whose newest revealed weights were reported.
    pub models_reported: Vec<ModelId>,
}

/// What an epoch's audits wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// The sample is known; verdicts are committed.
    Sample,
    /// So are the auditors of challenged winners.
    Challenged,
    /// Verdicts are revealed.
    Reveal,
    /// The winners that are heard are known; the committee commits to verdicts on them.
    Hearing,
    /// Those are revealed.
    HearingReveal,
}

impl Phase {
    /// The phase at `offset` blocks into an epoch.
    const fn at(offset: u64, params: &Params) -> Self {
        if offset < params.challenge_blocks() {
            Self::Sample
        } else if offset < params.audit_commit_blocks {
            Self::Challenged
        } else if offset < params.hearing_from() {
            Self::Reveal
        } else if offset < params.hearing_reveals_from() {
            Self::Hearing
        } else {
            Self::HearingReveal
        }
    }

    /// Whether verdicts of this stage are revealed, and no more committed to.
    fn reveals(self, stage: AuditStage) -> bool {
        self >= match stage {
            AuditStage::Drawn => Self::Reveal,
            AuditStage::Hearing => Self::HearingReveal,
        }
    }
}

/// A winner on which this validator has a vote.
#[derive(Clone, Debug)]
struct Case {
    stage: AuditStage,
    view: SubmissionView,
}

/// An epoch whose winners are audited.
#[derive(Debug)]
struct Audited {
    epoch: Epoch,
    seed: Seed,
    directions: Arc<Directions>,
    findings: BTreeMap<(SubmissionId, AuditStage), AuditFinding>,
    /// The phase in which the node was last asked what is due.
    asked_in: Option<Phase>,
    /// What waits for this validator, as far as it asked.
    due: VecDeque<Case>,
    /// When a verdict was last sent that the node was not asked about since.
    sent: Option<Height>,
}

/// Audits under one validator's key.
#[derive(Debug)]
pub struct Auditor {
    node: NodeClient,
    account: Account,
    params: Params,
    desk: ScoringDesk,
    experts: Experts,
    audited: Option<Audited>,
    /// When all models were last looked at.
    models_seen: Option<Height>,
    /// Weights files examined after their reveal.
    examined: BTreeSet<ContentHash>,
}

impl Auditor {
    /// An auditor that signs as `account` and has winners scored at `desk`.
    #[must_use]
    pub fn new(account: Account, params: Params, experts: Experts, desk: ScoringDesk) -> Self {
        Self {
            node: account.node().clone(),
            account,
            params,
            desk,
            experts,
            audited: None,
            models_seen: None,
            examined: BTreeSet::new(),
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
            observe(self.step().await);
            tokio::time::sleep(Duration::from_millis(self.params.block_time_ms)).await;
        }
    }

    /// Does what is due now: see the module's head.
    ///
    /// # Errors
    /// When it could not be done; the next step tries again.
    pub async fn step(&mut self) -> Result<Progress, AuditError> {
        let mut progress = Progress::default();
        let status = self.node.status().await?;
        let due = |seen: Height| status.height >= seen.plus(MODELS_EVERY_BLOCKS);
        if self.models_seen.is_none_or(due) {
            self.examine_models(&mut progress).await?;
            self.models_seen = Some(status.height);
        }
        if let Some(epoch) = status.epoch.minus(1) {
            self.prepare(epoch).await?;
            let offset = status.height.0.saturating_sub(status.epoch_first_height.0);
            let phase = Phase::at(offset, &self.params);
            self.ask(status.height, phase).await?;
            self.audit_winners(status.height, phase, &mut progress).await?;
        }
        Ok(progress)
    }

    /// Examines weights that were revealed since the last step, and reports those that are not what the
    /// protocol promises.
    async fn examine_models(&mut self, progress: &mut Progress) -> Result<(), AuditError> {
        for view in self.node.models(&ModelFilter::default()).await? {
            let Some(weights) = view.model.revealed.as_ref().or(view.model.weights.as_ref()) else {
                continue;
            };
            if self.examined.contains(&weights.committed.hash) {
                continue;
            }
            match self.experts.load(weights).await {
                Ok(_) => progress.models_sound.push(view.model.id),
                Err(error) => {
                    let report = TransactionKind::ReportModel {
                        model: view.model.id,
                        fault: error.fault(),
                    };
                    self.account.execute(report).await?;
                    progress.models_reported.push(view.model.id);
                }
            }
            self.examined.insert(weights.committed.hash);
        }
        Ok(())
    }

    /// Makes ready to audit the winners of `epoch`.
    async fn prepare(&mut self, epoch: Epoch) -> Result<(), AuditError> {
        if self
            .audited
            .as_ref()
            .is_some_and(|audited| audited.epoch == epoch)
        {
            return Ok(());
        }
        let EpochView { state, .. } = self.node.epoch(Some(epoch)).await?;
        let directions = Arc::new(Directions::draw(&state.seed, &state.architecture));
        self.audited = Some(Audited {
            epoch,
            seed: state.seed,
            directions,
            findings: BTreeMap::new(),
            asked_in: None,
            due: VecDeque::new(),
            sent: None,
        });
        Ok(())
    }

    /// Asks what is due: once in each phase, and again when a verdict had time to appear on chain.
    async fn ask(&mut self, height: Height, phase: Phase) -> Result<(), AuditError> {
        let me = self.address();
        let Some(audited) = &mut self.audited else {
            return Ok(());
        };
        let overdue = |sent: Height| height >= sent.plus(RESEND_BLOCKS);
        let again = audited.due.is_empty() && audited.sent.is_some_and(overdue);
        if audited.asked_in == Some(phase) && !again {
            return Ok(());
        }
        let winners = self.node.audits(&me).await?;
        let cases = winners.into_iter().filter_map(|view| {
            let stage = view.audit_stage?;
            let mut votes = view.audits.iter();
            let mine = votes.find(|audit| audit.auditor == me && audit.stage == stage);
            let due = match mine.map(|audit| &audit.vote.revealed) {
                None => !phase.reveals(stage),
                Some(revealed) => phase.reveals(stage) && revealed.is_none(),
            };
            due.then_some(Case { stage, view })
        });
        audited.due = cases.collect();
        (audited.asked_in, audited.sent) = (Some(phase), None);
        Ok(())
    }

    /// Commits to verdicts, or reveals them once the commit window is over.
    async fn audit_winners(
        &mut self,
        height: Height,
        phase: Phase,
        progress: &mut Progress,
    ) -> Result<(), AuditError> {
        let me = self.address();
        for _ in 0..AUDITS_PER_STEP_MAX {
            let Some(case) = self
                .audited
                .as_ref()
                .and_then(|audited| audited.due.front().cloned())
            else {
                break;
            };
            let submission = case.view.submission.id;
            let AuditFinding { verdict, transcript } = self.finding(&case).await?;
            let salt = self.salt(&submission, case.stage);
            if phase.reveals(case.stage) {
                let reveal = TransactionKind::RevealAudit {
                    submission,
                    salt,
                    verdict,
                    transcript,
                };
                self.account.submit(reveal).await?;
                progress.revealed += 1;
            } else {
                let commitment = verdict.commitment(&me, &submission, &transcript, &salt);
                self.account
                    .submit(TransactionKind::CommitAudit {
                        submission,
                        commitment,
                    })
                    .await?;
                progress.committed += 1;
            }
            // Only now: what failed is tried again by the next step.
            if let Some(audited) = &mut self.audited {
                audited.due.pop_front();
                audited.sent = Some(height);
            }
        }
        Ok(())
    }

    /// The finding on a winner; made once in each stage of its audit, since data that nobody could fetch may have
    /// appeared. What was scored once is not scored again: the desk remembers.
    async fn finding(&mut self, case: &Case) -> Result<AuditFinding, AuditError> {
        let key = (case.view.submission.id, case.stage);
        if let Some(finding) = self
            .audited
            .as_ref()
            .and_then(|audited| audited.findings.get(&key))
        {
            return Ok(*finding);
        }
        let finding = self.examine_winner(case).await?;
        if let Some(audited) = &mut self.audited {
            audited.findings.insert(key, finding);
        }
        Ok(finding)
    }

    /// Downloads a winner's data and scores it.
    async fn examine_winner(&mut self, Case { stage, view }: &Case) -> Result<AuditFinding, AuditError> {
        let (Some(claim), Some(embedding), Some(audited)) =
            (&view.submission.found, &view.embedding, &self.audited)
        else {
            return Ok(audit::without_score(Verdict::FalseScore));
        };
        let (epoch, seed, directions) = (audited.epoch, audited.seed, Arc::clone(&audited.directions));
        let downloaded = self
            .experts
            .downloader()
            .download(&claim.data_url, claim.data_hash, claim.data_size_bytes)
            .await;
        let data = match downloaded {
            Ok(data) => data,
            Err(DownloadError::Unavailable { .. }) => {
                return Ok(audit::without_score(Verdict::DataUnavailable));
            }
            Err(DownloadError::Mismatch { .. }) => return Ok(audit::without_score(Verdict::HashMismatch)),
        };
        let target = self.node.target(&view.submission.target).await?.target;
        let models = self.competitors(&target.models, epoch).await?;
        let question = scoring_desk::Case {
            seed,
            directions,
            data_hash: claim.data_hash,
            data,
            models,
        };
        // Data that cannot be scored at all was never scored by the submitter either.
        Ok(match self.desk.contest(question).await? {
            Ok(exact) => audit::finding(*stage, claim, embedding, &target.models, &exact),
            Err(_) => audit::without_score(Verdict::FalseScore),
        })
    }

    /// The models as they competed in `epoch`.
    async fn competitors(
        &mut self,
        ids: &[ModelId],
        epoch: Epoch,
    ) -> Result<Vec<(ContentHash, Arc<Model>)>, AuditError> {
        let mut models = Vec::with_capacity(ids.len());
        for id in ids {
            let view = self.node.model(id).await?;
            let weights: &Weights = view
                .model
                .weights_in(epoch)
                .ok_or(AuditError::NoWeights { model: *id, epoch })?;
            let model = self
                .experts
                .load(weights)
                .await
                .map_err(|error| AuditError::Expert { model: *id, error })?;
            models.push((weights.committed.hash, model));
        }
        Ok(models)
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
