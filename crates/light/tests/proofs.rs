//! Every kind of proof, of what is there and of what is not, on a real database and with a real committee's
//! key; and every kind of forgery.

use std::iter;

use commonware_consensus::{
    simplex::types::{Finalize, Proposal},
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{
    Signer as _,
    bls12381::{dkg::feldman_desmedt::deal, primitives::sharing::Mode},
    ed25519,
};
use commonware_parallel::Sequential;
use commonware_runtime::{Runner as _, Supervisor as _, buffer::paged::CacheRef, deterministic};
use commonware_storage::{
    journal::contiguous::variable::Config as LogConfig,
    mmr::{self, full::Config as MerkleConfig},
    qmdb::{
        current::{VariableConfig, ordered::variable::Db},
        floor::Proportional,
    },
    translator::EightCap,
};
use commonware_utils::{
    N3f1, NZU16, NZU64, NZUsize, TryCollect as _, iter::NonEmpty, non_empty_range, ordered::Set,
};
use rand::{SeedableRng as _, rngs::StdRng};
use soma_ledger::testing::{World, address, tiny};
use soma_light::{
    claim::{Claim, Unfounded},
    consensus::{Context, Digest, Finalization, Hasher, Scheme, Variant, namespace},
    header::Header,
    key::NetworkKey,
    proof::{Finality, Link, Proof, Refused},
    receipts::Receipts,
    state::{CHUNK_BYTES, StateValue, state_key},
    subject::{Found, Held},
};
use soma_types::{Address, ModelId, Receipt, Shannons, TargetId, TransactionHash, objects::Account};

type Database =
    Db<mmr::Family, deterministic::Context, Digest, StateValue, Hasher, EightCap, CHUNK_BYTES, Sequential>;

/// Nobody's, and nothing's.
const NOTHING: [u8; 32] = [0x5a; 32];
const CHAIN: [u8; 32] = [7; 32];

/// A committee of one.
struct Committee {
    scheme: Scheme,
    key: NetworkKey,
}

impl Committee {
    fn new(seed: u64) -> Self {
        let member = ed25519::PrivateKey::from_seed(seed).public_key();
        let members: Set<_> = iter::once(member).try_collect().unwrap();
        let mut rng = StdRng::seed_from_u64(seed);
        let (output, shares) =
            deal::<Variant, _, N3f1>(&mut rng, Mode::NonZeroCounter, members.clone()).unwrap();
        let polynomial = output.public().clone();
        let key = NetworkKey::from(*polynomial.public());
        let share = shares.values()[0].clone();
        let scheme = Scheme::signer(&namespace(&CHAIN), members, polynomial, share).unwrap();
        Self { scheme, key }
    }

    fn certificate(&self, block: Digest) -> Finalization {
        let round = Round::new(Epoch::zero(), View::new(9));
        let vote = Finalize::sign(&self.scheme, Proposal::new(round, View::new(8), block)).unwrap();
        let votes = NonEmpty::new(vote, iter::empty());
        Finalization::from_owned_finalizes(&self.scheme, votes, &Sequential).unwrap()
    }
}

async fn open(context: &deterministic::Context) -> Database {
    let cache = CacheRef::new(NZU16!(1_024), NZUsize!(16));
    let config = VariableConfig {
        merkle_config: MerkleConfig {
            journal_partition: "tree".into(),
            metadata_partition: "tree-metadata".into(),
            items_per_blob: NZU64!(1_024),
            write_buffer: NZUsize!(1_024),
            replay_buffer: NZUsize!(1_024),
            strategy: Sequential,
            page_cache: cache.clone(),
        },
        journal_config: LogConfig {
            partition: "log".into(),
            items_per_section: NZU64!(1_024),
            compression: None,
            codec_config: ((), ()),
            page_cache: cache,
            write_buffer: NZUsize!(1_024),
            replay_buffer: NZUsize!(1_024),
        },
        grafted_metadata_partition: "current".into(),
        translator: EightCap,
        init_cache: None,
        init_buffer: NZUsize!(1_024),
        init_concurrency: (),
    };
    Database::init(context.child("database"), config, None)
        .await
        .unwrap()
}

/// Writes `changes`.
async fn write(database: Database, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Database {
    let mut batch = database.new_batch();
    for (key, value) in changes {
        batch = batch.write(state_key(&key), value.map(StateValue));
    }
    let sealed = batch.merkleize(&database, None, &mut Proportional).await.unwrap();
    database.apply_batch(sealed).await.unwrap()
}

fn link(parent: Digest, height: u64, database: &Database, receipts: &[Receipt]) -> Link {
    let header = Header {
        context: Context {
            round: Round::new(Epoch::zero(), View::new(height)),
            leader: ed25519::PrivateKey::from_seed(1).public_key(),
            parent: (View::new(height - 1), parent),
        },
        parent,
        height: Height::new(height),
        timestamp_ms: 250 * height,
        seed: None,
        state_root: database.root(),
        log_root: database.ops_root(),
        range: non_empty_range!(database.sync_boundary(), database.bounds().end),
        receipts_root: Receipts::new(receipts).root(),
    };
    Link {
        header,
        transactions: Digest::from([4; 32]),
    }
}

async fn claim(database: &Database, held: Held) -> Claim {
    let key = state_key(&held.key());
    match database.get(&key).await.unwrap() {
        Some(value) => Claim::Value {
            held,
            value,
            proof: Box::new(database.key_value_proof(key).await.unwrap()),
        },
        None => Claim::NoValue {
            held,
            proof: Box::new(database.exclusion_proof(&key).await.unwrap()),
        },
    }
}

/// What a ledger holds, block by block.
struct Stage {
    committee: Committee,
    database: Database,
    link: Link,
    certificate: Finalization,
    receipts: Vec<Receipt>,
    model: ModelId,
    target: TargetId,
}

impl Stage {
    async fn new(context: &deterministic::Context) -> Self {
        let (mut world, models) = World::with_models(tiny(), 3);
        let target = world.open_targets().remove(0).id;
        let find = world.find(8, &world.open_targets().remove(0), 1, 0);
        let receipts = world.block(vec![(8, find.commit())]);
        let state = world.chain.state.iter();
        let changes = state
            .map(|(key, value)| (key.to_vec(), Some(value.to_vec())))
            .collect();
        let database = write(open(context).await, changes).await;
        let link = link(Digest::from([3; 32]), 5, &database, &receipts);
        let committee = Committee::new(1);
        Self {
            certificate: committee.certificate(link.block()),
            committee,
            database,
            link,
            receipts,
            model: models[0],
            target,
        }
    }

    /// The same height with another state.
    async fn with(self, key: Vec<u8>, value: Option<Vec<u8>>) -> Self {
        let database = write(self.database, vec![(key, value)]).await;
        let link = link(Digest::from([3; 32]), 5, &database, &self.receipts);
        Self {
            certificate: self.committee.certificate(link.block()),
            database,
            link,
            ..self
        }
    }

    fn prove(&self, claim: Claim) -> Proof {
        let certificate = self.certificate.clone();
        Proof {
            chain: soma_types::ChainId(CHAIN),
            finality: Finality {
                links: vec![self.link.clone()],
                certificate,
            },
            claim,
        }
    }

    /// What is believed of `claim`, sent through its bytes.
    fn believed(&self, claim: Claim) -> Result<Option<Found>, Refused> {
        let proof = self.prove(claim);
        let decoded = Proof::decode(&proof.encoded())?;
        assert_eq!(decoded, proof);
        let proven = decoded.verify(&self.committee.key)?;
        assert_eq!(proven.subject, proof.claim.subject());
        assert_eq!((proven.height.0, proven.chain.0), (5, CHAIN));
        Ok(proven.found)
    }
}

fn run<F: Future<Output = ()>>(test: impl FnOnce(deterministic::Context) -> F) {
    deterministic::Runner::default().start(test);
}

#[test]
fn what_is_there_is_believed_and_so_is_what_is_not() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let held = [
            (Held::Account(address(8)), true),
            (Held::Model(stage.model), true),
            (Held::Target(stage.target), true),
            (Held::Account(Address(NOTHING)), false),
            (Held::Model(ModelId(NOTHING)), false),
            (Held::Target(TargetId(NOTHING)), false),
        ];
        for (held, there) in held {
            let found = stage.believed(claim(&stage.database, held).await).unwrap();
            assert_eq!(found.is_some(), there, "{held:?}");
            match found {
                Some(Found::Model(model)) => assert_eq!(model.id, stage.model),
                Some(Found::Target(target)) => assert_eq!(target.id, stage.target),
                Some(Found::Account(account)) => assert_eq!(account.nonce, 1),
                _ => {}
            }
        }
        let tree = Receipts::new(&stage.receipts);
        let [receipt] = stage.receipts.as_slice() else {
            panic!("one transaction")
        };
        let shown = Claim::Receipt {
            receipt: Box::new(receipt.clone()),
            path: tree.prove(&receipt.transaction),
        };
        assert_eq!(
            stage.believed(shown),
            Ok(Some(Found::Receipt(Box::new(receipt.clone()))))
        );
        let transaction = TransactionHash(NOTHING);
        let path = tree.prove(&transaction);
        assert_eq!(stage.believed(Claim::NoReceipt { transaction, path }), Ok(None));
    });
}

