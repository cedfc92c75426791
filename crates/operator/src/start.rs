//! Starting the node of a home.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, SystemTime},
};

use commonware_p2p::Address;
use commonware_utils::{TryCollect as _, ordered::Map};
use serde::Deserialize;
use soma_blobs::{FetchPolicy, Fetcher, Store};
use soma_files::{Lock, read_bounded};
use soma_node::{
    Node, api::Services, consensus::public_key, keeper::Nodes, network::Reach, node::Keeping,
    query::LiveQuery, steady::Origin, time::Time,
};
use soma_scoring::{Limits, Service};
use soma_types::{Keypair, params::Preset};
use tokio::sync::watch;
use tracing::warn;

use crate::{
    check::{self, Problem},
    config::Config,
    disk,
    home::Home,
    network::Network,
    running::Running,
    secrets::Secrets,
    storage, text,
};

/// How long fetching weights or data may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(600);
/// Most threads of the node's runtime.
const THREADS_MAX: usize = 8;

/// Why a node does not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What [`check`] finds as well.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The content store.
    #[error("cannot open the content store: {0}")]
    Blobs(String),
    /// The account that gives money away.
    #[error("faucet = '{path}': {reason}")]
    Faucet {
        /// What the settings name.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It ended by itself.
    #[error("the node stopped: {reason}. What is stored is in '{}'", storage.display())]
    Stopped {
        /// Why it did.
        reason: String,
        /// Its storage.
        storage: PathBuf,
    },
}

impl StartError {
    /// Whether starting it again could help: something is wrong with what its operator has set or brought
    /// otherwise.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Problem(problem) => !matches!(
                problem,
                Problem::Config(_)
                    | Problem::Network(_)
                    | Problem::Secrets(_)
                    | Problem::Stranger(_)
                    | Problem::NoShare
                    | Problem::Share
                    | Problem::Moved(_)
                    | Problem::Storage(_)
            ),
            Self::Faucet { .. } => false,
            Self::Blobs(_) | Self::Stopped { .. } => true,
        }
    }
}

/// A node that serves. Dropping it stops it.
pub struct Started {
    /// Reads and submissions.
    pub query: LiveQuery,
    /// Where its HTTP interface listens.
    pub api: SocketAddr,
    /// Its network.
    pub network: Network,
    stop: watch::Sender<bool>,
    running: Option<Running>,
    storage: PathBuf,
    home: PathBuf,
    // Held until it has stopped.
    _lock: Lock,
}

impl Started {
    /// Starts the node of `home`, with `config`, which is its own. Returns once it serves. Blocks; call it
    /// outside of async code.
    ///
    /// # Errors
    /// If anything that [`check`] looks at is wrong, or it cannot open what it has stored.
    pub fn start(home: &Home, config: &Config) -> Result<Self, StartError> {
        let network = Network::read(&home.network()).map_err(Problem::from)?;
        check::moved(config, &network)?;
        let secrets = Secrets::read(&home.secrets()).map_err(Problem::from)?;
        let share = check::share(&secrets, &network)?;
        check::clock(&network, SystemTime::now())?;
        let lock = check::lock(home)?;
        let chain = network.genesis.chain_id();
        storage::claim(&home.storage(), &chain).map_err(Problem::from)?;
        check::room(home)?;
        let clients = check::clients(&network)?;
        // The engine binds it itself, and does not say what is wrong.
        drop(check::listen("p2p", config.p2p.listen)?);
        let api = check::listen("api", config.api.listen)?;
        let address = api.local_addr().expect("a bound listener has an address");
        let origin = Origin::now();
        let node = Node {
            scheme: network.committee.signer(&chain, share),
            identity: secrets.identity,
            genesis: Arc::new(network.genesis.clone()),
            storage: home.storage(),
            retained_blocks: config.storage.blocks,
            threads: threads(config.p2p.reach),
            origin,
            time: Time::new(Arc::new(move |_| origin.wall_ahead_ms())),
            p2p: config.p2p.listen,
            peers: peers(config, &network),
            reach: config.p2p.reach,
            api,
            clients,
            services: services(home, config, &network)?,
            keeping: Keeping::Here(config.content.retention(), nodes(config, &network)?),
        };
        let (stop, stopped) = watch::channel(false);
        let stopped_by_itself = |reason| StartError::Stopped {
            reason,
            storage: home.storage(),
        };
        let (running, starting) = Running::spawn("validator-node".to_owned(), node, stopped)
            .map_err(|error| stopped_by_itself(error.to_string()))?;
        // One that does not serve is about to end, if it has not yet.
        let Ok(query) = starting.blocking_recv() else {
            let reason = running.join().err();
            return Err(stopped_by_itself(reason.unwrap_or_else(|| "it ended".to_owned())));
        };
        Ok(Self {
            query,
            api: address,
            network,
            stop,
            running: Some(running),
            storage: home.storage(),
            home: home.path().to_owned(),
            _lock: lock,
        })
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.running.as_ref().is_none_or(Running::has_ended)
    }

