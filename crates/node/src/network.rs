//! Authenticated, encrypted connections between validators, on real sockets.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    time::Duration,
};

use commonware_cryptography::{ChaCha20Poly1305, ed25519};
use commonware_p2p::{
    Address, AddressableManager as _,
    authenticated::lookup::{self, Oracle},
};
use commonware_runtime::{Network as Sockets, Quota, Resolver};
use commonware_stream::{
    Upgrader,
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZU32, NZUsize, ordered::Map};
use serde::{Deserialize, Serialize};

use crate::{
    consensus::Identity,
    engine::{self, Channel, Channels, channel_quota},
    runtime::Runtime,
};

/// The channel that carries transactions between mempools.
const GOSSIP_CHANNEL: u64 = engine::CHANNELS;
/// Messages that wait inside the library.
const MAILBOX_MESSAGES_MAX: NonZeroUsize = NZUsize!(4_096);
/// How far peers' clocks may differ when they connect.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);
/// How old a handshake may be.
const HANDSHAKE_AGE_MAX: Duration = Duration::from_secs(10);

/// From where a node's peers come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// From the Internet: each from an address of its own, no private ones.
    #[default]
    Internet,
    /// From a network with private addresses, as of a laboratory or of containers; all else as from the
    /// Internet.
    Private,
    /// From this machine: all share one address, and find each other at once.
    Machine,
}

/// An address that nobody dials, or not from where peers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("peers cannot reach {address} ({}): give the address that they dial", .reach.peers())]
pub struct OutOfReach {
    /// The address.
    pub address: SocketAddr,
    /// From where they come.
    pub reach: Reach,
}

impl Reach {
    /// Whether peers can dial `address`.
    ///
    /// # Errors
    /// When it is nobody's, or not one that can be had from where they come.
    pub fn admits(self, address: SocketAddr) -> Result<(), OutOfReach> {
        let ip = address.ip().to_canonical();
        let is_nobodys = match ip {
            IpAddr::V4(ip) => ip.is_broadcast(),
            IpAddr::V6(_) => false,
        };
        let is_nobodys = is_nobodys || ip.is_unspecified() || ip.is_multicast() || address.port() == 0;
        let is_private = match ip {
            IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
        };
        let is_in_reach = match self {
            Self::Internet => !is_private && !ip.is_loopback(),
            Self::Private => !ip.is_loopback(),
            Self::Machine => true,
        };
        if is_in_reach && !is_nobodys {
            return Ok(());
        }
        Err(OutOfReach { address, reach: self })
    }

    const fn peers(self) -> &'static str {
        match self {
            Self::Internet => "from the Internet",
            Self::Private => "from a private network",
            Self::Machine => "from this machine",
        }
    }

    /// The settings of peers' connections: the library's recommended ones, but on one machine.
    fn settings<U: Upgrader>(
        self,
        handshake: U,
        namespace: &[u8],
        listen: SocketAddr,
        peers: NonZeroUsize,
        message_bytes_max: u32,
    ) -> lookup::Config<U> {
        let settings = match self {
            Self::Internet | Self::Private => lookup::Config::recommended,
            Self::Machine => lookup::Config::local,
        };
        let mut config = settings(
            handshake,
            namespace,
            listen,
            peers,
            message_bytes_max,
            MAILBOX_MESSAGES_MAX,
        );
        config.tracked_peer_sets = NZUsize!(1);
        match self {
            Self::Internet => {}
            Self::Private => config.allow_private_ips = true,
            Self::Machine => {
                // Validators of a localnet share one address; a restart must not run into its own rate limit.
                config.allowed_handshake_rate_per_ip = Quota::per_second(NZU32!(256));
                config.allowed_handshake_rate_per_subnet = Quota::per_second(NZU32!(256));
                config.peer_connection_cooldown = Duration::from_millis(250);
                config.dial_frequency = Duration::from_millis(200);
            }
        }
        config
    }
}

/// Sends to peers.
pub type Sender<E> = lookup::Sender<Identity, E>;
/// Receives from peers.
pub type Receiver = lookup::Receiver<Identity>;

/// A running network.
pub struct Network<E: Runtime> {
    /// The engine's channels.
    pub channels: Channels<Sender<E>, Receiver>,
    /// The mempool's channel.
    pub gossip: Channel<Sender<E>, Receiver>,
    /// Knows and blocks peers.
    pub oracle: Oracle<Identity>,
}

/// Starts listening at `listen` and connecting to `peers` (which include this validator), who come from where
/// `reach` says.
///
/// # Panics
/// If the address cannot be bound.
pub fn start<E: Runtime + Sockets + Resolver>(
    context: &E,
    identity: ed25519::PrivateKey,
    chain: &[u8; 32],
    listen: SocketAddr,
    peers: Map<Identity, Address>,
    reach: Reach,
) -> Network<E> {
    let handshake = Cups::<_, ChaCha20Poly1305>::new(
        Sake {
            signer: identity,
            synchrony_bound: CLOCK_SKEW_MAX,
            max_handshake_age: HANDSHAKE_AGE_MAX,
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let namespace = [b"soma 2026 network ".as_slice(), chain].concat();
    let validators = u32::try_from(peers.len()).unwrap_or(u32::MAX);
    // Mailboxes are sized for a burst of every peer, and allocated at once.
    let peers_max = NonZeroUsize::new(peers.len()).unwrap_or(NonZeroUsize::MIN);
    let config = reach.settings(
        handshake,
        &namespace,
        listen,
        peers_max,
        engine::message_bytes_max(validators),
    );
    let (mut network, mut oracle) = lookup::Network::new(context.child("network"), config);
    oracle.track(0, peers);
    let channels = Channels::register(|id, quota| network.register(id, quota));
    let gossip = network.register(GOSSIP_CHANNEL, channel_quota());
    network.start();
    Network {
        channels,
        gossip,
        oracle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_dial_what_they_can_reach() {
        let admits = |reach: Reach, text: &str| reach.admits(text.parse().unwrap()).is_ok();
        for (address, by) in [
            ("203.0.113.9:26600", [true, true, true]),
            ("[2001:db8::9]:26600", [true, true, true]),
            ("10.0.0.1:26600", [false, true, true]),
            ("[fd00::1]:26600", [false, true, true]),
            ("127.0.0.1:26600", [false, false, true]),
            ("[::1]:26600", [false, false, true]),
            ("[::ffff:127.0.0.1]:26600", [false, false, true]),
            ("0.0.0.0:26600", [false; 3]),
            ("[::]:26600", [false; 3]),
            ("255.255.255.255:1", [false; 3]),
            ("224.0.0.1:1", [false; 3]),
            ("203.0.113.9:0", [false; 3]),
        ] {
            let found = [Reach::Internet, Reach::Private, Reach::Machine].map(|reach| admits(reach, address));
            assert_eq!(found, by, "{address}");
        }
    }
}
