//! Why something did not win, pay or count, in words: functions of what a node tells.

pub mod model;
pub mod submission;
pub mod transaction;

use serde::Serialize;

/// An explanation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Why {
    /// How it stands.
    pub stands: String,
    /// Why it stands so.
    pub because: Vec<String>,
    /// What can be done, if anything.
    pub advice: Vec<String>,
}

impl Why {
    fn new(stands: impl Into<String>) -> Self {
        Self {
            stands: stands.into(),
            ..Self::default()
        }
    }

    fn because(mut self, reason: impl Into<String>) -> Self {
        self.because.push(reason.into());
        self
    }

    fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }
}
