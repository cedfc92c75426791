//! Challenges of honest winners, in the hope of a part of their bonds.

use soma_types::{SubmissionId, TransactionKind};

use crate::chain::{Actor, Intent};

/// Winners that it challenges in an epoch.
const CHALLENGES: usize = 5;

/// Challenges some of an epoch's `winners`, whom nobody has found false and nobody will.
#[must_use]
pub fn groundless_challenges(me: Actor, winners: &[SubmissionId]) -> Vec<Intent> {
    let challenge = |submission: &SubmissionId| Intent {
        by: me,
        kind: TransactionKind::ChallengeSubmission {
            submission: *submission,
        },
    };
    winners.iter().take(CHALLENGES).map(challenge).collect()
}
