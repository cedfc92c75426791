//! One node: a validator with its HTTP interface and the keeper of its content, on the machine's sockets and
//! disk.
//!
//! Failures: a node that cannot go on (its disk is full, say) stops with a panic that names the cause.
//! Persistence: all state is on disk; a restart resumes from it, also after `kill -9`.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use commonware_cryptography::ed25519;
use commonware_p2p::Address;
use commonware_runtime::{Runner as _, Spawner as _, Supervisor as _, tokio as runtime};
use commonware_utils::ordered::Map;
use soma_types::genesis::Genesis;
use tokio::sync::{oneshot, watch};

use crate::{
    api::{self, Services},
    consensus::{Identity, Scheme},
    engine::Timeouts,
    keeper::{self, Nodes},
    network::{self, Reach},
    query::LiveQuery,
    retention::Retention,
    steady::{Origin, Steady},
    time::Time,
    validator::{self, Validator},
};

/// Prefix of its storage partitions. Fixed for the life of the data.
const PARTITION: &str = "soma";
/// How long a node may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two looks at whether consensus has begun: it takes milliseconds.
const VOTING_PAUSE: Duration = Duration::from_millis(5);

/// Who keeps the content store of a node in step with the ledger.
#[derive(Clone, Debug)]
pub enum Keeping {
    /// This node, for so long, with what the others have.
    Here(Retention, Nodes),
    /// Another node, which has the same store.
    Elsewhere,
}

/// What makes a node itself.
pub struct Node {
    /// Authenticates it to its peers.
    pub identity: ed25519::PrivateKey,
    /// Its signing scheme.
    pub scheme: Scheme,
    /// The network.
    pub genesis: Arc<Genesis>,
    /// The folder of everything it remembers, its own.
    pub storage: PathBuf,
    /// Finalized blocks that are kept.
    pub retained_blocks: usize,
    /// Threads of its runtime.
    pub threads: usize,
    /// What its steady clock counts from.
    pub origin: Origin,
    /// Dates blocks.
    pub time: Time,
    /// Where it listens for its peers.
    pub p2p: SocketAddr,
    /// Where they and it listen.
    pub peers: Map<Identity, Address>,
    /// From where they come.
    pub reach: Reach,
    /// Where its HTTP interface listens.
    pub api: TcpListener,
    /// Most clients served at once.
    pub clients: usize,
    /// What it offers besides its ledger.
    pub services: Services,
    /// Who keeps its content store.
    pub keeping: Keeping,
}

impl Node {
    /// Runs until `stopped` turns true; hands reads and submissions to `started` once it serves. Blocks: it
    /// has a runtime of its own.
    ///
    /// # Panics
    /// If its storage or its sockets fail. The panic says why.
    pub fn run(self, started: oneshot::Sender<LiveQuery>, stopped: watch::Receiver<bool>) {
        let config = runtime::Config::new()
            .with_worker_threads(self.threads)
            .with_storage_directory(&self.storage);
        runtime::Runner::new(config).start(|context| self.serve(context, started, stopped));
    }

    async fn serve(
        self,
        context: runtime::Context,
        started: oneshot::Sender<LiveQuery>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let context = Steady::new(context, self.origin);
        let chain = self.genesis.chain_id().0;
        let network = network::start(
            &context,
            self.identity.clone(),
            &chain,
            self.p2p,
            self.peers,
            self.reach,
        );
        let config = validator::Config {
            identity: self.identity,
            scheme: self.scheme,
            genesis: self.genesis,
            partition: PARTITION.to_owned(),
            peers: network.oracle.clone(),
            blocker: network.oracle,
            time: self.time,
            timeouts: Timeouts::default(),
            retained_blocks: self.retained_blocks,
        };
        let Validator { mut handle, query } = validator::start(
            context.child("validator"),
            config,
            network.channels,
            network.gossip,
            |ledger| ledger,
            |stateful| stateful,
        )
        .await;
        // A task of its own opens what consensus remembers of its votes. One that cannot never serves.
        let voting = async {
            while !query.is_voting() {
                tokio::time::sleep(VOTING_PAUSE).await;
            }
        };
        tokio::select! {
            () = voting => {}
            _ = stopped.wait_for(|stop| *stop) => {}
            result = &mut handle => panic!("its engine stopped: {result:?}"),
        }
        let Services { blobs, fetcher, .. } = &self.services;
        match self.keeping {
            Keeping::Here(retention, nodes) => {
                tokio::spawn(keeper::run(
                    query.clone(),
                    blobs.clone(),
                    fetcher.clone(),
                    nodes,
                    retention,
                    stopped.clone(),
                ));
            }
            Keeping::Elsewhere => {}
        }
        let serving = api::serve(
            self.api,
            query.clone(),
            self.services,
            self.clients,
            stopped.clone(),
        );
        // Nobody who waits for it is no reason to end.
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
    }
}
