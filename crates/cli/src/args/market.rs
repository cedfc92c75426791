//! `soma target` and `soma submission`.

use clap::{
    Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use soma_types::phase::{Phase as _, TargetPhase};

use super::signer::Signer;
use crate::reference::Reference;

/// `soma target`.
#[derive(Debug, Subcommand)]
pub enum TargetCommand {
    /// List the current epoch's targets.
    List {
        /// Only those with this status.
        #[arg(long, value_parser = phase())]
        status: Option<TargetPhase>,
    },
    /// Show one target.
    Show {
        /// The target.
        target: Reference,
    },
}

/// Reads the status of targets.
fn phase() -> impl TypedValueParser<Value = TargetPhase> {
    PossibleValuesParser::new(TargetPhase::ALL.iter().map(|phase| phase.name()))
        .try_map(|name| TargetPhase::named(&name).ok_or("no target stands so"))
}

/// `soma submission`.
#[derive(Debug, Subcommand)]
pub enum SubmissionCommand {
    /// List submissions.
    List {
        /// Only this wallet's or address's.
        #[arg(long)]
        submitter: Option<String>,
    },
    /// Finish what a command that was stopped has left: reveal what is committed, hand over what has won.
    Finish {
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Demand that a winner be audited, and lock a bond.
    Challenge {
        /// The submission.
        submission: Reference,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
}
