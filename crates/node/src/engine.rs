//! One validator's engine: simplex, marshal, the stateful application over QMDB, and their channels.
//!
//! It is generic over the runtime and the network. On tokio with authenticated sockets it is a
//! validator; on the deterministic runtime with simulated links it is that same validator in simulated time.
//!
//! Persistence: consensus journals its votes, marshal the finalized chain, QMDB the state, all in
//! partitions whose names begin with [`Config::partition`]. A validator that stops at any instruction
//! resumes from them. Nothing it signed is ever signed differently.
//!
//! Seams for later: one committee for ever ([`ConstantProvider`] and an endless epoch stand where resharing
//! goes); no state sync (see [`crate::state_sync`]).

mod channels;
mod config;

use std::num::NonZeroUsize;

use commonware_broadcast::buffered;
use commonware_consensus::{
    Reporter, Reporters,
    marshal::{
        self, Update,
        core::Actor as MarshalActor,
        resolver::p2p as marshal_resolver,
        standard::{Deferred, Standard},
    },
    simplex::{
        self, SkipBudget,
        config::{Floor, ForwardPolicy, SkipPolicy},
        elector::{Random, RandomVersion},
    },
    types::{Epoch, FixedEpocher, ViewDelta},
};
use commonware_cryptography::{Digested, Digestible as _, certificate::ConstantProvider};
use commonware_glue::stateful::{
    Config as StatefulConfig, Mailbox as StatefulMailbox, PruneConfig, Stateful as StatefulActor, SyncPlan,
    db::{DatabaseSet, SyncEngineConfig},
};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle, buffer::paged::CacheRef};
use commonware_storage::{
    archive::prunable, journal::contiguous::variable::Config as LogConfig, mmr::full::Config as MmrConfig,
    qmdb::current::VariableConfig, translator::EightCap,
};
use commonware_utils::{NZDuration, NZU16, NZU64, NZUsize};

use crate::{
    application::App,
    block::Block,
    consensus::{Hasher, Identity, Scheme},
    execution::Databases,
    machine::{Machine, Observer, Pool},
    runtime::Runtime,
    seeds::Seeds,
    state_sync::NoStateSync,
};

pub use self::{
    channels::{CHANNELS, Channel, Channels, channel_quota, message_bytes_max},
    config::{Config, Timeouts},
};
/// Mailbox capacity of every actor.
const MAILBOX_SIZE: NonZeroUsize = NZUsize!(1_024);
/// Blocks of each peer kept until consensus asks for them.
const BUFFERED_BLOCKS_PER_PEER: usize = 32;
/// Views behind the last finalized one that consensus keeps. Each is a file of its journal, held open. Who is
/// further behind is given the last finalized block and goes on from there.
pub const VIEWS_KEPT: u64 = 32;
/// Views behind the last finalized one whose blocks and certificates are kept for peers that miss them.
const VIEWS_CACHED: ViewDelta = ViewDelta::new(256);
/// Missing blocks fetched at a time.
const REPAIR_BLOCKS: NonZeroUsize = NZUsize!(32);
/// Finalized blocks handed to the application ahead of its acknowledgement.
const PENDING_BLOCKS_MAX: NonZeroUsize = NZUsize!(16);
/// Finalized blocks between prunings of the state's log.
const MAINTENANCE_BLOCKS: NonZeroUsize = NZUsize!(512);
/// Files of archives hold as many finalized blocks or certificates, are held open, and go as a whole. This
/// and the following two are fixed for the life of the data.
const BLOCKS_PER_FILE: std::num::NonZeroU64 = NZU64!(8_192);
/// Files of what peers may miss hold as many views.
const VIEWS_PER_FILE: std::num::NonZeroU64 = NZU64!(1_024);
/// Files of the state's log hold as many operations.
const OPERATIONS_PER_FILE: std::num::NonZeroU64 = NZU64!(131_072);
const PAGE_BYTES: std::num::NonZeroU16 = NZU16!(4_096);
const PAGES_CACHED: NonZeroUsize = NZUsize!(2_048);
const BUFFER_BYTES: NonZeroUsize = NZUsize!(256 * 1024);

/// The genesis block of a network.
#[must_use]
pub fn genesis<E: Runtime>(chain: [u8; 32], genesis_ms: u64) -> Block {
    let target = <Databases<E> as DatabaseSet<E>>::initial_sync_targets();
    Block::genesis(chain, genesis_ms, target.root, target.range)
}

/// Access to finalized blocks and their certificates.
pub type Marshal = marshal::core::Mailbox<Scheme, Standard<Block>>;

