//! Writes the small seed corpus of each target anew: `cargo run --example seeds -- seeds`.

use std::{fs, io, iter, path::Path};

use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::{
    simplex::types::{Finalize, Proposal},
    types::{Epoch as Era, Height as BlockHeight, Round, View},
};
use commonware_cryptography::{
    Digestible as _, Signer as _,
    bls12381::{dkg::feldman_desmedt::deal, primitives::sharing::Mode},
    ed25519,
};
use commonware_parallel::Sequential;
use commonware_storage::mmr::Location as Place;
use commonware_utils::{N3f1, TryCollect as _, iter::NonEmpty, non_empty_range, ordered::Set};
use rand::{SeedableRng as _, rngs::StdRng};
use soma_blobs::encrypt;
use soma_client::keyfile::{KeyFile, Secret};
use soma_fuzz::{World, keys, params, small_architecture};
use soma_ledger::{testing, view};
use soma_light::{
    claim::Claim,
    consensus::{Finalization, Scheme, Variant, namespace},
    proof::{Finality, Link, Proof},
    receipts::Receipts,
};
use soma_model::layout;
use soma_node::{
    block::{Block, Header, SeedSignature},
    consensus::{Context, Digest, SEED_SIGNATURE_BYTES},
    execution::StateValue,
    index::Record,
};
use soma_types::{
    ContentHash, Embedding, Epoch, Height, RejectionCode, Salt, Seed, Shannons, SignedTransaction,
    SubmissionId, Transaction, TransactionHash, TransactionKind as Kind, Transcript,
    amount::SHANNONS_PER_SOMA,
    api::{
        AccountView, EpochView, FaucetRequest, ModelView, Page, Problem, StakeView, SubmissionView,
        Submitted, TargetView, TransactionView, UnbondingView, ValidatorView,
        score::{ContestView, OneOrMany, ScoreRequest, ScoreView},
    },
    genesis::Genesis,
    objects::AuditStage,
    samples::{Matter, one_of_each},
    transaction::{PoolId, Verdict},
    upgrade::PROTOCOL_VERSION,
};

/// One of each kind, with ids that `World::resolve` replaces.
fn kinds() -> Vec<Kind> {
    let architecture = params().architecture;
    one_of_each(&Matter {
        byte: 0,
        amount: Shannons(SHANNONS_PER_SOMA),
        architecture,
        embedding: Embedding::draw(&Seed([1; 32]), architecture.embedding_dim as usize),
        version: PROTOCOL_VERSION,
    })
}

/// Rules, accounts and validators of a network.
fn genesis() -> Genesis {
    testing::World::new(params()).genesis
}

/// An id that `World::resolve` takes for the place of what exists.
const fn nth(place: u8) -> [u8; 32] {
    let mut id = [0; 32];
    id[0] = place;
    id
}

/// The owners and validators whom the kinds suit, and the flags of `fuzz_target_apply`.
fn step(who: u8, how: u8, kind: &Kind) -> Vec<u8> {
    let encoded = borsh::to_vec(kind).expect("to memory");
    let length = u16::try_from(encoded.len()).expect("short kinds").to_le_bytes();
    [&[who, how][..], &length, &encoded].concat()
}

