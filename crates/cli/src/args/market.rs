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

/// `soma submission`.
#[derive(Debug, Subcommand)]
pub enum SubmissionCommand {
    /// List submissions.
    List {
        /// Only this wallet's or address's.
        #[arg(long)]
        submitter: Option<String>,
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
