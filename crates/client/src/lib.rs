//! The Rust SDK: keys, wallets, transactions, and a node's HTTP interface.
//!
//! - [`mnemonic`], [`keyfile`], [`paper`], [`wallet`]: words, keys, how people write them down, and the folder that keeps them.
//! - [`node`], [`events`]: a node's HTTP interface, typed and bounded; [`sse`] decodes its event stream.
//! - [`account`], [`follow`]: one key at one node: fees, nonces, signing, sending; waiting for receipts.
//! - [`models`], [`submissions`] and methods of [`Account`]: what participants do, in whole steps: pay, stake, publish,
//!   submit, validate.
//! - [`journal`], [`outbox`]: what a crash must not lose: secrets between commit and reveal, transactions whose end is
//!   not known.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use soma_client::{Account, NodeClient, Wallets};
//!
//! let wallets = Wallets::new(Wallets::default_directory()?);
//! let keys = wallets.unlock(&wallets.resolve(None)?, None)?;
//! let account = Account::new(NodeClient::new("local")?, keys, wallets.journal());
//! println!("{} SOMA", account.balance().await?);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod account;
mod blocking;
pub mod error;
pub mod events;
pub mod follow;
pub mod journal;
pub mod keyfile;
pub mod mnemonic;
pub mod models;
mod money;
pub mod node;
pub mod outbox;
pub mod paper;
pub mod sse;
pub mod submissions;
mod validators;
pub mod wallet;

pub use account::{Account, Notice, Sent};
pub use error::ClientError;
pub use events::EventStream;
pub use journal::Journal;
pub use mnemonic::{Mnemonic, generate_keypair};
pub use models::{CommittedModel, DueModel, Publication};
pub use node::{ModelFilter, NodeClient, NodeOptions, SubmissionFilter, TargetFilter};
pub use submissions::Scores;
pub use wallet::{WalletError, Wallets};
