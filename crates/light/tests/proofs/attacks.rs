//! What a node could say that is not so. The table is docs/attacks.md.

use std::mem;

use commonware_storage::qmdb::any::ordered::Update;
use soma_ledger::testing::address;
use soma_light::{
    claim::{Claim, Unfounded},
    consensus::Digest,
    proof::{Link, Refused},
    receipts::Receipts,
    state::{Absence, state_key},
    subject::{Found, Held},
};
use soma_types::{Address, ModelId, Shannons, TargetId, objects::Account};

use crate::stage::{Committee, NOTHING, Stage, claim, run};

/// Attack: a value that is not there
/// Does: hands out an account, a model or a target with a bit changed, someone else's, or one for an id
/// that has none, with a real path to a final block's state root.
/// Outcome: the path leads from the true value to the root, and from no other: refused.
#[test]
fn false_values() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let there = [
            Held::Account(address(8)),
            Held::Model(stage.model),
            Held::Target(stage.target),
        ];
        let elsewhere = [
            Held::Account(Address(NOTHING)),
            Held::Model(ModelId(NOTHING)),
            Held::Target(TargetId(NOTHING)),
        ];
        for (held, nothing) in there.into_iter().zip(elsewhere) {
            let Claim::Value { value, proof, .. } = claim(&stage.database, held).await else {
                panic!("{held:?} is there")
            };
            // Each byte of the value.
            for place in 0..value.0.len() {
                let mut forged = value.clone();
                forged.0[place] ^= 1;
                let (value, proof) = (forged, proof.clone());
                let forged = Claim::Value { held, value, proof };
                assert_eq!(stage.believed(forged), Err(Unfounded::Value.into()), "{place}");
            }
            // Someone else's value, and the value of what is not there.
            for other in there.into_iter().chain([nothing]).filter(|other| *other != held) {
                let forged = Claim::Value {
                    held: other,
                    value: value.clone(),
                    proof: proof.clone(),
                };
                assert_eq!(stage.believed(forged), Err(Unfounded::Value.into()));
            }
            // What is there is said not to be, by a proof for something else.
            let Claim::NoValue { proof, .. } = claim(&stage.database, nothing).await else {
                panic!("{nothing:?} is not there")
            };
            let forged = Claim::NoValue { held, proof };
            assert_eq!(stage.believed(forged), Err(Unfounded::NoValue.into()));
        }
    });
}

/// Attack: hiding what is there
/// Does: says that an account, a model or a target is not there: by a gap between other entries, by an
/// entry whose next one they make up, all round the map, or by a state that is said to be empty.
/// Outcome: an entry names the next, and that is hashed with it: no gap of the state holds a key of the
/// state, and no other gap leads to its root.
#[test]
fn hiding_what_is_there() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let account = Held::Account(address(8));
        let key = state_key(&account.key());
        let Claim::Value { value, proof, .. } = claim(&stage.database, account).await else {
            panic!("it is there")
        };
        let update = |next_key: Digest| Update {
            key,
            value: value.clone(),
            next_key,
        };
        let others = [Held::Model(stage.model), Held::Target(stage.target)];
        let forgeries = |next_key: Digest| {
            [
                // The entry is real, and what it says is next is not: so far, or all the way round.
                Absence::KeyValue(proof.proof.clone(), update(next_key)),
                Absence::KeyValue(proof.proof.clone(), update(key)),
                // The state is said to be empty.
                Absence::Commit(proof.proof.clone(), None),
                Absence::Commit(proof.proof.clone(), Some(value.clone())),
            ]
        };
        for held in others {
            let beyond = Digest::from([0xff; 32]);
            let own = state_key(&held.key());
            for absence in forgeries(beyond).into_iter().chain(forgeries(own)) {
                let proof = Box::new(absence);
                let forged = Claim::NoValue { held, proof };
                assert_eq!(stage.believed(forged), Err(Unfounded::NoValue.into()));
            }
        }
        // Not one of the gaps between the state's entries has any of its keys in it.
        let mut gaps = Vec::new();
        for byte in 0..=255 {
            let nothing = Held::Account(Address([byte; 32]));
            if let Claim::NoValue { proof, .. } = claim(&stage.database, nothing).await {
                gaps.push(proof);
            }
        }
        assert!(gaps.len() > 200, "{} gaps", gaps.len());
        for held in others.into_iter().chain([account]) {
            for proof in &gaps {
                let proof = proof.clone();
                let forged = stage.prove(Claim::NoValue { held, proof });
                assert_eq!(
                    forged.verify(&stage.committee.key),
                    Err(Unfounded::NoValue.into())
                );
            }
        }
    });
}