#[test]
fn forged_values_are_refused_of_every_kind() {
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

#[test]
fn a_value_of_yesterday_is_not_today_s() {
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
        assert_eq!(stage.believed(before), Err(Unfounded::Value.into()));
        let now = claim(&stage.database, held).await;
        assert_eq!(stage.believed(now.clone()), Ok(Some(Found::Account(poor))));
        // And once it is gone, it is gone.
        let stage = stage.with(held.key(), None).await;
        assert_eq!(stage.believed(now), Err(Unfounded::Value.into()));
        assert_eq!(stage.believed(claim(&stage.database, held).await), Ok(None));
    });
}

#[test]
fn forged_receipts_are_refused() {
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

#[test]
fn a_block_is_final_by_its_own_certificate_or_by_a_later_one_s_and_by_no_other() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let claim = claim(&stage.database, Held::Account(address(8))).await;
        let good = stage.prove(claim);
        let key = &stage.committee.key;
        good.verify(key).unwrap();
        // By a later one's.
        let mut later = good.clone();
        for height in 6..9 {
            let parent = later.finality.links.last().unwrap().block();
            let next = link(parent, height, &stage.database, &[]);
            later.finality.links.push(next);
        }
        let tip = later.finality.links.last().unwrap().block();
        assert_eq!(later.verify(key), Err(Refused::OtherBlock));
        later.finality.certificate = stage.committee.certificate(tip);
        assert_eq!(later.verify(key).unwrap().height.0, 5);
        // Links that do not hold together.
        let mut broken = later.clone();
        broken.finality.links.remove(2);
        assert_eq!(broken.verify(key), Err(Refused::Broken(2)));
        let mut broken = later.clone();
        broken.finality.links[1].transactions = Digest::from([9; 32]);
        assert_eq!(broken.verify(key), Err(Refused::Broken(2)));
        // Another state under the same certificate.
        let mut other = good.clone();
        other.finality.links[0].header.state_root = Digest::from([9; 32]);
        assert_eq!(other.verify(key), Err(Refused::OtherBlock));
        // Another committee's certificate, another network's, and another key.
        let (mut other, stranger) = (good.clone(), Committee::new(2));
        other.finality.certificate = stranger.certificate(stage.link.block());
        assert_eq!(other.verify(key), Err(Refused::OtherKey(key.to_string())));
        assert_eq!(
            good.verify(&stranger.key),
            Err(Refused::OtherKey(stranger.key.to_string()))
        );
        let mut other = good.clone();
        other.chain.0[0] ^= 1;
        assert_eq!(other.verify(key), Err(Refused::OtherKey(key.to_string())));
    });
}

