//! An auditor who votes without scoring.

use soma_types::{Transcript, hash::domain_hash, objects::AuditFinding, transaction::Verdict};

use crate::{
    chain::Actor,
    participants::{Auditing, Task},
};

/// Says that everything is valid, which is nearly always true, and guesses the transcript.
#[derive(Clone, Copy, Debug)]
pub struct LazyAuditor;

impl Auditing for LazyAuditor {
    fn finding(&self, me: Actor, task: Task<'_>) -> Option<AuditFinding> {
        let guess = domain_hash("soma 2026 sim guess", &[&me.address.0, &task.submission.0]);
        Some(AuditFinding {
            verdict: Verdict::Valid,
            transcript: Transcript(guess),
        })
    }
}
