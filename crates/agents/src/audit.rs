//! The verdict on a winner: a comparison of integers. Pure.

use soma_model::Contest;
use soma_types::{
    Embedding, ModelId, Transcript,
    objects::{AuditFinding, Found},
    transaction::Verdict,
};

/// Compares what a submission claims with what exact scoring of all its target's models found.
#[must_use]
pub fn finding(claim: &Found, embedding: &Embedding, models: &[ModelId], exact: &Contest) -> AuditFinding {
    let winning = exact.winning();
    let honest = claim.losses_nano == exact.losses_nano()
        && models.get(exact.winner()) == Some(&claim.model)
        && claim.cross_entropy_nano == winning.cross_entropy_nano()
        && embedding == winning.embedding();
    let verdict = if honest {
        Verdict::Valid
    } else {
        Verdict::FalseScore
    };
    AuditFinding {
        verdict,
        transcript: exact.transcript(),
    }
}

/// A finding made without scoring: it has no transcript.
#[must_use]
pub const fn without_score(verdict: Verdict) -> AuditFinding {
    AuditFinding {
        verdict,
        transcript: Transcript([0; 32]),
    }
}
