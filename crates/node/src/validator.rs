//! One validator with everything around its engine: mempool, gossip, ledger, index, and a [`Query`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use commonware_consensus::{Reporter, marshal::Update};
use commonware_cryptography::{Digestible as _, Signer as _, ed25519};
use commonware_glue::stateful::Mailbox as StatefulMailbox;
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_runtime::Handle;
use soma_ledger::BlockOutcome;
use soma_types::genesis::Genesis;

use crate::{
    application::App,
    block::Block,
    consensus::{Identity, Scheme},
    engine::{self, Channel, Channels, Timeouts},
    gossip::Gossip,
    index::Index,
    intake::Intake,
    ledger::LedgerMachine,
    machine::Machine,
    mempool::{Limits, Mempool},
    query::Query,
    runtime::Runtime,
    time::Time,
};

/// How old metrics may be: whoever asks for them, and however often, has them encoded five times a second.
const METRICS_AGE_MAX: Duration = Duration::from_millis(200);

/// The application as the SOMA network runs it, on the machine `M`: the ledger.
pub type Application<E, M> = App<E, M, Mempool, Index<E>>;

/// What makes a validator itself.
pub struct Config<C, B> {
    /// Its network key.
    pub identity: ed25519::PrivateKey,
    /// Its signing scheme.
    pub scheme: Scheme,
    /// The network.
    pub genesis: Arc<Genesis>,
    /// Prefix of its storage partitions.
    pub partition: String,
    /// Knows the peers.
    pub peers: C,
    /// Disconnects misbehaving peers.
    pub blocker: B,
    /// Dates blocks.
    pub time: Time,
    /// The engine's patience.
    pub timeouts: Timeouts,
    /// Finalized blocks that are kept.
    pub retained_blocks: usize,
}

/// A running validator.
pub struct Validator<E: Runtime> {
    /// Resolves when the engine stops; aborting it stops the validator.
    pub handle: Handle<()>,
    /// Reads and submissions.
    pub query: Query<E>,
}

/// What `encode` gives, anew when it is older than [`METRICS_AGE_MAX`]: it takes longer than most requests.
fn lately(encode: impl Fn() -> String + Send + Sync + 'static) -> Arc<dyn Fn() -> Arc<str> + Send + Sync> {
    let last: Mutex<Option<(Instant, Arc<str>)>> = Mutex::default();
    Arc::new(move || {
        // What was encoded is whole wherever a panic left it.
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let young = last.as_ref().filter(|(at, _)| at.elapsed() < METRICS_AGE_MAX);
        if let Some((_, text)) = young {
            return Arc::clone(text);
        }
        let text: Arc<str> = encode().into();
        *last = Some((Instant::now(), Arc::clone(&text)));
        text
    })
}

/// Starts a validator in `context`, which must be its own. It runs what `machine` makes of the ledger: the
/// ledger itself, or a broken one in a test of those who are to notice.
///
/// # Panics
/// If storage cannot be opened or is inconsistent.
pub async fn start<E, M, C, B, S, R, W>(
    context: E,
    config: Config<C, B>,
    channels: Channels<S, R>,
    gossip: Channel<S, R>,
    machine: impl FnOnce(LedgerMachine) -> M,
    wrap: impl FnOnce(StatefulMailbox<E, Application<E, M>>) -> W,
) -> Validator<E>
where
    E: Runtime,
    M: Machine<Outcome = BlockOutcome>,
    C: Provider<PublicKey = Identity>,
    B: Blocker<PublicKey = Identity> + Sync,
    S: Sender<PublicKey = Identity>,
    R: Receiver<PublicKey = Identity>,
    W: Reporter<Activity = Update<Block>>,
{
    let chain = config.genesis.chain_id();
    let mempool = Mempool::new(chain, Limits::default());
    let gossiping = context.child("gossip");
    let index = Index::open(context.child("chain"), &config.partition).await;
    let ledger = machine(LedgerMachine::new(config.genesis.clone(), mempool.clone()));
    let network_key = {
        use commonware_codec::Encode as _;
        let encoded = config.scheme.identity().encode();
        encoded.as_ref().try_into().expect("a G1 point has 48 bytes")
    };
    let metrics = {
        let (context, index, mempool) = (context.child("metrics"), index.clone(), mempool.clone());
        let encode = move || {
            index.note_waiting(mempool.len());
            context.encode()
        };
        lately(encode)
    };
    let identity = config.identity.public_key();
    let genesis_ms = config.genesis.timestamp_ms;
    let genesis_digest = engine::genesis::<E>(chain.0, genesis_ms).digest();
    let engine = engine::start(
        context,
        engine::Config {
            identity: identity.clone(),
            scheme: config.scheme,
            partition: config.partition,
            chain: chain.0,
            genesis_ms,
            machine: ledger,
            pool: mempool.clone(),
            observer: index.clone(),
            peers: config.peers,
            blocker: config.blocker,
            time: config.time.clone(),
            timeouts: config.timeouts,
            retained_blocks: config.retained_blocks,
        },
        channels,
        wrap,
    )
    .await;
    let databases = engine.stateful.subscribe_databases().await;
    let intake = Intake::new(databases.clone(), mempool.clone());
    let gossip = Gossip::start(&gossiping, intake, gossip.0, gossip.1);
    let query = Query {
        databases,
        marshal: engine.marshal,
        index,
        mempool,
        gossip,
        genesis: config.genesis,
        genesis_digest,
        network_key,
        identity,
        metrics,
        time: config.time,
    };
    Validator {
        handle: engine.handle,
        query,
    }
}
