//! `soma target` and `soma submission`.

use std::path::PathBuf;

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use soma_types::phase::{Phase as _, TargetPhase};

use super::signer::Signer;
use crate::reference::Reference;

/// `soma target`.
#[derive(Debug, Subcommand)]
pub enum TargetCommand {
    /// List an epoch's targets, or all that are filled.
    List {
        /// Only those with this status.
        #[arg(long, value_parser = phase())]
        status: Option<TargetPhase>,
        /// Of this epoch. If left out: the current one's; filled ones of all, latest first.
        #[arg(long)]
        epoch: Option<u64>,
        /// At most so many.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
    },
    /// Show one target.
    Show {
        /// The target.
        target: Reference,
    },
    /// Download the data that filled a target, checked against its hash.
    Data {
        /// The target.
        target: Reference,
        /// Where to write it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Reads the status of targets.
fn phase() -> impl TypedValueParser<Value = TargetPhase> {
    PossibleValuesParser::new(TargetPhase::ALL.iter().map(|phase| phase.name()))
        .try_map(|name| TargetPhase::named(&name).ok_or("no target stands so"))
}

/// `soma judge`.
#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// The target.
    pub target: Reference,
    /// The document: a file of at most as many bytes as the network takes, as they are.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// What is to be claimed: what `soma score --json` printed for this document and the target's models, in
    /// its order. Without one, what there is to claim is printed.
    #[arg(long, value_name = "FILE")]
    pub claim: Option<PathBuf>,
}

/// `soma submission`.
#[derive(Debug, Subcommand)]
pub enum SubmissionCommand {
    /// List submissions.
    List {
        /// Only this wallet's or address's.
        #[arg(long)]
        submitter: Option<String>,
        /// Only those that this model predicts best.
        #[arg(long)]
        model: Option<Reference>,
    },
    /// Check a submission as its auditors do, with the data, weights and seed of then, and say whether every
    /// integer is as claimed: exit code 0 if so, 5 if not, 1 if it cannot be checked.
    Verify {
        /// The submission.
        submission: Reference,
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
