//! Validators who take honest winners' bonds together.

use std::{collections::BTreeSet, rc::Rc};

use soma_types::{
    Address, Transcript,
    hash::domain_hash,
    objects::{AuditFinding, AuditStage},
    transaction::Verdict,
};

use crate::{
    chain::Actor,
    participants::{Auditing, Diligent, Task},
};

/// Finds a winner false, with one made-up transcript, where most of its auditors are members, who all have
/// the same stake. In a hearing, which it cannot win, and in other draws it does its work.
#[derive(Clone, Debug)]
pub struct FramingCartel {
    /// Its members.
    pub members: Rc<BTreeSet<Address>>,
}

impl Auditing for FramingCartel {
    fn finding(&self, me: Actor, task: Task<'_>) -> Option<AuditFinding> {
        let ours = task
            .voters
            .iter()
            .filter(|voter| self.members.contains(voter))
            .count();
        if task.stage == AuditStage::Hearing || 2 * ours <= task.voters.len() {
            return Diligent.finding(me, task);
        }
        Some(AuditFinding {
            verdict: Verdict::FalseScore,
            transcript: Transcript(domain_hash("soma 2026 sim framing", &[&task.submission.0])),
        })
    }
}
