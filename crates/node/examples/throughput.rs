//! How many payments a second one core takes up, proposes and verifies, its storage in memory:
//! `cargo run --release -p soma-node --example throughput`.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::types::{Epoch as ConsensusEpoch, Height, Round, View};
use commonware_cryptography::{Digestible as _, Signer as _, ed25519};
use commonware_storage::mmr::Location;
use commonware_utils::non_empty_range;
use futures::executor::block_on;
use soma_ledger::view;
use soma_node::{
    block::{BLOCK_TIME_MS, BLOCK_TRANSACTIONS_MAX, Block, Header},
    consensus::{Context, Digest},
    execution::{Bridge, Source, retry, state_key},
    ledger::LedgerMachine,
    machine::{Ahead, BlockContext, Inadmissible, Machine as _, Pool as _},
    mempool::{Limits, Mempool},
};

use soma_types::{
    Address, Epoch, Keypair, PublicKey, Shannons, Transaction, TransactionKind, VerifiedTransaction,
    amount::SHANNONS_PER_SOMA,
    genesis::{Genesis, GenesisAccount, GenesisValidator},
    list::List,
    objects::Account,
    params::Params,
    transaction::{BasisPoints, Payment},
};

/// Who pays.
const SENDERS: u64 = 64;
/// Full blocks that are measured.
const BLOCKS: u64 = 16;

type State = BTreeMap<Digest, Vec<u8>>;

/// Reads of a state in memory.
struct Memory<'a>(&'a State);

impl Source for Memory<'_> {
    async fn load(&self, keys: &[Digest]) -> Vec<Option<Vec<u8>>> {
        self.0.load(keys).await
    }
}

/// A validator without a network.
struct Validator {
    mempool: Mempool,
    ledger: LedgerMachine,
    state: State,
}

impl Validator {
    fn new(genesis: &Arc<Genesis>) -> Self {
        let mempool = Mempool::new(genesis.chain_id(), Limits::default());
        Self {
            ledger: LedgerMachine::new(genesis.clone(), mempool.clone()),
            mempool,
            state: State::new(),
        }
    }

    /// The first block installs the genesis.
    fn install(&mut self, identity: &ed25519::PrivateKey) {
        let mut bridge = Bridge::new(Memory(&self.state));
        let first = context(identity, 1);
        block_on(
            self.ledger
                .execute(&mut bridge, &first, Vec::new(), Inadmissible::Reject),
        )
        .expect("an empty block is valid");
        let changes = bridge.into_changes();
        apply(&mut self.state, changes);
        block_on(self.mempool.finalized(&[], Memory(&self.state)));
    }

    /// An account, as the pool is told of it.
    fn account(&self, address: Address) -> Account {
        let mut bridge = Bridge::new(Memory(&self.state));
        block_on(bridge.run(|state| retry(view::account(state, address)))).expect("the state is sound")
    }

    fn take_up(&self, payments: &[Bytes]) {
        for payment in payments {
            let transaction = self.mempool.decode(payment.clone()).expect("it is sound");
            let account = self.account(transaction.sender());
            self.mempool.insert(transaction, account).expect("there is room");
        }
    }
}

fn keys(sender: u64) -> Keypair {
    Keypair::from_secret_bytes([1 + sender as u8; 32])
}

fn genesis(identity: &ed25519::PrivateKey) -> Genesis {
    let params = Params::local();
    Genesis {
        network: "throughput".into(),
        timestamp_ms: 0,
        accounts: (0..SENDERS)
            .map(|sender| GenesisAccount {
                address: keys(sender).address(),
                balance: Shannons(10_000 * SHANNONS_PER_SOMA),
            })
            .collect(),
        validators: vec![GenesisValidator {
            address: Keypair::from_secret_bytes([200; 32]).address(),
            network_key: PublicKey(identity.public_key().as_ref().try_into().expect("32 bytes")),
            commission: BasisPoints::default(),
            stake: params.validator_stake_min,
        }],
        params,
        weights: None,
    }
}

