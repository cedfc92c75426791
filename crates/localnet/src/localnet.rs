//! A whole network on one machine: validators on loopback sockets, each with its own storage, threads and
//! HTTP interface.
//!
//! Each node runs on a thread and a runtime of its own and shares nothing with the others but the content
//! store, the scoring service and the process; or in a process of its own ([`Hosting`]), and shares nothing.
//!
//! Failures: a node that cannot go on stops with a panic that names the cause; [`Localnet::failure`] reports
//! it, with the folder it happened in.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use commonware_cryptography::Signer as _;
use commonware_p2p::Address;
use commonware_utils::{TryCollect as _, ordered::Map};
use rand::{SeedableRng as _, rngs::StdRng};
use soma_blobs::{FetchPolicy, Fetcher, Store};
use soma_files::Lock;
use soma_http::descriptors;
use soma_node::{
    Node, api::Services, consensus::Identity, descriptors::of_validator, keeper::Nodes, network::Reach,
    node::Keeping, query::LiveQuery, runtime::since_1970_ms, steady::Origin, time::Time,
};
use soma_operator::{Home, Running};
use soma_scoring::{Limits, Service};
use soma_types::{Keypair, genesis::Genesis};
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use crate::{
    config::{Config, Hosting, LocalnetError},
    folder::{Folder, Place},
    ports::{self, address_of},
    processes::{Plan, Processes},
};

/// Threads of each node's runtime.
const THREADS_PER_NODE: usize = 2;
/// How long fetching weights or data may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(600);
/// Finalized blocks kept: an hour of a localnet. What became of transactions is kept apart, for ever.
const RETAINED_BLOCKS: usize = 16_384;

/// A running localnet. Dropping it stops it.
pub struct Localnet {
    genesis: Arc<Genesis>,
    network_key: [u8; 48],
    accounts: Vec<Keypair>,
    faucet: Keypair,
    apis: Vec<SocketAddr>,
    queries: Vec<LiveQuery>,
    stop: watch::Sender<bool>,
    running: BTreeMap<usize, Running>,
    processes: Option<Processes>,
    // Nobody else runs one of the validators meanwhile.
    _locks: Vec<Lock>,
    // Held until everything has stopped.
    folder: Folder,
}

/// How many clients each of `validators` in this process may serve at once where `limit` files may be open.
fn clients_of_each(validators: usize, limit: u64) -> Result<usize, LocalnetError> {
    // Each is connected to each other, and both ends are here.
    let reserved = validators as u64 * of_validator(validators);
    descriptors::connections_beside(reserved, validators, limit)
        .map_err(|few| LocalnetError::Descriptors { validators, few })
}

