//! A tiny state machine and the engine definition that every simulation runs.

use std::{collections::BTreeMap, sync::Arc};

use commonware_cryptography::Signer as _;
use commonware_glue::simulate::{
    engine::{EngineDefinition, InitContext},
    processed::ProcessedHeight,
    reporter::MonitorReporter,
};
use commonware_runtime::{Handle, Quota, deterministic};
use commonware_utils::{sync::Mutex, test_rng};
use soma_node::{
    block::Block,
    consensus::{Digest, Identity},
    dealer::Dealt,
    engine::{self, Channels, Config, Timeouts, channel_quota},
    execution::{Bridge, Source},
    machine::{BlockContext, Executed, Inadmissible, Invalid, Machine, Observer, Pool},
};

/// Adds up the first byte of every transaction; a transaction that begins with 255 may not enter a block.
#[derive(Clone)]
pub struct Counter;

impl Machine for Counter {
    type Outcome = u64;

    async fn execute<S: Source + Send>(
        &self,
        bridge: &mut Bridge<S>,
        block: &BlockContext,
        transactions: &[Vec<u8>],
        inadmissible: Inadmissible,
    ) -> Result<Executed<u64>, Invalid> {
        let mut included = Vec::new();
        for (index, transaction) in transactions.iter().enumerate() {
            if transaction[0] == 255 {
                match inadmissible {
                    Inadmissible::Drop => continue,
                    Inadmissible::Reject => {
                        return Err(Invalid {
                            index,
                            reason: "too large".into(),
                        });
                    }
                }
            }
            bridge
                .step(|state| {
                    let total = state
                        .get(b"total")?
                        .map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
                    state.set(
                        b"total".to_vec(),
                        Some((total + u64::from(transaction[0])).to_le_bytes().to_vec()),
                    );
                    Ok(())
                })
                .await;
            included.push(transaction.clone());
        }
        let total = bridge
            .step(|state| {
                state.set(b"seed".to_vec(), Some(block.seed.to_vec()));
                Ok(state
                    .get(b"total")?
                    .map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap())))
            })
            .await;
        Ok(Executed {
            transactions: included,
            outcome: total,
        })
    }
}

/// Offers the same transactions for every block, one of them inadmissible.
#[derive(Clone)]
pub struct Fixed;

impl Pool for Fixed {
    fn candidates(&self) -> Vec<Vec<u8>> {
        vec![vec![1], vec![255], vec![2, 0]]
    }
}

/// Remembers outcomes and state roots by height.
#[derive(Clone, Default)]
pub struct Watch(pub Arc<Mutex<BTreeMap<u64, (u64, Digest)>>>);

impl Observer<u64> for Watch {
    fn seen(&self, _: &Block, _: u64) {}

    async fn finalized(&self, block: &Block, _: Digest, outcome: u64, _: u64) {
        self.0
            .lock()
            .insert(block.height.get(), (outcome, block.state_root));
    }
}

/// What a simulation can see of a validator.
pub struct State {
    pub marshal: engine::Marshal,
    pub watch: Watch,
}

impl ProcessedHeight for State {
    async fn processed_height(&self) -> u64 {
        self.marshal
            .get_processed()
            .await
            .map_or(0, |processed| processed.height().get())
    }
}

/// A network of validators around [`Counter`].
#[derive(Clone)]
pub struct Network {
    dealt: Arc<Dealt>,
    watches: Vec<Watch>,
}

pub const CHAIN: [u8; 32] = [7; 32];

impl Network {
    pub fn new(validators: u32) -> Self {
        Self {
            dealt: Arc::new(Dealt::new(test_rng(), validators)),
            watches: (0..validators).map(|_| Watch::default()).collect(),
        }
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
        (0..engine::CHANNELS).map(|id| (id, channel_quota())).collect()
    }

    fn max_message_size(&self) -> u32 {
        engine::message_bytes_max(self.dealt.members.len() as u32)
    }

    async fn init(&self, init: InitContext<'_, Identity>) -> (Handle<()>, State) {
        let mut channels = init.channels.into_iter();
        let channels = Channels::register(|_, _| channels.next().unwrap());
        let watch = self.watches[init.index].clone();
        let config = Config {
            identity: init.public_key.clone(),
            scheme: self.dealt.scheme(&CHAIN, init.index),
            partition: format!("validator-{}", init.index),
            chain: CHAIN,
            genesis_ms: 0,
            machine: Counter,
            pool: Fixed,
            observer: watch.clone(),
            peers: init.oracle.manager(),
            blocker: init.oracle.control(init.public_key.clone()),
            timeouts: Timeouts::default(),
            retained_blocks: 1 << 20,
        };
        let (key, monitor) = (init.public_key.clone(), init.monitor);
        let engine = engine::start::<deterministic::Context, _, _, _, _, _, _, _, _>(
            init.context,
            config,
            channels,
            |stateful| MonitorReporter::new(key, monitor, stateful),
        )
        .await;
        (
            engine.handle,
            State {
                marshal: engine.marshal,
                watch,
            },
        )
    }

    fn start(engine: Handle<()>) -> Handle<()> {
        engine
    }
}