#[test]
fn whatever_bytes_come_they_are_a_proof_or_none() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let good = stage.prove(claim(&stage.database, Held::Model(stage.model)).await);
        let (bytes, shown) = (good.encoded(), good.verify(&stage.committee.key).unwrap());
        for place in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[place] ^= 0x11;
            let Ok(proof) = Proof::decode(&forged) else {
                continue;
            };
            let believed = proof.verify(&stage.committee.key);
            assert!(believed.is_err() || believed == Ok(shown.clone()), "byte {place}");
        }
        for length in (0..bytes.len()).step_by(7) {
            assert!(Proof::decode(&bytes[..length]).is_err());
        }
        assert!(Proof::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        for filler in [0x00, 0x01, 0x7f, 0xff] {
            assert!(Proof::decode(&vec![filler; 1 << 20]).is_err(), "{filler}");
        }
    });
}

#[test]
fn keys_are_read_as_they_are_written() {
    let Committee { key, .. } = Committee::new(3);
    assert_eq!(key.to_string().parse(), Ok(key));
    assert_eq!(key.to_string().trim_start_matches("0x").parse(), Ok(key));
    for wrong in ["", "0x", "0x00", &"f".repeat(96), &key.to_string()[..96]] {
        assert!(wrong.parse::<NetworkKey>().is_err(), "{wrong}");
    }
}
