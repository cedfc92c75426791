//! The engine definition that every simulation runs: real validators on simulated links and storage.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use commonware_actor::Feedback;
use commonware_consensus::{Reporter, marshal::Update};
use commonware_cryptography::Signer as _;
use commonware_glue::simulate::{
    engine::{EngineDefinition, InitContext},
    processed::ProcessedHeight,
    reporter::MonitorReporter,
};
use commonware_runtime::{Clock as _, Handle, Quota, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{sync::Mutex, test_rng};
use soma_localnet::dealer::Dealt;
use soma_node::{
    block::Block,
    consensus::{Digest, Identity},
    engine::{self, Channels, Timeouts, channel_quota},
    mempool::EXPIRY_EPOCHS_MAX,
    query::Query,
    time::{Offset, Time},
    validator::{self, Config},
};
use soma_types::{
    Epoch, Keypair, PublicKey, Shannons, Transaction, TransactionKind,
    amount::SHANNONS_PER_SOMA,
    genesis::{Genesis, GenesisAccount, GenesisValidator},
    list::List,
    params::{Params, Preset},
    transaction::{BasisPoints, Payment},
};

/// State roots by height, as one validator finalized them. Survives the validator's crashes.
pub type Roots = Arc<Mutex<BTreeMap<u64, Digest>>>;

/// Transactions by height, as one validator finalized them.
pub type Sizes = Arc<Mutex<BTreeMap<u64, usize>>>;

/// What a simulation can see of a validator.
pub struct State {
    pub query: Slot,
    pub roots: Roots,
    pub sizes: Sizes,
    marshal: engine::Marshal,
}

/// Reads of a validator while it runs. Emptied before it starts again, since it holds its storage open.
pub type Slot = Arc<Mutex<Option<Query<deterministic::Context>>>>;

impl ProcessedHeight for State {
    async fn processed_height(&self) -> u64 {
        self.marshal
            .get_processed()
            .await
            .map_or(0, |processed| processed.height().get())
    }
}

/// Notes the state root of every finalized block, and how many transactions it holds.
#[derive(Clone)]
struct Notes<R> {
    inner: R,
    roots: Roots,
    sizes: Sizes,
}

impl<R: Reporter<Activity = Update<Block>>> Reporter for Notes<R> {
    type Activity = Update<Block>;

    fn report(&mut self, update: Update<Block>) -> Feedback {
        if let Update::Block(block, _) = &update {
            let block = block.inner();
            let header = block.header();
            self.sizes
                .lock()
                .insert(header.height.get(), block.transactions().len());
            let before = self.roots.lock().insert(header.height.get(), header.state_root);
            assert!(
                before.is_none_or(|root| root == header.state_root),
                "a finalized block was replaced"
            );
        }
        self.inner.report(update)
    }
}

/// A network of validators around the ledger.
#[derive(Clone)]
pub struct Network {
    dealt: Arc<Dealt>,
    pub genesis: Arc<Genesis>,
    /// What everyone's wall clock shows.
    pub wall: Offset,
    /// How many senders pay, from sender 0 on.
    pub senders: u8,
    /// How often each does, one payment behind the other.
    pub payments: u64,
    /// What one of them pays: so many others, so it is so long.
    pub payees: usize,
    roots: Vec<Roots>,
    queries: Vec<Slot>,
}

/// Accounts that have money.
const SENDERS: u8 = 16;
/// Between two looks whether there is a block.
const LOOK_DELAY: Duration = Duration::from_millis(50);

/// Accounts that send money around during a simulation.
pub fn sender(index: u8) -> Keypair {
    Keypair::from_secret_bytes([100 + index; 32])
}

impl Network {
    pub fn new(validators: u32, epoch_blocks: u64) -> Self {
        let dealt = Dealt::new(test_rng(), validators);
        let params = Params {
            preset: Preset::Custom,
            epoch_blocks,
            settlement_blocks: 4,
            audit_commit_blocks: epoch_blocks / 2,
            audit_reveal_blocks: 1,
            hearing_commit_blocks: 1,
            difficulty_windows: 4,
            ..Params::local()
        };
        let genesis = Genesis {
            network: "simulation".into(),
            timestamp_ms: 0,
            accounts: (0..SENDERS)
                .map(|index| GenesisAccount {
                    address: sender(index).address(),
                    balance: Shannons(1_000 * SHANNONS_PER_SOMA),
                })
                .collect(),
            validators: dealt
                .members
                .iter()
                .enumerate()
                .map(|(index, member)| GenesisValidator {
                    address: Keypair::from_secret_bytes([index as u8; 32]).address(),
                    network_key: PublicKey(member.identity.public_key().as_ref().try_into().unwrap()),
                    commission: BasisPoints::new(1_000).unwrap(),
                    stake: params.validator_stake_min,
                })
                .collect(),
            params,
            weights: None,
        };
        genesis.validate().unwrap();
        Self {
            dealt: Arc::new(dealt),
            genesis: Arc::new(genesis),
            wall: Arc::new(|_| 0),
            senders: 4,
            payments: 8,
            payees: 1,
            roots: (0..validators).map(|_| Roots::default()).collect(),
            queries: (0..validators).map(|_| Slot::default()).collect(),
        }
    }

    /// Sender `index` pays one shannon to its neighbour.
    pub fn payment(&self, index: u8, nonce: u64) -> Bytes {
        let keys = sender(index);
        let payment = Payment {
            to: sender((index + 1) % SENDERS).address(),
            amount: Shannons(1),
        };
        let transaction = Transaction {
            chain: self.genesis.chain_id(),
            sender: keys.public_key(),
            nonce,
            expires: Epoch(EXPIRY_EPOCHS_MAX),
            max_fee: Shannons(SHANNONS_PER_SOMA),
            kind: TransactionKind::Transfer {
                payments: List::new(vec![payment; self.payees]).unwrap(),
            },
        };
        transaction.sign(&keys).encode().into()
    }
}

impl EngineDefinition for Network {
    type PublicKey = Identity;
    type Engine = Handle<()>;
    type State = State;

    fn participants(&self) -> Vec<Identity> {
        self.dealt
            .members
            .iter()
            .map(|member| member.identity.public_key())
            .collect()
    }

    fn channels(&self) -> Vec<(u64, Quota)> {
        (0..=engine::CHANNELS).map(|id| (id, channel_quota())).collect()
    }

    fn max_message_size(&self) -> u32 {
        engine::message_bytes_max(self.dealt.members.len() as u32)
    }

    async fn init(&self, init: InitContext<'_, Identity>) -> (Handle<()>, State) {
        let slot = self.queries[init.index].clone();
        drop(slot.lock().take());
        let mut channels = init.channels.into_iter();
        let engine_channels = Channels::register(|_, _| channels.next().unwrap());
        let gossip = channels.next().unwrap();
        let config = Config {
            identity: self.dealt.members[init.index].identity.clone(),
            scheme: self.dealt.scheme(&self.genesis.chain_id().0, init.index),
            genesis: self.genesis.clone(),
            partition: format!("validator-{}", init.index),
            peers: init.oracle.manager(),
            blocker: init.oracle.control(init.public_key.clone()),
            time: Time::new(self.wall.clone()),
            timeouts: Timeouts::default(),
            retained_blocks: 1 << 20,
        };
        let (roots, sizes) = (self.roots[init.index].clone(), Sizes::default());
        let (root_notes, size_notes) = (roots.clone(), sizes.clone());
        let clients = init.context.child("clients");
        let (key, monitor) = (init.public_key.clone(), init.monitor);
        let validator = validator::start(init.context, config, engine_channels, gossip, |stateful| {
            MonitorReporter::new(
                key,
                monitor,
                Notes {
                    inner: stateful,
                    roots: root_notes,
                    sizes: size_notes,
                },
            )
        })
        .await;
        // Clients hand in payments while the network runs: each at one validator, again after a crash.
        let validators = self.dealt.members.len();
        let senders = (init.index..usize::from(self.senders)).step_by(validators);
        let payments: Vec<Bytes> = senders
            .flat_map(|sender| (0..self.payments).map(move |nonce| (sender as u8, nonce)))
            .map(|(sender, nonce)| self.payment(sender, nonce))
            .collect();
        let query = validator.query.clone();
        clients.spawn(move |context| async move {
            while query.tip().await.is_none_or(|tip| tip.height == 0) {
                context.sleep(LOOK_DELAY).await;
            }
            // What was included before a crash is refused.
            let _ = query.submit_all(payments).await;
        });
        let marshal = validator.query.marshal().clone();
        *slot.lock() = Some(validator.query);
        (
            validator.handle,
            State {
                query: slot,
                roots,
                sizes,
                marshal,
            },
        )
    }

    fn start(engine: Handle<()>) -> Handle<()> {
        engine
    }
}