/// A running engine.
pub struct Engine<E, M: Machine, P: Pool, O: Observer<M::Outcome> + Sync>
where
    E: Runtime,
{
    /// Resolves when the engine stops; aborting it stops everything the engine runs.
    pub handle: Handle<()>,
    /// Finalized blocks.
    pub marshal: Marshal,
    /// The application; gives access to the databases.
    pub stateful: StatefulMailbox<E, App<E, M, P, O>>,
}

fn archive<C>(
    partition: &str,
    name: &str,
    page_cache: &CacheRef,
    codec_config: C,
) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: format!("{partition}-{name}-metadata"),
        key_partition: format!("{partition}-{name}-key"),
        key_page_cache: page_cache.clone(),
        value_partition: format!("{partition}-{name}-value"),
        compression: None,
        codec_config,
        items_per_section: BLOCKS_PER_FILE,
        key_write_buffer: BUFFER_BYTES,
        value_write_buffer: BUFFER_BYTES,
        replay_buffer: BUFFER_BYTES,
    }
}

/// Starts an engine in `context`, which must be its own: aborting the engine aborts all tasks of `context`.
/// `reporter` additionally hears of every finalized tip and block that marshal reports, through the wrapper
/// that `wrap` builds around the application's mailbox.
///
/// # Panics
/// If storage cannot be opened or is inconsistent. The message names the cause.
pub async fn start<E, M, P, O, C, B, S, R, W>(
    context: E,
    config: Config<M, P, O, C, B>,
    channels: Channels<S, R>,
    wrap: impl FnOnce(StatefulMailbox<E, App<E, M, P, O>>) -> W,
) -> Engine<E, M, P, O>
where
    E: Runtime,
    M: Machine,
    P: Pool,
    O: Observer<M::Outcome> + Sync,
    C: Provider<PublicKey = Identity>,
    B: Blocker<PublicKey = Identity> + Sync,
    S: Sender<PublicKey = Identity>,
    R: Receiver<PublicKey = Identity>,
    W: Reporter<Activity = Update<Block>>,
{
    let Config {
        identity,
        scheme,
        partition,
        timeouts,
        ..
    } = config;
    let page_cache = CacheRef::new(PAGE_BYTES, PAGES_CACHED);
    let epocher = FixedEpocher::new(NZU64!(u64::MAX));
    let genesis = genesis::<E>(config.chain, config.genesis_ms);
    let genesis_digest = genesis.digest();
    let fetch_timeout = NZDuration!(timeouts.fetch);

    // Blocks that peers miss, and blocks that peers propose.
    let resolver = marshal_resolver::init(
        context.child("marshal_resolver"),
        marshal_resolver::Config {
            public_key: identity.clone(),
            peer_provider: config.peers.clone(),
            blocker: config.blocker.clone(),
            mailbox_size: MAILBOX_SIZE,
            fetch_timeout,
            fetch_retry_delay: timeouts.fetch / 10,
            priority_requests: false,
            priority_responses: false,
        },
        channels.backfill,
    );
    let (broadcast, buffer) = buffered::Engine::new(
        context.child("broadcast"),
        buffered::Config {
            public_key: identity.clone(),
            mailbox_size: MAILBOX_SIZE,
            deque_size: BUFFERED_BLOCKS_PER_PEER,
            priority: true,
            codec_config: (),
            peer_provider: config.peers.clone(),
            strategy: Sequential,
        },
    );
    broadcast.start(channels.blocks);

    // The finalized chain.
    let finalizations = prunable::Archive::init(
        context.child("finalizations"),
        archive(&partition, "finalizations", &page_cache, ()),
    )
    .await
    .unwrap_or_else(|error| panic!("cannot open the archive of certificates: {error}"));
    let blocks = prunable::Archive::init(
        context.child("blocks"),
        archive(&partition, "blocks", &page_cache, ()),
    )
    .await
    .unwrap_or_else(|error| panic!("cannot open the archive of blocks: {error}"));
    let plan = SyncPlan::init(context.child("plan"), partition.clone()).await;
    let (marshal_actor, marshal, floor) = MarshalActor::<_, Standard<Block>, _, _, _, _, _>::init(
        context.child("marshal"),
        finalizations,
        blocks,
        marshal::Config {
            provider: ConstantProvider::new(scheme.clone()),
            epocher: epocher.clone(),
            start: plan.marshal_start(Digested::precomputed(genesis.clone(), genesis_digest)),
            partition_prefix: partition.clone(),
            mailbox_size: MAILBOX_SIZE,
            view_retention: VIEWS_CACHED,
            prunable_items_per_section: VIEWS_PER_FILE,
            page_cache: page_cache.clone(),
            replay_buffer: BUFFER_BYTES,
            key_write_buffer: BUFFER_BYTES,
            value_write_buffer: BUFFER_BYTES,
            block_codec_config: (),
            max_repair: REPAIR_BLOCKS,
            max_pending_acks: PENDING_BLOCKS_MAX,
            strategy: Sequential,
        },
    )
    .await;

    // State.
    let seeds = Seeds::default();
    let application = App::new(
        genesis,
        config.machine,
        config.pool,
        scheme.clone(),
        seeds.clone(),
        config.observer,
        (context.child("application"), config.time),
    );
    let (stateful_actor, stateful) = StatefulActor::new(
        context.child("stateful"),
        StatefulConfig {
            application,
            db_config: database_config::<E>(&partition, &page_cache),
            provider: (),
            marshal: (marshal.clone(), floor),
            mailbox_size: MAILBOX_SIZE,
            plan,
            resolvers: NoStateSync::default(),
            sync_config: SyncEngineConfig {
                fetch_batch_size: NZU64!(256),
                apply_batch_size: NZU64!(256),
                max_outstanding_requests: NZUsize!(16),
            },
            prune_config: Some(PruneConfig {
                maintenance_interval: MAINTENANCE_BLOCKS,
                retained_marshal_blocks: config.retained_blocks,
                retained_qmdb_blocks: MAINTENANCE_BLOCKS.get().min(config.retained_blocks),
            }),
            strategy: Sequential,
        },
    );
    let deferred = Deferred::new(
        context.child("deferred"),
        stateful.clone(),
        marshal.clone(),
        epocher,
    );
    marshal_actor.start(wrap(stateful.clone()), buffer, resolver);
    stateful_actor.start();

    // Consensus. It owns the context, so that aborting it ends every task above.
    let engine = simplex::Engine::new(
        context,
        simplex::Config {
            scheme,
            elector: Random::<Hasher>::new(RandomVersion::V1),
            blocker: config.blocker,
            automaton: deferred.clone(),
            relay: deferred.clone(),
            reporter: Reporters::<Seeds, _>::from((seeds, deferred)),
            strategy: Sequential,
            partition: format!("{partition}-simplex"),
            mailbox_size: MAILBOX_SIZE,
            epoch: Epoch::zero(),
            floor: Floor::Genesis(genesis_digest),
            replay_buffer: BUFFER_BYTES,
            write_buffer: BUFFER_BYTES,
            page_cache,
            leader_timeout: timeouts.leader,
            certification_timeout: timeouts.certification,
            timeout_retry: timeouts.retry,
            view_retention: ViewDelta::new(VIEWS_KEPT),
            skip: SkipPolicy::Enabled {
                timeout: timeouts.skip,
                budget: SkipBudget::Participants,
            },
            fetch_timeout,
            fetch_retry_delay: timeouts.fetch / 10,
            forward: ForwardPolicy::SilentVoters,
            track_historical_votes: false,
        },
    );
    let handle = engine.start(channels.votes, channels.certificates, channels.resolver);
    Engine {
        handle,
        marshal,
        stateful,
    }
}

/// Where and how the state is stored.
fn database_config<E: Runtime>(
    partition: &str,
    page_cache: &CacheRef,
) -> <Databases<E> as DatabaseSet<E>>::Config {
    VariableConfig {
        merkle_config: MmrConfig {
            journal_partition: format!("{partition}-state-mmr-journal"),
            metadata_partition: format!("{partition}-state-mmr-metadata"),
            items_per_blob: OPERATIONS_PER_FILE,
            write_buffer: BUFFER_BYTES,
            replay_buffer: BUFFER_BYTES,
            strategy: Sequential,
            page_cache: page_cache.clone(),
        },
        journal_config: LogConfig {
            partition: format!("{partition}-state-log"),
            items_per_section: OPERATIONS_PER_FILE,
            compression: None,
            codec_config: ((), ()),
            page_cache: page_cache.clone(),
            write_buffer: BUFFER_BYTES,
            replay_buffer: BUFFER_BYTES,
        },
        grafted_metadata_partition: format!("{partition}-state-current"),
        translator: EightCap,
        init_cache: Some(NZUsize!(65_536)),
        init_buffer: NZUsize!(1 << 21),
        init_concurrency: (),
    }
}
