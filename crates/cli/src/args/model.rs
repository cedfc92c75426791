//! `soma model`.

use std::path::PathBuf;

use clap::Subcommand;
use soma_types::Shannons;

use super::{
    Selection,
    signer::{Signer, amount},
    weights::{CommittedTo, OwnStorage},
};
use crate::reference::Reference;

/// `soma model`.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Create a model with a first stake.
    Create {
        /// The owner's share of its rewards, in basis points (100 = 1%).
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(0..=10_000))]
        commission: u16,
        /// The first stake, in SOMA; the least allowed if left out.
        #[arg(long, value_parser = amount, allow_negative_numbers = true)]
        stake: Option<Shannons>,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Encrypt weights, hand them to the node and commit to them; or commit to what you serve yourself.
    Commit {
        /// The model.
        model: Reference,
        /// The weights (safetensors); with --url the encrypted file.
        weights: PathBuf,
        /// Storage of one's own.
        #[command(flatten)]
        storage: OwnStorage,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Reveal what was committed in the epoch before.
    Reveal {
        /// The model.
        model: Reference,
        /// The text whose mean embedding the model registers: what it is good at. Needed after `soma model
        /// commit`; after a `soma model update` that was stopped, what that was given if left out. May be
        /// repeated.
        #[arg(long, value_name = "SRC", requires = "weights")]
        data: Vec<PathBuf>,
        /// What to read of it.
        #[command(flatten)]
        selection: Selection,
        /// The weights (safetensors) that were committed, to embed the text with.
        #[arg(long, value_name = "FILE", requires = "data")]
        weights: Option<PathBuf>,
        /// What must have been committed.
        #[command(flatten)]
        committed: CommittedTo,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Commit now, wait for the next epoch, and reveal. Stopped in between, the same command goes on where it
    /// was.
    Update {
        /// The model.
        model: Reference,
        /// The weights (safetensors); with --url the encrypted file.
        weights: PathBuf,
        /// Storage of one's own.
        #[command(flatten)]
        storage: OwnStorage,
        /// The text whose mean embedding the model registers. May be repeated.
        #[arg(long, required = true, value_name = "SRC")]
        data: Vec<PathBuf>,
        /// What to read of it.
        #[command(flatten)]
        selection: Selection,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Change the owner's share of a model's rewards from the next epoch.
    SetCommission {
        /// The model.
        model: Reference,
        /// The new share, in basis points (100 = 1%).
        #[arg(value_parser = clap::value_parser!(u16).range(0..=10_000))]
        commission: u16,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Stop competing at the next boundary, for good. Stake in the model can still be withdrawn.
    Deactivate {
        /// The model.
        model: Reference,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// List the models.
    List,
    /// Show one model.
    Show {
        /// The model.
        model: Reference,
    },
    /// Download and decrypt a model's weights.
    Fetch {
        /// The model.
        model: Reference,
        /// Where to write them.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}
