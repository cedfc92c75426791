//! `soma stake`.

use clap::Subcommand;
use soma_types::Shannons;

use super::signer::{Signer, amount};
use crate::reference::PoolReference;

/// `soma stake`.
#[derive(Debug, Subcommand)]
pub enum StakeCommand {
    /// Add stake to a model or a validator. It counts from the next epoch.
    Add {
        /// `model:ID` or `validator:ADDRESS`; the id's first digits, or its short form, will do.
        pool: PoolReference,
        /// How much, in SOMA.
        #[arg(value_parser = amount, allow_negative_numbers = true)]
        amount: Shannons,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Withdraw stake. It unbonds first.
    Withdraw {
        /// `model:ID` or `validator:ADDRESS`; the id's first digits, or its short form, will do.
        pool: PoolReference,
        /// How much, in SOMA; everything if left out.
        #[arg(value_parser = amount, allow_negative_numbers = true)]
        amount: Option<Shannons>,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// List stake: what counts, what will from the next epoch, and what unbonds until when.
    List {
        /// A wallet's name or an address; the wallet in use if left out.
        account: Option<String>,
    },
}
