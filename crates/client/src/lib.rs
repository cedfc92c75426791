//! The Rust SDK: keys, wallets, transactions, and a node's HTTP interface.
//!
//! - [`mnemonic`], [`keyfile`], [`paper`], [`wallet`]: words, keys, how people write them down, and the
//!   folder that keeps them.
//! - [`node`], [`events`]: a node's HTTP interface, typed and bounded; [`sse`] decodes its event stream.
//! - [`account`], [`follow`]: one key at one node: fees, nonces, signing, sending; waiting for receipts.
//! - [`models`], [`submissions`] and methods of [`Account`]: what participants do, in whole steps: pay,
//!   stake, publish, submit, validate.
//! - [`journal`], [`outbox`]: what a crash must not lose: secrets between commit and reveal, transactions
//!   whose end is not known.
//!
//! One error, [`ClientError`], carries the ledger's codes. Every call can be dropped while it waits: what was
//! handed in by then is on disk, and is gone on with when the same is asked for again.
//!
//! ```
//! use soma_client::{Account, ClientError, NodeClient, Wallets};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let home = folder.path();
//! let wallets = Wallets::new(home);
//! let (alice, _words) = wallets.create("alice", None)?;
//! let keys = wallets.unlock("alice", None)?;
//! assert_eq!(keys.address(), alice.address);
//! // Asks nothing yet.
//! let account = Account::new(NodeClient::new("local")?, keys, wallets.journal());
//! assert_eq!(account.node().address(), "http://127.0.0.1:9000");
//! # Ok::<(), ClientError>(())
//! ```
//!
//! With a network: `account.balance().await?`.
#![forbid(unsafe_code)]

pub mod account;
mod blocking;
mod claims;
pub mod error;
pub mod events;
pub mod follow;
pub mod journal;
pub mod keyfile;
mod left;
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
pub use left::{LeftBehind, left_behind};
pub use mnemonic::{Mnemonic, generate_keypair};
pub use models::{CommittedModel, DueModel, Encrypted, FetchedWeights, Publication, UnheardCommit};
pub use node::{ModelFilter, NodeClient, NodeOptions, SubmissionFilter, TargetFilter, Traffic};
pub use submissions::{Scores, SourcedData, Storage, WonDocument, WonError, WonFacts};
pub use wallet::{WalletError, Wallets};
