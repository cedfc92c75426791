//! How models, targets and submissions stand, in a word: what lists are filtered by.
//!
//! The word is the one that the object's JSON has as its `status`.

use crate::objects::{ModelStatus, SubmissionStatus, TargetStatus};

/// A way to stand that has a name.
pub trait Phase: Copy + Eq + 'static {
    /// Each, in the order in which they are gone through.
    const ALL: &'static [Self];

    /// Its name in JSON and in queries.
    fn name(self) -> &'static str;

    /// The one called `name`.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|phase| phase.name() == name)
    }
}

macro_rules! phases {
    ($type:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl Phase for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),*
                }
            }
        }
    };
}

phases! { ModelStatus { Created = "created", Active = "active", Stale = "stale", Retired = "retired" } }

/// How a target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetPhase {
    /// Waits for a hit.
    Open,
    /// Has a valid reveal.
    Settling,
    /// Has a winner.
    Filled,
}

phases! { TargetPhase { Open = "open", Settling = "settling", Filled = "filled" } }

impl TargetStatus {
    /// The same in a word.
    #[must_use]
    pub const fn phase(&self) -> TargetPhase {
        match self {
            Self::Open => TargetPhase::Open,
            Self::Settling { .. } => TargetPhase::Settling,
            Self::Filled { .. } => TargetPhase::Filled,
        }
    }
}

/// How a submission stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmissionPhase {
    /// Waits for its reveal.
    Committed,
    /// Valid, in its target's race.
    Revealed,
    /// Won, not yet paid.
    Won,
    /// Another won.
    LostRace,
    /// Its data was another's.
    NotNew,
    /// Never revealed.
    Expired,
    /// Won and was paid.
    Paid,
    /// Found false.
    FoundFalse,
}

phases! {
    SubmissionPhase {
        Committed = "committed",
        Revealed = "revealed",
        Won = "won",
        LostRace = "lost_race",
        NotNew = "not_new",
        Expired = "expired",
        Paid = "paid",
        FoundFalse = "found_false",
    }
}

impl SubmissionStatus {
    /// The same in a word.
    #[must_use]
    pub const fn phase(&self) -> SubmissionPhase {
        match self {
            Self::Committed => SubmissionPhase::Committed,
            Self::Revealed => SubmissionPhase::Revealed,
            Self::Won => SubmissionPhase::Won,
            Self::LostRace { .. } => SubmissionPhase::LostRace,
            Self::NotNew { .. } => SubmissionPhase::NotNew,
            Self::Expired { .. } => SubmissionPhase::Expired,
            Self::Paid { .. } => SubmissionPhase::Paid,
            Self::FoundFalse { .. } => SubmissionPhase::FoundFalse,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, to_value};

    use super::*;
    use crate::{Height, Shannons, SubmissionId, transaction::Verdict};

    /// The name that a status has in JSON.
    fn in_json(status: &impl serde::Serialize) -> String {
        match to_value(status).unwrap() {
            Value::String(name) => name,
            value => value["status"].as_str().unwrap().to_owned(),
        }
    }

    #[test]
    fn names_are_those_of_json() {
        for status in ModelStatus::ALL {
            assert_eq!(in_json(status), status.name());
        }
        let (submission, at, none) = (SubmissionId([1; 32]), Height(1), Shannons::ZERO);
        for status in [
            TargetStatus::Open,
            TargetStatus::Settling { at },
            TargetStatus::Filled { submission, at },
        ] {
            assert_eq!(in_json(&status), status.phase().name());
        }
        let statuses = [
            SubmissionStatus::Committed,
            SubmissionStatus::Revealed,
            SubmissionStatus::Won,
            SubmissionStatus::LostRace { to: submission },
            SubmissionStatus::NotNew { first: submission },
            SubmissionStatus::Expired { forfeited: none },
            SubmissionStatus::Paid {
                submitter: none,
                owner: none,
                pool: none,
            },
            SubmissionStatus::FoundFalse {
                verdict: Verdict::FalseScore,
                bond: none,
                reward: none,
            },
        ];
        assert_eq!(statuses.len(), SubmissionPhase::ALL.len());
        for status in statuses {
            assert_eq!(in_json(&status), status.phase().name());
            assert_eq!(
                SubmissionPhase::named(status.phase().name()),
                Some(status.phase())
            );
        }
        assert_eq!(TargetPhase::named("Open"), None);
    }
}
