//! What an epoch's audits wait for, by the block.

use std::time::Duration;

use soma_types::{objects::AuditStage, params::Params};

/// What an epoch's audits wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
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
    pub(super) const fn at(offset: u64, params: &Params) -> Self {
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
    pub(super) fn reveals(self, stage: AuditStage) -> bool {
        self >= match stage {
            AuditStage::Drawn => Self::Reveal,
            AuditStage::Hearing => Self::HearingReveal,
        }
    }
}

/// Whether `offset` blocks into an epoch lie in the last quarter of the blocks in which verdicts of this
/// stage are committed: what is missing until then counts as missing.
pub(super) const fn is_last_call(offset: u64, stage: AuditStage, params: &Params) -> bool {
    let (end, blocks) = match stage {
        AuditStage::Drawn => (params.audit_commit_blocks, params.audit_commit_blocks),
        AuditStage::Hearing => (params.hearing_reveals_from(), params.hearing_commit_blocks),
    };
    offset + blocks.div_ceil(4) >= end
}

/// How long hosts may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// With a winner's data: no more than half of the shortest time in which a verdict has to be found.
    pub(super) data: Duration,
    /// With a model's weights: no more than half of an epoch, which is the time to report them.
    pub(super) weights: Duration,
}

impl Patience {
    pub(super) fn of(params: &Params) -> Self {
        let half = |blocks: u64| Duration::from_millis(blocks.saturating_mul(params.block_time_ms) / 2);
        let window = params.audit_commit_blocks.min(params.hearing_commit_blocks);
        Self {
            data: half(window).min(Duration::from_secs(30)),
            weights: half(params.epoch_blocks).min(Duration::from_secs(600)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_call_is_the_last_quarter_of_each_window() {
        let params = Params::local();
        let first = |stage| (0..params.epoch_blocks).find(|offset| is_last_call(*offset, stage, &params));
        assert_eq!(first(AuditStage::Drawn), Some(36));
        assert_eq!(first(AuditStage::Hearing), Some(65));
        assert_eq!(Phase::at(36, &params), Phase::Challenged);
        assert_eq!(Phase::at(65, &params), Phase::Hearing);
    }

    #[test]
    fn data_arrives_before_the_last_call_or_not_at_all() {
        let patience = |params| {
            let Patience { data, weights } = Patience::of(&params);
            (data.as_millis(), weights.as_millis())
        };
        assert_eq!(patience(Params::local()), (1_500, 10_000));
        assert_eq!(patience(Params::std()), (30_000, 600_000));
    }
}
