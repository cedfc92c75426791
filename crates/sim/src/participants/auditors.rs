//! Auditors: committee members who score winners again.

use std::rc::Rc;

use soma_types::{
    Address, SubmissionId, Transcript,
    hash::domain_hash,
    objects::{AuditFinding, AuditStage},
    transaction::Verdict,
};

use crate::chain::Actor;

/// A winner to audit.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The winner.
    pub submission: SubmissionId,
    /// The stage of its audit.
    pub stage: AuditStage,
    /// Who votes in it.
    pub voters: &'a [Address],
    /// What scoring it shows. A strategy that reads this has done the work.
    pub truth: Verdict,
}

/// A way to audit.
pub trait Auditing {
    /// What it says it found.
    fn finding(&self, me: Actor, task: Task<'_>) -> Option<AuditFinding>;
}

/// Downloads, scores, and says what is true.
#[derive(Clone, Copy, Debug)]
pub struct Diligent;

impl Auditing for Diligent {
    fn finding(&self, _me: Actor, task: Task<'_>) -> Option<AuditFinding> {
        Some(AuditFinding {
            verdict: task.truth,
            transcript: transcript(task),
        })
    }
}

/// The transcript of one who scored the data; zeros where there was nothing to score.
#[must_use]
pub fn transcript(task: Task<'_>) -> Transcript {
    if task.truth.has_transcript() {
        let parts: [&[u8]; 2] = [&task.submission.0, &[task.stage as u8]];
        Transcript(domain_hash("soma 2026 sim transcript", &parts))
    } else {
        Transcript::default()
    }
}

/// A validator.
#[derive(Clone)]
pub struct Validator {
    /// Its account.
    pub actor: Actor,
    /// What it does.
    pub strategy: Rc<dyn Auditing>,
}