fn write(folder: &Path, target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = folder.join(format!("fuzz_target_{target}"));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

/// A block with these transactions, after genesis.
fn block(transactions: Vec<Vec<u8>>, seed: Option<SeedSignature>) -> Block {
    let range = non_empty_range!(Place::new(1), Place::new(9));
    let parent = Block::genesis([1; 32], 1_000, Digest::from([2; 32]), range).digest();
    let header = Header {
        context: Context {
            round: Round::new(Era::zero(), View::new(7)),
            leader: ed25519::PrivateKey::from_seed(3).public_key(),
            parent: (View::new(6), parent),
        },
        parent,
        height: BlockHeight::new(1),
        timestamp_ms: 1_250,
        seed,
        state_root: Digest::from([3; 32]),
        log_root: Digest::from([4; 32]),
        receipts_root: Receipts::new(&[]).root(),
        range: non_empty_range!(Place::new(2), Place::new(1_000)),
    };
    Block::new(header, transactions.into_iter().map(Into::into).collect())
}

/// Proof by a committee of one that the block has no receipt.
fn proof(block: &Block) -> Proof {
    let chain = genesis().chain_id();
    let members: Set<_> = iter::once(ed25519::PrivateKey::from_seed(1).public_key())
        .try_collect()
        .expect("one member");
    let mut rng = StdRng::seed_from_u64(1);
    let (output, shares) = deal::<Variant, _, N3f1>(&mut rng, Mode::NonZeroCounter, members.clone())
        .expect("one member");
    let (polynomial, share) = (output.public().clone(), shares.values()[0].clone());
    let scheme = Scheme::signer(&namespace(&chain.0), members, polynomial, share).expect("its share");
    let round = block.header().context.round;
    let vote = Finalize::sign(&scheme, Proposal::new(round, View::new(6), block.digest())).expect("its share");
    let votes = NonEmpty::new(vote, iter::empty());
    let transaction = TransactionHash([5; 32]);
    Proof {
        chain,
        finality: Finality {
            links: vec![Link {
                header: block.header().clone(),
                transactions: block.transactions_hash(),
            }],
            certificate: Finalization::from_owned_finalizes(&scheme, votes, &Sequential).expect("all votes"),
        },
        claim: Claim::NoReceipt {
            transaction,
            path: Receipts::new(&[]).prove(&transaction),
        },
    }
}

/// What became of a boundary's block with a transaction in it.
fn record(world: &mut World) -> Record {
    let mut outcome = world.block(&[]);
    while !outcome.boundary {
        let transaction = world.transaction(1, Kind::LeaveValidator);
        outcome = world.block(&[transaction]);
    }
    Record {
        height: Height(50),
        epoch: outcome.epoch,
        timestamp_ms: 1,
        transactions: Vec::new(),
        receipts: outcome.receipts,
        events: outcome.events,
    }
}

/// One of each thing that the ledger stores. The first byte is the decoder's place in `fuzz_target_objects`.
fn stored(world: &mut World) -> Vec<(u8, Vec<u8>)> {
    // Tables of the ledger, and what they hold.
    let decoders = [
        (2, 10),
        (3, 6),
        (4, 16),
        (6, 0),
        (7, 11),
        (8, 12),
        (13, 19),
        (16, 3),
        (17, 20),
        (18, 9),
        (26, 17),
        (31, 15),
        (36, 4),
        (40, 5),
    ];
    let mut found = std::collections::BTreeMap::new();
    for (key, value) in world.state().iter() {
        if let Some((_, decoder)) = decoders.iter().find(|(table, _)| *table == key[0]) {
            found.insert(*decoder, [&[*decoder], value].concat());
        }
    }
    assert_eq!(found.len(), decoders.len(), "the world has one of each");
    found.into_iter().collect()
}

const fn one<T>(items: Vec<T>) -> Page<T> {
    Page { items, next: None }
}

/// The longer answers of a node.
fn answers(world: &mut World) -> io::Result<Vec<(&'static str, Vec<u8>)>> {
    let (model, submission) = (world.models[0], world.submissions[0]);
    let target = world.targets()[0];
    let state = world.state();
    let loaded = "all is in memory";
    let epoch = view::epoch(state).expect(loaded).expect("after genesis");
    let model = ModelView {
        model: view::model(state, model).expect(loaded).expect("created"),
        pool: view::pool(state, PoolId::Model(model))
            .expect(loaded)
            .expect("staked"),
        embedding: view::model_embedding(state, model).expect(loaded),
    };
    let target = view::target(state, target).expect(loaded).expect("open");
    let target = TargetView {
        embedding: Embedding::draw(&target.seed, params().architecture.embedding_dim as usize),
        target,
        commit_threshold_q30: -5,
        current: true,
    };
    let submission = SubmissionView {
        submission: view::submission(state, submission)
            .expect(loaded)
            .expect("committed"),
        embedding: view::submission_embedding(state, submission).expect(loaded),
        audit_stage: Some(AuditStage::Hearing),
        auditors: vec![keys(0).address()],
        audits: vec![],
        audit_outcome: view::audit_outcome(state, submission).expect(loaded),
    };
    let address = keys(0).address();
    let committee = view::committee(state, epoch.epoch)
        .expect(loaded)
        .expect("seated");
    let validator = ValidatorView {
        validator: view::validator(state, address)
            .expect(loaded)
            .expect("registered"),
        pool: view::pool(state, PoolId::Validator(address))
            .expect(loaded)
            .expect("staked"),
        seat: committee.seats.first().copied(),
        duty: view::duty(state, epoch.epoch, address).expect(loaded),
    };
    let (stakes, _) = view::stakes(state, address, 0, 9).expect(loaded);
    let account = AccountView {
        address,
        balance: Shannons(5),
        nonce: 1,
        nonce_pending: 2,
        stakes: stakes
            .into_iter()
            .map(|stake| StakeView {
                pool: stake.pool,
                shares: stake.shares,
                counting: stake.counting,
                pending: stake.pending,
            })
            .collect(),
        unbonding: vec![UnbondingView {
            pool: PoolId::Validator(address),
            amount: Shannons(5),
            release: Epoch(9),
        }],
    };
    let past = EpochView {
        epoch: Epoch(0),
        current: false,
        state: epoch,
        record: view::epoch_record(state, Epoch(0)).expect(loaded),
    };
    let scores = ContestView {
        models: vec![
            ScoreView::Scored {
                loss_nano: 1,
                cross_entropy_nano: 1,
                sigreg_nano: 0,
                predicted_tokens: 3,
                embedding_q15: vec![1, -1],
                mean_embedding: vec![0.5, -1e9],
            },
            ScoreView::Failed { error: "no".into() },
        ],
        winner: 0,
        transcript: Transcript([1; 32]),
    };
    Ok(vec![
        ("account", [&[3], &serde_json::to_vec(&account)?[..]].concat()),
        ("epoch", [&[7], &serde_json::to_vec(&past)?[..]].concat()),
        (
            "models",
            [&[10], &serde_json::to_vec(&one(vec![model]))?[..]].concat(),
        ),
        (
            "submissions",
            [&[12], &serde_json::to_vec(&one(vec![submission]))?[..]].concat(),
        ),
        (
            "targets",
            [&[13], &serde_json::to_vec(&one(vec![target]))?[..]].concat(),
        ),
        (
            "validators",
            [&[15], &serde_json::to_vec(&one(vec![validator]))?[..]].concat(),
        ),
        ("scores", [&[17], &serde_json::to_vec(&scores)?[..]].concat()),
    ])
}

/// What nodes and clients say to each other. The first byte is the decoder's place in `fuzz_target_api`.
fn said(record: &Record, signed: &SignedTransaction) -> io::Result<Vec<(&'static str, Vec<u8>)>> {
    let stream = record
        .event_views()
        .iter()
        .try_fold(String::from(": hello\r\n"), |text, view| {
            let data = serde_json::to_string(view)?;
            Ok::<_, serde_json::Error>(format!(
                "{text}event: block\nid: {}\ndata: {data}\n\n",
                view.index
            ))
        })?;
    let event = serde_json::to_vec(&record.event_views().first())?;
    let request = ScoreRequest {
        models: vec!["a".into()],
        data: OneOrMany::Many(vec!["AAAA".into(), "soma:0x00".into()]),
        seed: Some(Seed([1; 32])),
    };
    let view = TransactionView {
        hash: signed.hash(),
        transaction: signed.transaction.clone(),
        receipt: record.receipts.first().cloned(),
        timestamp_ms: Some(1),
    };
    let page = Page {
        items: vec![view],
        next: Some("7".into()),
    };
    let faucet = FaucetRequest {
        address: keys(0).address(),
        amount: Some(Shannons(5)),
    };
    let problem = Problem {
        kind: "urn:soma:rejection:108".into(),
        title: "no".into(),
        status: 422,
        detail: "why".into(),
        code: Some(RejectionCode::CannotPayFee),
        name: Some("CannotPayFee".into()),
    };
    let submitted = Submitted { hash: signed.hash() };
    Ok(vec![
        ("stream", [&[0], stream.as_bytes()].concat()),
        ("score", [&[1], &serde_json::to_vec(&request)?[..]].concat()),
        ("faucet", [&[2], &serde_json::to_vec(&faucet)?[..]].concat()),
        ("event", [&[8], &event[..]].concat()),
        ("transactions", [&[14], &serde_json::to_vec(&page)?[..]].concat()),
        ("problem", [&[16], &serde_json::to_vec(&problem)?[..]].concat()),
        (
            "submitted",
            [&[20], &serde_json::to_vec(&submitted)?[..]].concat(),
        ),
    ])
}

fn main() -> io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "seeds".to_owned());
    let folder = Path::new(&folder);
    let mut all = Vec::new();
    for (index, kind) in kinds().iter().enumerate() {
        let name = kind.name();
        write(
            folder,
            "transaction",
            name,
            &borsh::to_vec(kind).expect("to memory"),
        )?;
        for (who, how) in [(0, 1), (5, 1)] {
            write(folder, "apply", &format!("{name}_{who}"), &step(who, how, kind))?;
        }
        all.extend(step(4 + (index % 3) as u8, (index % 4) as u8, kind));
    }
    write(folder, "apply", "all", &all)?;
    // The next epoch's auditor accuses its winner, and the committee convicts.
    let found = Kind::RevealAudit {
        submission: SubmissionId(nth(1)),
        salt: Salt([3; 32]),
        verdict: Verdict::FalseScore,
        transcript: Transcript([2; 32]),
    };
    let hearing = [step(0, 1 | 2, &found), step(0, 1 | 4, &found)].concat();
    write(folder, "apply", "hearing", &hearing)?;
    let signed = Transaction {
        chain: genesis().chain_id(),
        sender: keys(0).public_key(),
        nonce: 0,
        expires: Epoch(1),
        max_fee: Shannons(1),
        kind: Kind::LeaveValidator,
    }
    .sign(&keys(1));
    write(folder, "transaction", "signed", &signed.encode())?;
    let seed = SeedSignature([9; SEED_SIGNATURE_BYTES]);
    for (name, block) in [
        ("empty", block(vec![], None)),
        (
            "full",
            block(vec![signed.encode(), vec![], vec![7; 300]], Some(seed)),
        ),
    ] {
        let encoded = block.encode();
        assert_eq!(Block::decode(encoded.clone()).map_err(io::Error::other)?, block);
        write(folder, "block", name, &[&[0], &encoded[..]].concat())?;
    }
    write(folder, "proof", "no_receipt", &proof(&block(vec![], None)).encoded())?;
    let mut world = World::populated();
    for (decoder, bytes) in stored(&mut world) {
        write(folder, "objects", &format!("stored_{decoder}"), &bytes)?;
    }
    for (name, bytes) in answers(&mut world)? {
        write(folder, "api", name, &bytes)?;
    }
    let record = record(&mut world);
    for (name, bytes) in said(&record, &signed)? {
        write(folder, "api", name, &bytes)?;
    }
    let record = borsh::to_vec(&record).expect("to memory");
    write(folder, "block", "record", &[&[1], &record[..]].concat())?;
    let value = StateValue(vec![1, 2, 3]).encode();
    write(folder, "block", "value", &[&[2], &value[..]].concat())?;
    let json = |value: serde_json::Result<Vec<u8>>| value.expect("to memory");
    write(folder, "genesis", "small", &json(serde_json::to_vec(&genesis())))?;
    write(
        folder,
        "architecture",
        "small",
        &json(serde_json::to_vec(&small_architecture())),
    )?;
    let mut genesis_object = vec![8];
    genesis_object.extend(borsh::to_vec(&genesis()).expect("to memory"));
    write(folder, "objects", "genesis", &genesis_object)?;
    for (name, text) in [
        ("amount", "12.5".to_owned()),
        ("address", keys(0).address().to_string()),
        ("pool", PoolId::Validator(keys(0).address()).to_string()),
        ("url", "https://example.org/a?b#c".to_owned()),
        ("soma", format!("soma:{}", ContentHash([1; 32]))),
        ("file", "file:///tmp/a%20b".to_owned()),
    ] {
        write(folder, "text", name, text.as_bytes())?;
    }
    let embedding = Embedding::draw(&Seed([1; 32]), 8);
    write(
        folder,
        "embedding",
        "borsh",
        &borsh::to_vec(&embedding).expect("to memory"),
    )?;
    write(folder, "embedding", "base64", embedding.to_base64().as_bytes())?;
    let specs = layout(&small_architecture());
    let values: Vec<Vec<f32>> = specs.iter().map(|spec| vec![0.5; spec.len()]).collect();
    let tensors: Vec<_> = specs.into_iter().zip(values.iter().map(Vec::as_slice)).collect();
    let weights = soma_model::safetensors::write(&tensors).map_err(io::Error::other)?;
    write(folder, "weights", "half", &weights)?;
    let (container, key) = encrypt(b"weights").map_err(io::Error::other)?;
    write(
        folder,
        "container",
        "good",
        &[key.as_bytes(), &container[..]].concat(),
    )?;
    let secret = Secret::new(&keys(0), None);
    let file = KeyFile::seal(&secret, None).map_err(io::Error::other)?;
    write(folder, "keyfile", "bare", &file.encode())?;
    let words =
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    write(folder, "keyfile", "words", words.as_bytes())?;
    Ok(())
}
