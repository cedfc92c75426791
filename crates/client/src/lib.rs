//! The Rust SDK: keys, wallets, transactions and the node's HTTP interface.
#![forbid(unsafe_code)]

pub mod files;
pub mod journal;
pub mod keyfile;
pub mod mnemonic;
pub mod sse;
pub mod wallet;
