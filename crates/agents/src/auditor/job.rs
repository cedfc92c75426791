//! A winner under audit: how far its examination is, what it is known to lack, and what is still to be sent.

use soma_blobs::Blob;
use soma_types::{
    Commitment, Height, SubmissionId,
    api::SubmissionView,
    objects::{AuditFinding, AuditStage},
    transaction::Verdict,
};

use crate::audit;

/// A winner in one stage of its audit.
pub(super) type Case = (SubmissionId, AuditStage);

/// What this validator still has to send on a winner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Commit,
    /// Of what it has committed to.
    Reveal(Commitment),
}

/// A winner that this validator was drawn for.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) view: SubmissionView,
    pub(super) state: State,
    /// How often the host of its data was asked.
    pub(super) tries: u32,
    pub(super) due: Option<Due>,
    /// What was last sent, or refused, that the node was not asked about since, and when.
    pub(super) sent: Option<(Height, Due)>,
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
    pub(super) fn size_bytes(&self) -> u64 {
        let found = self.view.submission.found.as_ref();
        found.map_or(0, |found| found.data_size_bytes)
    }

    /// Fixes what it was found to be: it is committed to.
    pub(super) fn settle(&mut self, finding: AuditFinding) {
        self.state = State::Found(finding);
    }
}

/// How far the examination of a winner is.
#[derive(Debug)]
pub(super) enum State {
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

impl State {
    /// What is known to be lacking, where something may be.
    pub(super) const fn lack(&self) -> Option<Lack> {
        match self {
            Self::Asked(lack)
            | Self::Elsewhere(lack)
            | Self::Fetching(lack)
            | Self::Fetched(_, lack)
            | Self::Missing { lack, .. } => Some(*lack),
            Self::New | Self::Scoring | Self::Found(_) => None,
        }
    }

    pub(super) const fn lack_mut(&mut self) -> Option<&mut Lack> {
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

/// What could not be had so far, where that says anything of the winner.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lack {
    Nothing,
    Data(Verdict),
    Weights,
}

impl Lack {
    /// What is the case if it stays so.
    pub(super) const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Nothing => None,
            Self::Data(verdict) => Some(verdict),
            Self::Weights => Some(Verdict::DataUnavailable),
        }
    }
}
