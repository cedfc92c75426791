//! A ledger's state in a real database, a block that leads to it, and a committee whose certificate makes
//! that final.

use std::iter;

use commonware_consensus::{
    simplex::types::{Finalize, Notarization, Notarize, Proposal},
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
use soma_ledger::testing::{World, tiny};
use soma_light::{
    claim::Claim,
    consensus::{Context, Digest, Finalization, Hasher, Scheme, Variant, namespace},
    header::Header,
    key::NetworkKey,
    proof::{Finality, Link, Proof, Refused},
    receipts::Receipts,
    state::{CHUNK_BYTES, StateValue, state_key},
    subject::{Found, Held},
};
use soma_types::{ChainId, ModelId, Receipt, TargetId};

type Database =
    Db<mmr::Family, deterministic::Context, Digest, StateValue, Hasher, EightCap, CHUNK_BYTES, Sequential>;

/// Nobody's, and nothing's.
pub const NOTHING: [u8; 32] = [0x5a; 32];
const CHAIN: [u8; 32] = [7; 32];
const PARENT: [u8; 32] = [3; 32];

/// A committee of one.
pub struct Committee {
    scheme: Scheme,
    pub key: NetworkKey,
}

impl Committee {
    pub fn new(seed: u64) -> Self {
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

    fn proposal(block: Digest) -> Proposal<Digest> {
        Proposal::new(Round::new(Epoch::zero(), View::new(9)), View::new(8), block)
    }

    pub fn certificate(&self, block: Digest) -> Finalization {
        let vote = Finalize::sign(&self.scheme, Self::proposal(block)).unwrap();
        let votes = NonEmpty::new(vote, iter::empty());
        Finalization::from_owned_finalizes(&self.scheme, votes, &Sequential).unwrap()
    }

    /// What two thirds have voted for, which may never be final, said to be.
    pub fn notarization_as_certificate(&self, block: Digest) -> Finalization {
        let vote = Notarize::sign(&self.scheme, Self::proposal(block)).unwrap();
        let votes = NonEmpty::new(vote, iter::empty());
        let Notarization {
            proposal,
            certificate,
        } = Notarization::from_owned_notarizes(&self.scheme, votes, &Sequential).unwrap();
        Finalization {
            proposal,
            certificate,
        }
    }
}

async fn open(context: &deterministic::Context) -> Database {
    let cache = CacheRef::new(NZU16!(1_024), NZUsize!(16));
    let config = VariableConfig {
        merkle_config: MerkleConfig {
            journal_partition: "tree".into(),
            metadata_partition: "tree-pinned".into(),
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

pub fn link(parent: Digest, height: u64, database: &Database, receipts: &[Receipt]) -> Link {
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

pub async fn claim(database: &Database, held: Held) -> Claim {
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
pub struct Stage {
    pub committee: Committee,
    pub database: Database,
    pub link: Link,
    certificate: Finalization,
    pub receipts: Vec<Receipt>,
    pub model: ModelId,
    pub target: TargetId,
}

impl Stage {
    pub async fn new(context: &deterministic::Context) -> Self {
        let (mut world, models) = World::with_models(tiny(), 3);
        let target = world.open_targets().remove(0);
        let find = world.find(8, &target, 1, 0);
        let receipts = world.block(vec![(8, find.commit())]);
        let state = world.chain.state.iter();
        let changes = state
            .map(|(key, value)| (key.to_vec(), Some(value.to_vec())))
            .collect();
        let database = write(open(context).await, changes).await;
        let link = link(Digest::from(PARENT), 5, &database, &receipts);
        let committee = Committee::new(1);
        Self {
            certificate: committee.certificate(link.block()),
            committee,
            database,
            link,
            receipts,
            model: models[0],
            target: target.id,
        }
    }

    /// The same height with another state.
    pub async fn with(self, key: Vec<u8>, value: Option<Vec<u8>>) -> Self {
        let database = write(self.database, vec![(key, value)]).await;
        let link = link(Digest::from(PARENT), 5, &database, &self.receipts);
        Self {
            certificate: self.committee.certificate(link.block()),
            database,
            link,
            ..self
        }
    }

    pub fn prove(&self, claim: Claim) -> Proof {
        Proof {
            chain: ChainId(CHAIN),
            finality: Finality {
                links: vec![self.link.clone()],
                certificate: self.certificate.clone(),
            },
            claim,
        }
    }

    /// The same by the certificate of the third block after.
    pub fn by_a_later_one(&self, proof: &Proof) -> Proof {
        let mut later = proof.clone();
        let links = &mut later.finality.links;
        let mut tip = self.link.block();
        for height in 6..9 {
            let next = link(tip, height, &self.database, &[]);
            tip = next.block();
            links.push(next);
        }
        later.finality.certificate = self.committee.certificate(tip);
        later
    }

    /// What is believed of `claim`, sent through its bytes.
    pub fn believed(&self, claim: Claim) -> Result<Option<Found>, Refused> {
        let proof = self.prove(claim);
        let decoded = Proof::decode(&proof.encoded())?;
        assert_eq!(decoded, proof);
        let proven = decoded.verify(&self.committee.key)?;
        assert_eq!(proven.subject, proof.claim.subject());
        assert_eq!((proven.height.0, proven.chain.0), (5, CHAIN));
        Ok(proven.found)
    }
}

pub fn run<F: Future<Output = ()>>(test: impl FnOnce(deterministic::Context) -> F) {
    deterministic::Runner::default().start(test);
}
