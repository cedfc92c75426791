//! What a light client checks, with nothing to trust but the network's key of 48 bytes (docs/protocol.md,
//! section 12).
//!
//! ```text
//! network key -> certificate -> headers -> state root    -> current value, or that there is none
//!                                       -> receipts root -> receipt, or that the block has none
//! ```
//!
//! A [`Proof`](proof::Proof) holds all of it. Nothing else is needed: no node, no clock, no other key. It
//! says what was so at a height that is final; it does not say that there is no higher one.
//!
//! ```
//! use soma_light::{key::NetworkKey, proof::Proof};
//!
//! let key = "0xab".parse::<NetworkKey>();
//! assert!(key.unwrap_err().to_string().starts_with("'0xab' is no network key: give its 48 bytes in hex"));
//! assert!(Proof::decode(&[1, 2, 3]).is_err());
//! ```
#![forbid(unsafe_code)]

pub mod claim;
pub mod consensus;
pub mod header;
pub mod key;
pub mod proof;
pub mod receipts;
pub mod state;
pub mod subject;