    /// Stops it and waits. What was acknowledged is on disk.
    ///
    /// # Errors
    /// If it had ended before: why.
    pub fn stop(mut self) -> Result<(), StartError> {
        let ended = self.has_ended();
        let result = self.halt();
        if !ended {
            return Ok(());
        }
        // The engine says what it could not do; the disk says why.
        let reason = match disk::probe(&self.home) {
            Err(error) => error.to_string(),
            Ok(()) => result.err().unwrap_or_else(|| "it ended".to_owned()),
        };
        Err(StartError::Stopped {
            reason,
            storage: self.storage.clone(),
        })
    }

    fn halt(&mut self) -> Result<(), String> {
        let _ = self.stop.send(true);
        self.running.take().map_or(Ok(()), Running::join)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Why it ended was told, or nobody asks.
        let _ = self.halt();
    }
}

/// Where everyone listens: as founded, but for those who have moved. This node is among them.
fn peers(config: &Config, network: &Network) -> Map<soma_node::consensus::Identity, Address> {
    network
        .committee
        .identities
        .iter()
        .map(|identity| {
            let key = public_key(identity);
            let address = config.p2p.moved.get(&key).unwrap_or(&network.addresses[&key]);
            (identity.clone(), Address::from(*address))
        })
        .try_collect()
        .expect("identities are distinct")
}

/// All processors, but where many nodes share them.
fn threads(reach: Reach) -> usize {
    match reach {
        Reach::Machine => 2,
        Reach::Internet | Reach::Private => available_parallelism()
            .map_or(2, NonZeroUsize::get)
            .clamp(2, THREADS_MAX),
    }
}

/// Who else may have content. Their operators are known, so they may be anywhere.
fn nodes(config: &Config, network: &Network) -> Result<Nodes, StartError> {
    let interfaces = config.content.nodes.clone();
    if interfaces.is_empty() && network.committee.identities.len() > 1 {
        warn!(
            "[content] nodes names nobody: what is handed to other nodes is missing here, and auditors who ask \
             this one accuse who handed it in"
        );
    }
    let fetcher = Fetcher::new(FetchPolicy {
        private_addresses: true,
        // They have it or not: none sends this node elsewhere.
        redirects_max: 0,
        ..policy(config, network)
    });
    Ok(Nodes {
        fetcher: fetcher.map_err(|error| StartError::Blobs(error.to_string()))?,
        interfaces,
    })
}

/// How content is fetched from participants' hosts.
fn policy(config: &Config, network: &Network) -> FetchPolicy {
    let params = &network.genesis.params;
    FetchPolicy {
        size_bytes_max: params.weights_size_max_bytes.min(config.content.bytes_max),
        timeout: FETCH_TIMEOUT,
        // On a localnet, a participant's host is on this machine.
        private_addresses: params.preset == Preset::Local,
        ..FetchPolicy::default()
    }
}

fn services(home: &Home, config: &Config, network: &Network) -> Result<Services, StartError> {
    let params = &network.genesis.params;
    let bytes_max = config.content.bytes_max;
    let blobs = |error: &dyn std::fmt::Display| StartError::Blobs(error.to_string());
    let fetcher = Fetcher::new(policy(config, network)).map_err(|error| blobs(&error))?;
    let scoring = config
        .api
        .scoring
        .then(|| Service::new(Limits::beside_validators()));
    Ok(Services {
        blobs: Store::open(home.blobs(), bytes_max).map_err(|error| blobs(&error))?,
        fetcher,
        faucet: config
            .faucet
            .as_ref()
            .map(|path| faucet(path, params.preset))
            .transpose()?,
        // Without it all else still works.
        scoring: scoring.and_then(|service| {
            service
                .inspect_err(|error| warn!(%error, "this node does not score for others"))
                .ok()
        }),
    })
}

/// A file with the secret of a faucet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaucetFile {
    account: String,
}

fn faucet(path: &Path, preset: Preset) -> Result<Keypair, StartError> {
    let refused = |reason: String| StartError::Faucet {
        path: path.to_owned(),
        reason,
    };
    if preset != Preset::Local {
        return Err(refused(
            "only a localnet gives money away: leave it out".to_owned(),
        ));
    }
    let bytes = read_bounded(path, 4_096)
        .map_err(|error| refused(error.to_string()))?
        .ok_or_else(|| refused("there is no such file".to_owned()))?;
    let secret = serde_json::from_slice::<FaucetFile>(&bytes)
        .ok()
        .and_then(|file| text::decode::<[u8; 32]>(&file.account, &()).ok())
        .ok_or_else(|| refused("it holds no account's secret".to_owned()))?;
    Ok(Keypair::from_secret_bytes(secret))
}
