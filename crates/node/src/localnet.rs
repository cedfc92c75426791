//! A whole network in one process: validators on loopback sockets, each with its own storage, threads and
//! HTTP interface.
//!
//! Each validator runs on a runtime of its own and shares nothing with the others but the process, so moving one
//! into a process of its own changes nothing but this file.
//!
//! Failures: a validator that cannot go on (its disk is full, say) stops with a panic that names the cause;
//! [`Localnet::failure`] reports it, with the folder it happened in. All state is on disk; a restart resumes from it,
//! also after `kill -9`.

use std::{
    any::Any,
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use commonware_cryptography::Signer as _;
use commonware_p2p::Address as PeerAddress;
use commonware_runtime::{Runner as _, Spawner as _, Supervisor as _, tokio as runtime};
use commonware_utils::{TryCollect as _, ordered::Map};
use rand::{SeedableRng as _, rngs::StdRng};
use soma_blobs::{FetchPolicy, Fetcher};
use soma_types::{Keypair, genesis::Genesis};
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use crate::{
    descriptors::{self, TooFew},
    engine::Timeouts,
    folder::{Blueprint, Existing, Folder, FolderError, Place},
    keeper, network,
    query::{Query, Reader},
    runtime::since_1970_ms,
    scoring::{Limits, Service},
    steady::{Origin, Steady},
    time::Time,
    validator::{self, Validator},
};

/// Threads of each validator's runtime.
const THREADS_PER_VALIDATOR: usize = 2;
/// Stack of each validator's first thread, which drives its start.
const STACK_BYTES: usize = 16 << 20;
/// How long a validator may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long fetching weights or data may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(600);
/// Finalized blocks kept: an hour of a localnet. What became of transactions is kept apart, for ever.
const RETAINED_BLOCKS: usize = 16_384;

/// A validator's runtime.
pub type LiveContext = Steady<runtime::Context>;
/// Reads of a validator on sockets.
pub type LiveQuery = Query<LiveContext>;
/// A view of its finalized state.
pub type LiveReader<'a> = Reader<'a, LiveContext>;

/// How to run a localnet.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its folder.
    pub directory: PathBuf,
    /// What to make if the folder holds no network yet.
    pub blueprint: Blueprint,
    /// What to do with the one that it holds.
    pub existing: Existing,
    /// Derives every secret of a new network, so that it can be made again; random where left out.
    pub seed: Option<u64>,
    /// The first validator's HTTP port; the others take the next ones. 0 lets the system choose each.
    pub api_port: u16,
    /// The first validator's peer-to-peer port, likewise.
    pub p2p_port: u16,
    /// Upper bound of the content store, in bytes.
    pub blob_store_bytes_max: u64,
}

impl Config {
    /// A network in `directory` with everything else at its default and ports chosen by the system.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            blueprint: Blueprint::default(),
            existing: Existing::Keep,
            seed: None,
            api_port: 0,
            p2p_port: 0,
            blob_store_bytes_max: 16 << 30,
        }
    }
}

/// Why a localnet does not start or stopped.
#[derive(Debug, thiserror::Error)]
pub enum LocalnetError {
    /// Its folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A port.
    #[error("cannot listen on {address}: {reason}")]
    Port {
        /// The address.
        address: SocketAddr,
        /// In words.
        reason: String,
    },
    /// Open files.
    #[error(transparent)]
    Descriptors(#[from] TooFew),
    /// The content store.
    #[error("cannot open the content store: {0}")]
    Blobs(String),
    /// A validator did not start.
    #[error("validator {index} does not start from its storage in '{}': {reason}", storage.display())]
    Storage {
        /// Which.
        index: usize,
        /// Where it is stored.
        storage: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A validator stopped by itself.
    #[error("validator {index} stopped: {reason}")]
    Stopped {
        /// Which.
        index: usize,
        /// Why.
        reason: String,
    },
}

/// A running localnet. Dropping it stops it.
pub struct Localnet {
    genesis: Arc<Genesis>,
    network_key: [u8; 48],
    accounts: Vec<Keypair>,
    faucet: Keypair,
    apis: Vec<SocketAddr>,
    queries: Vec<LiveQuery>,
    stop: watch::Sender<bool>,
    threads: BTreeMap<usize, JoinHandle<()>>,
    // Held until everything has stopped.
    folder: Folder,
}

/// Binds a loopback port: the given one, or any.
fn bind(port: u16) -> Result<TcpListener, LocalnetError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "the port is in use: stop who uses it, or choose another".to_owned()
            }
            std::io::ErrorKind::PermissionDenied => "permission denied: choose a port above 1023".to_owned(),
            _ => error.to_string(),
        };
        LocalnetError::Port { address, reason }
    })
}

