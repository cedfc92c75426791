//! `soma target`, `soma submit` and `soma submission`.

use std::path::PathBuf;

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use soma_types::phase::{Phase as _, TargetPhase};

use super::{Selection, signer::Signer};
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

/// `soma submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Text to submit: files, folders, globs, addresses or data sets by name, read as `soma train` reads
    /// them; `-` for standard input.
    ///
    /// A text of more than 2048 bytes is cut at line ends into pieces, called FILE#OFFSET, and each is
    /// submitted by itself.
    #[arg(long, required = true, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// What to read of it.
    #[command(flatten)]
    pub selection: Selection,
    /// Stop after this many hits; otherwise when the text is used up.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub hits: Option<u64>,
    /// Estimate each document from this many of its chunks first, and score only what may hit.
    #[arg(long, value_name = "CHUNKS")]
    pub prefilter: Option<std::num::NonZeroUsize>,
    /// Options of transactions.
    #[command(flatten)]
    pub signer: Signer,
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
    /// Demand that a winner be audited, and lock a bond.
    Challenge {
        /// The submission.
        submission: Reference,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
}
