//! What the ledger stores of audits: votes in two stages, and what came of them.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{Address, Commitment, Transcript, transaction::Verdict};

/// The two stages of an audit, each with votes of its own.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum AuditStage {
    /// The auditors drawn for the winner vote.
    Drawn,
    /// They accused it, and the whole committee votes.
    Hearing,
}

impl AuditStage {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::Drawn, Self::Hearing];
}

/// One auditor's work on one winner, in one stage of its audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct AuditVote {
    /// The first step.
    pub commitment: Commitment,
    /// The second.
    pub revealed: Option<AuditFinding>,
}

/// A revealed verdict with its transcript.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct AuditFinding {
    /// The finding.
    pub verdict: Verdict,
    /// The transcript, zeros for verdicts without one.
    pub transcript: Transcript,
}

/// The votes of one stage of an audit, counted.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct VoteCount {
    /// What more than half of the voters' stake found.
    pub majority: Option<AuditFinding>,
    /// The voters in favour (of the largest group, where there is no majority).
    pub agreed: Vec<Address>,
    /// The voters who revealed something else.
    pub dissented: Vec<Address>,
    /// The voters who revealed nothing.
    pub silent: Vec<Address>,
}

impl VoteCount {
    /// Everyone who could vote, and whether it agreed.
    pub fn voters(&self) -> impl Iterator<Item = (Address, bool)> {
        let others = self.dissented.iter().chain(&self.silent);
        let agreed = self.agreed.iter().map(|voter| (*voter, true));
        agreed.chain(others.map(|voter| (*voter, false)))
    }
}

/// How an audit ended.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct AuditOutcome {
    /// The votes of the auditors that were drawn.
    pub drawn: VoteCount,
    /// The committee's votes, where those accused the winner and were not the committee themselves.
    pub hearing: Option<VoteCount>,
}

impl AuditOutcome {
    /// The votes that decide: without a majority among them, or with one for it, the winner stands.
    #[must_use]
    pub fn decisive(&self) -> &VoteCount {
        self.hearing.as_ref().unwrap_or(&self.drawn)
    }

    /// What the winner was found to be instead of valid, and by whom; `None`: it stands.
    #[must_use]
    pub fn conviction(&self) -> Option<(Verdict, &[Address])> {
        let VoteCount { majority, agreed, .. } = self.decisive();
        let verdict = majority.as_ref()?.verdict;
        verdict.accuses().then_some((verdict, agreed))
    }
}