/// Downloads content of at most the network's longest, and no more than the store holds.
fn fetcher(genesis: &Genesis, blob_store_bytes_max: u64) -> Result<Fetcher, LocalnetError> {
    Fetcher::new(FetchPolicy {
        size_bytes_max: genesis.params.weights_size_max_bytes.min(blob_store_bytes_max),
        timeout: FETCH_TIMEOUT,
        // A participant's host is on this machine.
        private_addresses: true,
        ..FetchPolicy::default()
    })
    .map_err(|error| LocalnetError::Blobs(error.to_string()))
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
            retention,
            hosting,
        } = config;
        let rng = match seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => rand::make_rng(),
        };
        // All that can stand in the way is looked at before anything in the folder changes.
        let place = Place::lock(&directory, existing)?;
        let count = place.validators(&blueprint, existing)?;
        let clients = clients_of_each(count, descriptors::raise_limit())?;
        let apis = ports::bind(api_port, count)?;
        let p2p = ports::bind(p2p_port, count)?;
        let folder = place.open(&blueprint, existing, rng, since_1970_ms(SystemTime::now()))?;
        let genesis = Arc::new(folder.genesis.clone());
        let p2p_addresses: Vec<SocketAddr> = p2p.iter().map(address_of).collect();
        // The engine binds them itself.
        drop(p2p);
        let origin = Origin::now();
        let time = Time::new(Arc::new(move |_| origin.wall_ahead_ms()));
        let (stop, stopped) = watch::channel(false);
        let mut net = Self {
            genesis: genesis.clone(),
            network_key: folder.dealt.committee.network_key(),
            accounts: folder.accounts.clone(),
            faucet: folder.faucet.clone(),
            apis: apis.iter().map(address_of).collect(),
            queries: Vec::new(),
            stop,
            running: BTreeMap::new(),
            processes: None,
            _locks: Vec::new(),
            folder,
        };
        if let Hosting::Processes { program } = hosting {
            // They bind them themselves.
            drop(apis);
            let plan = Plan {
                program: &program,
                apis: &net.apis,
                p2p: &p2p_addresses,
                blob_store_bytes_max,
                retention,
            };
            let processes = Processes::start(&net.folder, &plan).map_err(|ended| LocalnetError::Stopped {
                index: ended.index,
                reason: ended.reason,
            })?;
            net.processes = Some(processes);
            return Ok(net);
        }
        net._locks = net.lock()?;
        let services = net.services(blob_store_bytes_max)?;
        let peers = net.peers(&p2p_addresses);
        // All content is in the one store.
        let nodes = Nodes {
            fetcher: services.fetcher.clone(),
            interfaces: Vec::new(),
        };
        let mut starting = Vec::new();
        for (index, (api, p2p)) in apis.into_iter().zip(p2p_addresses).enumerate() {
            let node = Node {
                identity: net.folder.dealt.members[index].identity.clone(),
                scheme: net.folder.dealt.scheme(&genesis.chain_id().0, index),
                genesis: genesis.clone(),
                storage: net.folder.storage(index),
                retained_blocks: RETAINED_BLOCKS,
                threads: THREADS_PER_NODE,
                origin,
                time: time.clone(),
                p2p,
                peers: peers.clone(),
                reach: Reach::Machine,
                api,
                clients,
                services: services.clone(),
                // They share one content store, so one of them keeps it.
                keeping: if index == 0 {
                    Keeping::Here(retention, nodes.clone())
                } else {
                    Keeping::Elsewhere
                },
            };
            starting.push(net.spawn(index, node, stopped.clone())?);
        }
        for (index, starting) in starting.into_iter().enumerate() {
            // One that does not serve is about to end, if it has not yet. It had nothing to do but to open
            // its storage.
            let query = starting.blocking_recv().map_err(|_| LocalnetError::Storage {
                index,
                storage: net.folder.storage(index),
                reason: net.ended(index),
            })?;
            net.queries.push(query);
        }
        info!(api = %net.apis[0], validators = count, "localnet is running");
        Ok(net)
    }

    /// Keeps every validator's folder from other processes.
    fn lock(&self) -> Result<Vec<Lock>, LocalnetError> {
        let folders = (0..self.apis.len()).map(|index| self.folder.validator(index));
        folders
            .map(|folder| Ok(soma_operator::check::lock(&Home::new(folder))?))
            .collect()
    }

    /// What all validators in this process offer.
    fn services(&self, blob_store_bytes_max: u64) -> Result<Services, LocalnetError> {
        Ok(Services {
            fetcher: fetcher(&self.genesis, blob_store_bytes_max)?,
            blobs: Store::open(self.folder.blobs(), blob_store_bytes_max)
                .map_err(|error| LocalnetError::Blobs(error.to_string()))?,
            faucet: Some(self.faucet.clone()),
            // The validators share one: they share the processor. Without it all else still works.
            scoring: Service::new(Limits::beside_validators())
                .inspect_err(|error| warn!(%error, "this localnet does not score for others"))
                .ok(),
        })
    }

    /// Where each validator listens.
    fn peers(&self, addresses: &[SocketAddr]) -> Map<Identity, Address> {
        self.folder
            .dealt
            .members
            .iter()
            .zip(addresses)
            .map(|(member, address)| (member.identity.public_key(), Address::from(*address)))
            .try_collect()
            .expect("identities are distinct")
    }

    /// Runs `node`, which is number `index`, on a thread of its own; answers once it serves.
    fn spawn(
        &mut self,
        index: usize,
        node: Node,
        stopped: watch::Receiver<bool>,
    ) -> Result<oneshot::Receiver<LiveQuery>, LocalnetError> {
        let (running, starting) =
            Running::spawn(format!("validator-{index}"), node, stopped).map_err(|error| {
                LocalnetError::Stopped {
                    index,
                    reason: error.to_string(),
                }
            })?;
        self.running.insert(index, running);
        Ok(starting)
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

    /// In-process reads, one for each validator that runs in this process.
    #[must_use]
    pub fn queries(&self) -> &[LiveQuery] {
        &self.queries
    }

    /// The ids of its validators' processes, if they have their own.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        self.processes.as_ref().map_or_else(Vec::new, Processes::ids)
    }

    /// What its validators' processes have told, and what became of them, since the last time.
    pub fn news(&mut self) -> Vec<String> {
        self.processes.as_mut().map_or_else(Vec::new, Processes::news)
    }

    /// Why the localnet failed, if a validator has stopped by itself. One with a process of its own is
    /// started again, as long as that helps.
    pub fn failure(&mut self) -> Option<LocalnetError> {
        if let Some(processes) = &mut self.processes {
            let ended = processes.tend().err()?;
            return Some(LocalnetError::Stopped {
                index: ended.index,
                reason: ended.reason,
            });
        }
        let (&index, _) = self.running.iter().find(|(_, node)| node.has_ended())?;
        let reason = self.ended(index);
        Some(LocalnetError::Stopped { index, reason })
    }

    /// Waits for validator `index` to end; why it did.
    fn ended(&mut self, index: usize) -> String {
        let reason = match self.running.remove(&index).map(Running::join) {
            Some(Err(reason)) => reason,
            _ => "it ended".to_owned(),
        };
        // The engine says what it could not do; the disk says why.
        self.folder
            .probe()
            .err()
            .map_or(reason, |error| error.to_string())
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
        self.processes = None;
        while let Some((_, node)) = self.running.pop_first() {
            // Why it ended was reported when it did.
            let _ = node.join();
        }
    }
}

impl Drop for Localnet {
    fn drop(&mut self) {
        self.halt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_open_files_are_told_with_both_numbers() {
        // What a system gives that gives little.
        assert!(clients_of_each(4, 1_024).is_ok());
        let text = clients_of_each(100, 1_024).unwrap_err().to_string();
        assert!(text.contains("100 validators") && text.contains("1024"), "{text}");
    }
}
