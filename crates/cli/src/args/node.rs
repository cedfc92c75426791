//! `soma node` and `soma genesis`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use soma_node::network::Reach;

/// `soma node`.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Make the keys and settings of a validator's node, and the public entry that the other operators need.
    Init(NodeInitArgs),
    /// Take the node's share of what was dealt in a founding, and the network that was founded.
    Join {
        /// The folder that operators share.
        founding: PathBuf,
    },
    /// Look at settings, network, keys, clock, folder, disk and ports, and say what is wrong: exit code 0 if
    /// the node could start, 5 if not.
    Check,
    /// Run the node until it is told to stop (Ctrl-C, SIGTERM): exit code 0 then, 1 if it cannot go on or
    /// something is in its way that may pass, 2 if its settings, keys or network have to be put right.
    Start {
        /// Stop when standard input ends, as whoever started it wants it.
        #[arg(long, hide = true)]
        attached: bool,
    },
}

/// `soma node init`.
#[derive(Debug, Args)]
pub struct NodeInitArgs {
    /// Where the other validators reach it: an IP address and a port.
    #[arg(long, value_name = "IP:PORT")]
    pub address: SocketAddr,
    /// Where it listens for them, where that is another: behind a router, or in a container.
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,
    /// From where the others come.
    #[arg(long, value_enum, default_value_t = ReachName::Internet)]
    pub reach: ReachName,
    /// Where its HTTP interface listens; beyond this machine only once node.toml says `public = true`.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9000")]
    pub api: SocketAddr,
    /// The validator's account: a wallet's name or an address; the wallet in use if left out. It has the
    /// stake, and signs audits.
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Its share of its pool's rewards, in basis points (100 = 1%).
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub commission: u16,
    /// The folder that operators share, where the entry is to go; the home folder if left out.
    #[arg(long, value_name = "DIR")]
    pub founding: Option<PathBuf>,
}

/// From where peers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReachName {
    /// From the Internet.
    Internet,
    /// From a network with private addresses.
    Private,
    /// From this machine.
    Machine,
}

impl From<ReachName> for Reach {
    fn from(name: ReachName) -> Self {
        match name {
            ReachName::Internet => Self::Internet,
            ReachName::Private => Self::Private,
            ReachName::Machine => Self::Machine,
        }
    }
}

/// `soma genesis`.
#[derive(Debug, Subcommand)]
pub enum GenesisCommand {
    /// Deal a secret of this home's node to all who are entered, into the folder that operators share.
    ///
    /// The folder has plan.toml and entries/, the same at every operator: compare the chain's id that this
    /// prints. Once is enough; the same command again changes nothing.
    Deal {
        /// The folder that operators share.
        founding: PathBuf,
    },
    /// Compute the network from plan, entries and the dealings of all, into network.json. Every operator
    /// computes the same: compare its hash.
    Build {
        /// The folder that operators share.
        founding: PathBuf,
    },
}
