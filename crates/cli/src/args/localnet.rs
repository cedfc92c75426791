//! `soma localnet`.

use std::{net::SocketAddr, path::PathBuf};

use bytesize::ByteSize;
use clap::Args;
use soma_node::retention::EPOCHS_MIN;

/// `soma localnet`.
#[derive(Debug, Args)]
pub struct LocalnetArgs {
    /// The network's folder.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// How many validators; a new network has 4 if left out.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub validators: Option<u32>,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model; a new network's is `nano` if left out.
    #[arg(long, value_name = "nano|v1|FILE")]
    pub arch: Option<String>,
    /// Where the first validator's API listens; the others take the next ports. Port 0: any free ones.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Keep winners' data and weights public for so many epochs after the last that named them; for ever if
    /// left out.
    #[arg(long, value_name = "EPOCHS", value_parser = clap::value_parser!(u64).range(EPOCHS_MIN..), conflicts_with = "archive")]
    pub keep_epochs: Option<u64>,
    /// Keep no more of them than so many bytes, as in 8GiB: the oldest go first.
    #[arg(
        long,
        value_name = "BYTES",
        default_value = "8GiB",
        conflicts_with = "archive"
    )]
    pub keep_bytes: ByteSize,
    /// Keep all of them, for as long as the store has room.
    #[arg(long)]
    pub archive: bool,
    /// Run each validator in a process of its own, with its own keys, storage and content. The others go on
    /// when one dies, and it is started again.
    #[arg(long)]
    pub processes: bool,
    /// Delete the network in the folder and start a new one.
    #[arg(long)]
    pub force: bool,
}
