//! Authenticated, encrypted connections between validators, on real sockets.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

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

impl Reach {
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
