//! How a submission stands, in words, wherever a command tells it.

use soma_types::{objects::SubmissionStatus, transaction::Verdict};

use crate::printer::short;

/// How a submission stands, in words.
pub fn submission_status(status: &SubmissionStatus) -> String {
    match status {
        SubmissionStatus::Committed => "committed".into(),
        SubmissionStatus::Revealed => "in the race".into(),
        SubmissionStatus::Won => "won, to be audited".into(),
        SubmissionStatus::LostRace { to } => format!("lost to {}", short(to)),
        SubmissionStatus::NotNew { first } => format!("not new: {} was first", short(first)),
        SubmissionStatus::Expired { forfeited } if forfeited.is_zero() => "closed before its reveal".into(),
        SubmissionStatus::Expired { forfeited } => format!("not revealed, {forfeited} SOMA forfeited"),
        SubmissionStatus::Paid { submitter, .. } => format!("won, paid {submitter} SOMA"),
        SubmissionStatus::FoundFalse { verdict, bond, .. } => {
            let why = match verdict {
                Verdict::Valid => "valid",
                Verdict::DataUnavailable => "data unavailable",
                Verdict::HashMismatch => "wrong data",
                Verdict::FalseScore => "false score",
            };
            format!("found false ({why}), lost {bond} SOMA")
        }
    }
}