fn payments(genesis: &Genesis, block: u64) -> Vec<Bytes> {
    let each = BLOCK_TRANSACTIONS_MAX as u64 / SENDERS;
    (0..SENDERS * each)
        .map(|index| {
            let keys = self::keys(index % SENDERS);
            let payment = Payment {
                to: self::keys((index + 1) % SENDERS).address(),
                amount: Shannons(1),
            };
            let transaction = Transaction {
                chain: genesis.chain_id(),
                sender: keys.public_key(),
                nonce: block * each + index / SENDERS,
                expires: Epoch(10),
                max_fee: Shannons(SHANNONS_PER_SOMA),
                kind: TransactionKind::Transfer {
                    payments: List::new(vec![payment]).expect("one is not too many"),
                },
            };
            transaction.sign(&keys).encode().into()
        })
        .collect()
}

fn context(identity: &ed25519::PrivateKey, height: u64) -> BlockContext {
    BlockContext {
        parent: Digest::from(blake3::hash(&height.to_le_bytes())),
        height,
        timestamp_ms: height * BLOCK_TIME_MS,
        seed: [3; 32],
        proposer: identity.public_key(),
    }
}

fn timed<T>(total: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    *total += start.elapsed();
    done
}

fn main() {
    let identity = ed25519::PrivateKey::from_seed(7);
    let genesis = Arc::new(genesis(&identity));
    let (mut leader, mut follower) = (Validator::new(&genesis), Validator::new(&genesis));
    let mut parent = Block::genesis(
        genesis.chain_id().0,
        0,
        Digest::from([0; 32]),
        non_empty_range!(Location::new(1), Location::new(2)),
    );
    for validator in [&mut leader, &mut follower] {
        validator.install(&identity);
    }
    let [mut taking, mut proposing, mut verifying] = [Duration::ZERO; 3];
    for number in 0..BLOCKS {
        let payments = payments(&genesis, number);
        timed(&mut taking, || leader.take_up(&payments));
        follower.take_up(&payments);
        let context = context(&identity, number + 2);
        let (encoded, block, included) = timed(&mut proposing, || {
            let mut bridge = Bridge::new(Memory(&leader.state));
            let candidates = leader.mempool.candidates(&Ahead::default());
            let executed = block_on(leader.ledger.execute(
                &mut bridge,
                &context,
                candidates,
                Inadmissible::Drop,
            ))
            .expect("nothing is rejected");
            let changes = bridge.into_changes();
            let header = Header {
                context: Context {
                    round: Round::new(ConsensusEpoch::zero(), View::new(number + 2)),
                    leader: identity.public_key(),
                    parent: (View::new(number + 1), parent.digest()),
                },
                parent: parent.digest(),
                height: Height::new(number + 2),
                timestamp_ms: context.timestamp_ms,
                seed: None,
                state_root: Digest::from([0; 32]),
                log_root: Digest::from([0; 32]),
                range: parent.header().range.clone(),
                receipts_root: Digest::from([0; 32]),
            };
            let encoded = executed.transactions.iter().map(VerifiedTransaction::encoded);
            let block = Block::new(header, encoded.cloned().collect());
            // It is named, and sent.
            let _ = block.digest();
            apply(&mut leader.state, changes);
            (block.encode(), block, executed.transactions)
        });
        assert_eq!(block.transactions().len(), BLOCK_TRANSACTIONS_MAX);
        timed(&mut verifying, || {
            let block = Block::decode(encoded).expect("it is sound");
            let _ = block.digest();
            let transactions = follower
                .ledger
                .verify(block.transactions())
                .expect("they are sound");
            let mut bridge = Bridge::new(Memory(&follower.state));
            block_on(
                follower
                    .ledger
                    .execute(&mut bridge, &context, transactions, Inadmissible::Reject),
            )
            .expect("it is valid");
            let changes = bridge.into_changes();
            apply(&mut follower.state, changes);
        });
        for validator in [&leader, &follower] {
            block_on(validator.mempool.finalized(&included, Memory(&validator.state)));
        }
        parent = block;
    }
    assert_eq!(leader.state, follower.state);
    let count = (BLOCKS * BLOCK_TRANSACTIONS_MAX as u64) as f64;
    for (what, time) in [
        ("taken up", taking),
        ("proposed", proposing),
        ("verified", verifying),
    ] {
        println!("{:9.0} payments a second {what}", count / time.as_secs_f64());
    }
}

fn apply(state: &mut State, changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
    for (key, value) in changes {
        match value {
            Some(value) => state.insert(state_key(&key), value),
            None => state.remove(&state_key(&key)),
        };
    }
}
