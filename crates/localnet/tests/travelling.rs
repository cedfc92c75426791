//! How often validators encode and decode a transaction, and check its signature, from where it comes in to
//! where it is final; and digest a block. Alone in its binary: the counts are the process's.

use bytes::Bytes;
use soma_localnet::{Blueprint, Config, Localnet, testing::wait};
use soma_node::{block::DIGESTED, query::LiveQuery};
use soma_types::{
    Epoch, Keypair, Shannons, Transaction, TransactionKind,
    amount::SHANNONS_PER_SOMA,
    genesis::{Genesis, GenesisAccount},
    list::List,
    tally,
    transaction::Payment,
};

/// Payments that travel.
const PAYMENTS: u64 = 64;

/// What this process has done.
#[derive(Clone, Copy, Debug)]
struct Work {
    /// Transactions encoded.
    encoded: u64,
    /// Transactions decoded.
    decoded: u64,
    /// Signatures checked.
    checked: u64,
    /// Digests of blocks computed.
    digested: u64,
}

impl Work {
    fn so_far() -> Self {
        Self {
            encoded: tally::ENCODED.get(),
            decoded: tally::DECODED.get(),
            checked: tally::CHECKED.get(),
            digested: DIGESTED.get(),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            encoded: self.encoded - before.encoded,
            decoded: self.decoded - before.decoded,
            checked: self.checked - before.checked,
            digested: self.digested - before.digested,
        }
    }
}

fn payment(genesis: &Genesis, keys: &Keypair, nonce: u64) -> Bytes {
    let payment = Payment {
        to: keys.address(),
        amount: Shannons(1),
    };
    let transaction = Transaction {
        chain: genesis.chain_id(),
        sender: keys.public_key(),
        nonce,
        expires: Epoch(10),
        max_fee: Shannons(SHANNONS_PER_SOMA),
        kind: TransactionKind::Transfer {
            payments: List::new(vec![payment]).unwrap(),
        },
    };
    transaction.sign(keys).encode().into()
}

/// What all payments cost a network of `validators`, from the first that takes them up to the last that
/// knows what became of them; and how many blocks became final meanwhile.
fn travel(validators: u32) -> (Work, u64) {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keypair::from_secret_bytes([9; 32]);
    let mut config = Config::new(folder.path());
    config.blueprint = Blueprint {
        validators,
        accounts: vec![GenesisAccount {
            address: keys.address(),
            balance: Shannons(1_000 * SHANNONS_PER_SOMA),
        }],
        ..Blueprint::default()
    };
    let net = Localnet::start(config).unwrap();
    let payments: Vec<Bytes> = (0..PAYMENTS)
        .map(|nonce| payment(net.genesis(), &keys, nonce))
        .collect();
    let reaches = async |query: &LiveQuery, height: u64| {
        wait("a block", async || {
            query.index().tip().filter(|tip| tip.height >= height)
        })
        .await
    };
    let travelled = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let first = &net.queries()[0];
        let start = reaches(first, 1).await;
        let before = Work::so_far();
        let mut hashes = Vec::new();
        for payment in payments {
            hashes.push(first.submit(payment).await.unwrap());
        }
        for query in net.queries() {
            wait("the payments", async || {
                let is_final = |hash| query.index().transaction(hash).is_some();
                hashes.iter().all(is_final).then_some(())
            })
            .await;
            // Who follows blocks has seen this one when they see the next ones.
            let seen = query.index().tip().unwrap().height;
            reaches(query, seen + 3).await;
        }
        let end = first.index().tip().unwrap();
        let work = Work::so_far().since(before);
        (work, end.height - start.height)
    });
    net.stop().unwrap();
    travelled
}

#[test]
fn a_transaction_is_decoded_and_checked_once_where_it_comes_in() {
    let (work, blocks) = travel(1);
    println!("one validator, {PAYMENTS} payments, {blocks} blocks: {work:?}");
    assert_eq!(
        [work.encoded, work.decoded, work.checked],
        [0, PAYMENTS, PAYMENTS]
    );
    // The last may be proposed, and not final.
    assert!(work.digested <= blocks + 1, "{work:?} for {blocks} blocks");

    let (work, blocks) = travel(4);
    println!("four validators, {PAYMENTS} payments, {blocks} blocks: {work:?}");
    assert_eq!((work.encoded, work.checked), (0, work.decoded));
    assert!(
        work.decoded >= 4 * PAYMENTS,
        "each believes itself alone: {work:?}"
    );
}
