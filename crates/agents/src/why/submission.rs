//! Why a submission did not win, pay or count.

use soma_types::{
    Height,
    api::{SubmissionView, TargetView},
    objects::{AuditStage, EpochState, SubmissionStatus},
    params::Params,
    transaction::Verdict,
};

use super::Why;

/// What a node says around a submission.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Its target.
    pub target: &'a TargetView,
    /// Who won instead, or whose the data is.
    pub other: Option<&'a SubmissionView>,
    /// The epoch in progress.
    pub now: &'a EpochState,
    /// The last block.
    pub height: Height,
    /// The rules in force.
    pub params: &'a Params,
}

/// Explains a submission.
#[must_use]
pub fn why(view: &SubmissionView, around: &Around<'_>) -> Why {
    let submission = &view.submission;
    let id = submission.id;
    match submission.status {
        SubmissionStatus::Committed => committed(view, around),
        SubmissionStatus::Revealed => Why::new("it is revealed and valid, and its target's race is on")
            .because("the earliest commit among the valid reveals wins, when the race settles"),
        SubmissionStatus::Won => won(view, around),
        SubmissionStatus::LostRace { to } => {
            let why = Why::new(format!("it lost its race to {to}; bond and deposit came back"));
            match around.other {
                Some(winner) if winner.submission.sequence < submission.sequence => why.because(format!(
                    "of valid reveals the earliest commit wins: the winner's was number {} (block {}), this one's number {} \
                     (block {})",
                    winner.submission.sequence,
                    winner.submission.committed,
                    submission.sequence,
                    submission.committed
                )),
                _ => why.because("of valid reveals the earliest commit wins"),
            }
        }
        SubmissionStatus::NotNew { first } => {
            let why = Why::new("its data is not new; bond and deposit came back");
            let whose = around.other.map_or_else(String::new, |other| {
                format!(" (block {})", other.submission.committed)
            });
            why.because(format!(
                "the same bytes are submission {first}'s, whose commit was earlier{whose}, or which had won"
            ))
            .advice("`soma submit` passes over what is someone's; data wins once in the network's life")
        }
        SubmissionStatus::Expired { forfeited } if forfeited.is_zero() => {
            Why::new("it was never revealed; its deposit came back")
                .because("its target was filled, or its epoch ended, before the reveal was due")
        }
        SubmissionStatus::Expired { forfeited } => Why::new(format!(
            "it was never revealed, and lost its deposit of {forfeited} SOMA"
        ))
        .because(format!(
            "a reveal is due within {} blocks after its commit, which was in block {}",
            around.params.reveal_blocks, submission.committed
        ))
        .advice("`soma submit` reveals what a run that was stopped has committed: start it again soon"),
        SubmissionStatus::Paid {
            submitter,
            owner,
            pool,
        } => Why::new(format!(
            "it won and was paid: {submitter} SOMA to its submitter, {owner} to the model's owner, {pool} to its pool"
        )),
        SubmissionStatus::FoundFalse {
            verdict,
            bond,
            reward,
        } => {
            let found = match verdict {
                Verdict::DataUnavailable => {
                    "its data, or a model's weights, could not be had by its auditors"
                }
                Verdict::HashMismatch => "its data is not what it announced",
                Verdict::Valid | Verdict::FalseScore => {
                    "exact scoring finds other losses, another winner or another embedding than it claims"
                }
            };
            Why::new(format!(
                "it won and was found false: it lost its bond, {bond} SOMA, and its reward of {reward} went back"
            ))
            .because(found)
            .advice(format!("`soma submission verify {id}` shows each integer beside the exact one"))
        }
    }
}

fn committed(view: &SubmissionView, around: &Around<'_>) -> Why {
    let last = view.submission.committed.0 + around.params.reveal_blocks;
    let why = Why::new("it is committed and not revealed, so it claims nothing yet");
    if !around.target.current {
        return why.because("its epoch is over: it ends with one of the next blocks");
    }
    why.because(format!(
        "it can be revealed until block {last}; the last block is {}",
        around.height
    ))
    .advice("`soma submit` reveals what a run that was stopped has committed")
}