/// One port for each validator: `first` and the following, or any where `first` is 0.
fn bind_all(first: u16, count: usize) -> Result<Vec<TcpListener>, LocalnetError> {
    (0..count)
        .map(|index| {
            bind(if first == 0 {
                0
            } else {
                first.saturating_add(index as u16)
            })
        })
        .collect()
}

/// What a panic says.
fn reason_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it panicked".to_owned())
}

fn address_of(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound listener has an address")
}

impl Localnet {
    /// Starts a localnet and returns once every validator serves. Blocks; call it outside of async code.
    ///
    /// # Errors
    /// If the folder is in use or unusable, a port is taken, or a validator fails to start.
    pub fn start(config: Config) -> Result<Self, LocalnetError> {
        let Config {
            directory,
            blueprint,
            existing,
            seed,
            api_port,
            p2p_port,
            blob_store_bytes_max,
        } = config;
        let rng = match seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => rand::make_rng(),
        };
        // All that can stand in the way is looked at before anything in the folder changes.
        let place = Place::lock(&directory, existing)?;
        let count = place.validators(&blueprint, existing)?;
        let clients = descriptors::connections_max(count, descriptors::raise_limit())?;
        let apis = bind_all(api_port, count)?;
        let p2p = bind_all(p2p_port, count)?;
        let folder = place.open(&blueprint, existing, rng, since_1970_ms(SystemTime::now()))?;
        let blobs = soma_blobs::Store::open(folder.blobs(), blob_store_bytes_max)
            .map_err(|error| LocalnetError::Blobs(error.to_string()))?;
        let fetcher = Fetcher::new(FetchPolicy {
            size_bytes_max: folder
                .genesis
                .params
                .weights_size_max_bytes
                .min(blob_store_bytes_max),
            timeout: FETCH_TIMEOUT,
            // A participant's host is on this machine.
            private_addresses: true,
            ..FetchPolicy::default()
        })
        .map_err(|error| LocalnetError::Blobs(error.to_string()))?;
        // The validators share one: they share the processor. Without it all else still works.
        let scoring = Service::new(Limits::beside_validators())
            .inspect_err(|error| warn!(%error, "this localnet does not score for others"))
            .ok();
        let api_addresses: Vec<SocketAddr> = apis.iter().map(address_of).collect();
        let p2p_addresses: Vec<SocketAddr> = p2p.iter().map(address_of).collect();
        // The engine binds them itself.
        drop(p2p);