/// Attack: an old value under a new height
/// Does: keeps the proof of what an account had before it paid, and hands it out with a later block: the
/// entry is still in the log that the root covers.
/// Outcome: the root says which entries are current, too: what has been replaced or deleted is refused
/// under every later root.
#[test]
fn an_old_value() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let held = Held::Account(address(8));
        let before = claim(&stage.database, held).await;
        let poor = Account {
            balance: Shannons(1),
            nonce: 9,
        };
        let stage = stage.with(held.key(), Some(borsh::to_vec(&poor).unwrap())).await;
        // The old entry is in the log still, and its proof too: it is not current.
        assert_eq!(stage.believed(before.clone()), Err(Unfounded::Value.into()));
        let now = claim(&stage.database, held).await;
        assert_eq!(stage.believed(now.clone()), Ok(Some(Found::Account(poor))));
        // Nor is it what today's path leads to.
        if let (Claim::Value { value, .. }, Claim::Value { proof, .. }) = (before, now.clone()) {
            let forged = Claim::Value { held, value, proof };
            assert_eq!(stage.believed(forged), Err(Unfounded::Value.into()));
        }
        // And once it is gone, it is gone.
        let stage = stage.with(held.key(), None).await;
        assert_eq!(stage.believed(now), Err(Unfounded::Value.into()));
        assert_eq!(stage.believed(claim(&stage.database, held).await), Ok(None));
    });
}

/// Attack: a false receipt
/// Does: hands out a receipt with another fee, a tree of their own, or says that a block has no receipt
/// of a transaction which it has.
/// Outcome: the header names the root of all receipts in the order of their names, and their number:
/// what is there is shown and cannot be hidden, anything else is refused.
#[test]
fn false_receipts() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let (tree, receipt) = (Receipts::new(&stage.receipts), stage.receipts[0].clone());
        let path = tree.prove(&receipt.transaction);
        let mut cheaper = receipt.clone();
        cheaper.fee = Shannons(0);
        let forged = Claim::Receipt {
            receipt: Box::new(cheaper.clone()),
            path: path.clone(),
        };
        assert_eq!(stage.believed(forged), Err(Unfounded::Receipt.into()));
        let forged = Claim::Receipt {
            receipt: Box::new(cheaper.clone()),
            path: Receipts::new(&[cheaper]).prove(&receipt.transaction),
        };
        assert_eq!(stage.believed(forged), Err(Unfounded::Receipt.into()));
        for path in [path, Receipts::new(&[]).prove(&receipt.transaction)] {
            let forged = Claim::NoReceipt {
                transaction: receipt.transaction,
                path,
            };
            assert_eq!(stage.believed(forged), Err(Unfounded::NoReceipt.into()));
        }
    });
}

/// Attack: another header under a certificate
/// Does: changes the state, the receipts, the height or the time in a header, or leaves out a block
/// between it and the one with the certificate.
/// Outcome: a block's name is the hash of all of its header, and each header names the one before:
/// refused before a signature is looked at.
#[test]
fn another_header_under_a_certificate() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let key = &stage.committee.key;
        let good = stage.prove(claim(&stage.database, Held::Account(address(8))).await);
        let changes: [fn(&mut Link); 9] = [
            |link| link.header.state_root = Digest::from([9; 32]),
            |link| link.header.receipts_root = Digest::from([9; 32]),
            |link| link.header.state_root = link.header.log_root,
            |link| mem::swap(&mut link.header.state_root, &mut link.header.log_root),
            |link| mem::swap(&mut link.header.state_root, &mut link.header.receipts_root),
            |link| link.header.height = link.header.height.next(),
            |link| link.header.timestamp_ms += 250,
            |link| link.header.parent = Digest::from([9; 32]),
            |link| link.transactions = Digest::from([9; 32]),
        ];
        for change in changes {
            let mut forged = good.clone();
            change(&mut forged.finality.links[0]);
            assert_eq!(forged.verify(key), Err(Refused::OtherBlock));
        }
        let later = stage.by_a_later_one(&good);
        for change in changes {
            let mut forged = later.clone();
            change(&mut forged.finality.links[1]);
            assert!(matches!(forged.verify(key), Err(Refused::Broken(_))));
        }
        // One that is left out, and those after it.
        let mut broken = later.clone();
        broken.finality.links.remove(2);
        assert_eq!(broken.verify(key), Err(Refused::Broken(2)));
        let mut broken = later;
        broken.finality.links.truncate(3);
        assert_eq!(broken.verify(key), Err(Refused::OtherBlock));
    });
}

/// Attack: finality of another kind
/// Does: makes a block final by a certificate of votes that do not make it so, of a committee of their
/// own, or of another chain.
/// Outcome: a certificate counts if the network's one key has signed it for this chain, as final:
/// anything else is refused.
#[test]
fn another_network_s_finality() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let good = stage.prove(claim(&stage.database, Held::Account(address(8))).await);
        let (key, block) = (&stage.committee.key, stage.link.block());
        let (unsigned, stranger) = (Err(Refused::OtherKey(key.to_string())), Committee::new(2));
        // Only voted for; another committee's certificate; another network's.
        let mut other = good.clone();
        other.finality.certificate = stage.committee.notarization_as_certificate(block);
        assert_eq!(other.verify(key), unsigned);
        other.finality.certificate = stranger.certificate(block);
        assert_eq!(other.verify(key), unsigned);
        let mut other = good.clone();
        other.chain.0[0] ^= 1;
        assert_eq!(other.verify(key), unsigned);
        // Its own, to who trusts another key.
        let elsewhere = Err(Refused::OtherKey(stranger.key.to_string()));
        assert_eq!(good.verify(&stranger.key), elsewhere);
    });
}