fn won(view: &SubmissionView, around: &Around<'_>) -> Why {
    let epoch = around.target.target.epoch;
    let (audit, pay) = (epoch.next(), epoch.plus(2));
    let now = around.now.epoch;
    let why = Why::new(format!(
        "it has won, and is paid in epoch {pay} unless an audit finds it false"
    ));
    let why = if now < audit {
        why.because(format!(
            "winners of epoch {epoch} are audited in epoch {audit}; it is epoch {now}"
        ))
    } else if now < pay {
        match view.audit_stage {
            Some(AuditStage::Drawn) => why.because(format!(
                "its audit is under way: {} auditors vote",
                view.auditors.len()
            )),
            Some(AuditStage::Hearing) => {
                why.because("its auditors accused it, and the whole committee votes in a hearing")
            }
            None => {
                why.because("it is not in the sample that is audited, or its auditors have not accused it")
            }
        }
    } else {
        why.because(format!(
            "at most {} winners are paid in a block, in the order of their wins",
            around.params.payouts_per_block
        ))
    };
    if view.submission.challenge.is_some() {
        why.because("it was challenged")
    } else {
        why
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{
        Address, Commitment, Embedding, Epoch, Seed, Shannons, SubmissionId, TargetId,
        objects::{Submission, Target, TargetStatus},
    };

    use super::*;

    fn submission(number: u8, status: SubmissionStatus) -> SubmissionView {
        SubmissionView {
            submission: Submission {
                id: SubmissionId([number; 32]),
                target: TargetId([1; 32]),
                submitter: Address([1; 32]),
                commitment: Commitment([1; 32]),
                committed: Height(100 + u64::from(number)),
                sequence: u64::from(number),
                threshold_q30: 0,
                deposit: Shannons::ZERO,
                bond: Shannons::ZERO,
                status,
                found: None,
                challenge: None,
            },
            embedding: None,
            audit_stage: None,
            auditors: Vec::new(),
            audits: Vec::new(),
            audit_outcome: None,
        }
    }

    fn told(status: SubmissionStatus, now: u64, stage: Option<AuditStage>) -> String {
        let target = TargetView {
            target: Target {
                id: TargetId([1; 32]),
                epoch: Epoch(5),
                index: 0,
                slot: 0,
                seed: Seed([1; 32]),
                threshold_q30: 0,
                models: Vec::new(),
                opened: Height(1),
                status: TargetStatus::Open,
                candidates: Vec::new(),
            },
            embedding: Embedding::draw(&Seed([1; 32]), 64),
            commit_threshold_q30: 0,
            current: now == 5,
        };
        let winner = submission(1, SubmissionStatus::Won);
        let mut view = submission(2, status);
        view.audit_stage = stage;
        let state = crate::test_cast::epoch(now);
        let around = Around {
            target: &target,
            other: Some(&winner),
            now: &state,
            height: Height(120),
            params: &Params::local(),
        };
        let why = why(&view, &around);
        assert!(!why.stands.is_empty());
        [vec![why.stands], why.because, why.advice].concat().join("\n")
    }

    #[test]
    fn each_way_to_stand_has_its_reason() {
        let (other, soma) = (SubmissionId([1; 32]), Shannons(1_000_000_000));
        let drawn = Some(AuditStage::Drawn);
        for (status, now, stage, says) in [
            (SubmissionStatus::Committed, 5, None, "until block 134"),
            (SubmissionStatus::Committed, 6, None, "its epoch is over"),
            (SubmissionStatus::Revealed, 5, None, "race is on"),
            (SubmissionStatus::Won, 5, None, "are audited in epoch 6"),
            (SubmissionStatus::Won, 6, drawn, "audit is under way"),
            (
                SubmissionStatus::Won,
                6,
                Some(AuditStage::Hearing),
                "whole committee",
            ),
            (SubmissionStatus::Won, 6, None, "not in the sample"),
            (SubmissionStatus::Won, 7, None, "paid in a block"),
            (
                SubmissionStatus::LostRace { to: other },
                5,
                None,
                "number 1 (block 101), this one's number 2",
            ),
            (
                SubmissionStatus::NotNew { first: other },
                5,
                None,
                "the same bytes",
            ),
            (
                SubmissionStatus::Expired {
                    forfeited: Shannons::ZERO,
                },
                5,
                None,
                "came back",
            ),
            (
                SubmissionStatus::Expired { forfeited: soma },
                5,
                None,
                "within 32 blocks",
            ),
            (
                SubmissionStatus::Paid {
                    submitter: soma,
                    owner: soma,
                    pool: soma,
                },
                8,
                None,
                "was paid",
            ),
            (
                SubmissionStatus::FoundFalse {
                    verdict: Verdict::FalseScore,
                    bond: soma,
                    reward: soma,
                },
                8,
                None,
                "submission verify",
            ),
            (
                SubmissionStatus::FoundFalse {
                    verdict: Verdict::DataUnavailable,
                    bond: soma,
                    reward: soma,
                },
                8,
                None,
                "could not be had",
            ),
        ] {
            let text = told(status, now, stage);
            assert!(text.contains(says), "{status:?} in {now}: {text}");
        }
    }
}