        let genesis = Arc::new(folder.genesis.clone());
        let chain = genesis.chain_id();
        let peers: Map<_, PeerAddress> = folder
            .dealt
            .members
            .iter()
            .zip(&p2p_addresses)
            .map(|(member, address)| (member.identity.public_key(), PeerAddress::from(*address)))
            .try_collect()
            .expect("identities are distinct");
        let (stop, stopped) = watch::channel(false);
        let origin = Origin::now();
        let time = Time::new(Arc::new(move |_| origin.wall_ahead_ms()));
        let mut net = Self {
            genesis: genesis.clone(),
            network_key: folder.dealt.network_key(),
            accounts: folder.accounts.clone(),
            faucet: folder.faucet.clone(),
            apis: api_addresses,
            queries: Vec::new(),
            stop,
            threads: BTreeMap::new(),
            folder,
        };
        let mut ready = Vec::new();
        for (index, api) in apis.into_iter().enumerate() {
            let (started, is_ready) = oneshot::channel();
            ready.push(is_ready);
            let member = net.folder.dealt.members[index].clone();
            let scheme = net.folder.dealt.scheme(&chain.0, index);
            let storage = net.folder.storage(index);
            let (genesis, peers, mut stopped) = (genesis.clone(), peers.clone(), stopped.clone());
            let time = time.clone();
            let services = crate::api::Services {
                blobs: blobs.clone(),
                fetcher: fetcher.clone(),
                faucet: Some(net.faucet.clone()),
                scoring: scoring.clone(),
            };
            let listen = p2p_addresses[index];
            let run = move || {
                let config = runtime::Config::new()
                    .with_worker_threads(THREADS_PER_VALIDATOR)
                    .with_storage_directory(storage);
                runtime::Runner::new(config).start(|context| async move {
                    let context = Steady::new(context, origin);
                    let network = network::start(&context, member.identity.clone(), &chain.0, listen, peers);
                    let Validator { mut handle, query } = validator::start(
                        context.child("validator"),
                        validator::Config {
                            identity: member.identity,
                            scheme,
                            genesis,
                            partition: "soma".to_owned(),
                            peers: network.oracle.clone(),
                            blocker: network.oracle,
                            time,
                            timeouts: Timeouts::default(),
                            retained_blocks: RETAINED_BLOCKS,
                        },
                        network.channels,
                        network.gossip,
                        |stateful| stateful,
                    )
                    .await;
                    // They share one content store, so one of them keeps it.
                    if index == 0 {
                        let (blobs, fetcher) = (services.blobs.clone(), services.fetcher.clone());
                        tokio::spawn(keeper::run(query.clone(), blobs, fetcher, stopped.clone()));
                    }
                    let serving = crate::api::serve(api, query.clone(), services, clients, stopped.clone());
                    let _ = started.send(query);
                    tokio::select! {
                        _ = stopped.wait_for(|stop| *stop) => {}
                        result = &mut handle => panic!("its engine stopped: {result:?}"),
                        // Serving ends well only when it was told to stop.
                        result = serving => if let Err(error) = result {
                            panic!("its HTTP interface stopped: {error}");
                        },
                    }
                    handle.abort();
                    let _ = context.stop(0, Some(STOP_TIMEOUT)).await;
                });
            };
            let thread = std::thread::Builder::new()
                .name(format!("validator-{index}"))
                .stack_size(STACK_BYTES)
                .spawn(run)
                .map_err(|error| LocalnetError::Stopped {
                    index,
                    reason: error.to_string(),
                })?;
            net.threads.insert(index, thread);
        }
        for (index, ready) in ready.into_iter().enumerate() {
            match ready.blocking_recv() {
                Ok(query) => net.queries.push(query),
                // It is about to end, if it has not yet. It had nothing to do but to open its storage.
                Err(_) => {
                    let storage = net.folder.storage(index);
                    return Err(match net.ended(index) {
                        LocalnetError::Stopped { index, reason } => LocalnetError::Storage {
                            index,
                            storage,
                            reason,
                        },
                        other => other,
                    });
                }
            }
        }
        info!(api = %net.apis[0], validators = count, "localnet is running");
        Ok(net)
    }

    /// The genesis.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The key that verifies every certificate of this network.
    #[must_use]
    pub const fn network_key(&self) -> [u8; 48] {
        self.network_key
    }

    /// The validators' accounts: they audit.
    #[must_use]
    pub fn validator_accounts(&self) -> &[Keypair] {
        &self.accounts
    }

    /// The faucet's account.
    #[must_use]
    pub const fn faucet(&self) -> &Keypair {
        &self.faucet
    }

    /// Where the validators' HTTP interfaces listen.
    #[must_use]
    pub fn apis(&self) -> &[SocketAddr] {
        &self.apis
    }

    /// In-process reads, one for each validator.
    #[must_use]
    pub fn queries(&self) -> &[LiveQuery] {
        &self.queries
    }

    /// Why the localnet failed, if a validator has stopped by itself.
    pub fn failure(&mut self) -> Option<LocalnetError> {
        let (index, _) = self.threads.iter().find(|(_, thread)| thread.is_finished())?;
        Some(self.ended(*index))
    }

    /// Waits for validator `index` to end; why it did.
    fn ended(&mut self, index: usize) -> LocalnetError {
        let reason = match self.threads.remove(&index).map(JoinHandle::join) {
            Some(Err(panic)) => reason_of(panic.as_ref()),
            _ => "it ended".to_owned(),
        };
        // The engine says what it could not do; the disk says why.
        match self.folder.probe() {
            Ok(()) => LocalnetError::Stopped { index, reason },
            Err(error) => LocalnetError::Stopped {
                index,
                reason: error.to_string(),
            },
        }
    }

    /// Stops every validator and waits for them. What was acknowledged is on disk.
    ///
    /// # Errors
    /// If a validator had failed before.
    pub fn stop(mut self) -> Result<(), LocalnetError> {
        let failure = self.failure();
        self.halt();
        failure.map_or(Ok(()), Err)
    }

    fn halt(&mut self) {
        self.queries.clear();
        let _ = self.stop.send(true);
        while let Some((_, thread)) = self.threads.pop_first() {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Localnet {
    fn drop(&mut self) {
        self.halt();
    }
}
