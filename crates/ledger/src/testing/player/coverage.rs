//! What histories met.

use std::collections::BTreeMap;

use soma_types::{Receipt, Rejection, event::Event, objects::AuditOutcome, receipt::Outcome};

/// What histories met.
#[derive(Debug, Default)]
pub struct Coverage {
    /// Transactions that took effect, by kind.
    pub applied: BTreeMap<&'static str, u64>,
    /// Transactions refused or failed, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Events, and how submissions ended.
    pub events: BTreeMap<String, u64>,
    /// Blocks that were executed.
    pub blocks: u64,
}

impl Coverage {
    pub(super) fn result(&mut self, kind: &'static str, result: &Result<Receipt, Rejection>) {
        match result {
            Ok(receipt) => match &receipt.outcome {
                Outcome::Applied { .. } => *self.applied.entry(kind).or_default() += 1,
                Outcome::Failed { rejection } => *self.rejected.entry(rejection.name()).or_default() += 1,
            },
            Err(rejection) => *self.rejected.entry(rejection.name()).or_default() += 1,
        }
    }

    pub(super) fn outcome(&mut self, outcome: &AuditOutcome) {
        let Some(hearing) = &outcome.hearing else {
            return;
        };
        let end = match hearing.majority {
            None => "Undecided",
            Some(finding) if finding.verdict.accuses() => "Convicts",
            Some(_) => "Overrules",
        };
        *self.events.entry(format!("Hearing:{end}")).or_default() += 1;
    }

    pub(super) fn event(&mut self, event: &Event) {
        let text = match event {
            Event::SubmissionEnded { status, .. } => format!("Ended:{status:?}"),
            Event::UpgradeEnded { status, .. } => format!("Upgrade:{status:?}"),
            Event::ChallengeEnded { end, .. } => format!("Challenge:{end:?}"),
            event => format!("{event:?}"),
        };
        let name = text.split([' ', '{']).next().unwrap_or_default().to_owned();
        *self.events.entry(name).or_default() += 1;
    }
}
