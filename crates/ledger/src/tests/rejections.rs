//! Every reason for a refusal or a failure is reachable, and the first that applies is named.

use std::collections::BTreeMap;

use soma_types::{
    Address, Architecture, ChainId, Commitment, ContentHash, Embedding, Epoch, Keypair, ModelId, PublicKey,
    Rejection, Salt, Seed, Shannons, Signature, SignedTransaction, SubmissionId, TargetId, Transaction,
    TransactionKind as Kind, Transcript,
    list::List,
    params::Params,
    transaction::{ModelFault, Payment, PoolId, TRANSACTION_BYTES_MAX, Verdict, Withdrawal},
    upgrade::{Ballot, PROPOSALS_MAX, ParamChange, ProtocolVersion, Upgrade},
};

use super::challenges::unsampled;
use crate::{
    simulate,
    tables::{PENDING_PROPOSALS, PendingProposal},
    testing::{
        DIM, Find, SOMA, World, address, audit_kinds, basis, challenge, commit_model, commit_model_fixed,
        created_submission, evidence, keys, propose, register, report, reveal_model, tiny, upgrade, vote,
    },
};

/// Collects the reasons met.
#[derive(Default)]
struct Seen(BTreeMap<u16, &'static str>);

impl Seen {
    fn note(&mut self, rejection: &Rejection) {
        self.0.insert(rejection.code().number(), rejection.name());
    }

    fn fail(&mut self, world: &mut World, who: u8, kind: Kind, expected: &str) {
        let rejection = world.fail(who, kind);
        assert_eq!(rejection.name(), expected);
        self.note(&rejection);
    }
}

fn transfer(amount: u64) -> Kind {
    let payments = List::new(vec![Payment {
        to: address(9),
        amount: Shannons(amount),
    }])
    .unwrap();
    Kind::Transfer { payments }
}

fn refusals(seen: &mut Seen) {
    let mut world = World::new(tiny());
    let good = Transaction {
        chain: world.genesis.chain_id(),
        sender: keys(8).public_key(),
        nonce: 0,
        expires: Epoch(10),
        max_fee: Shannons(SOMA),
        kind: transfer(1),
    };
    let signed = good.clone().sign(&keys(8));
    let verified = signed.clone().verify().unwrap();
    assert_eq!(SignedTransaction::decode(&signed.encode()), Ok(signed.clone()));
    assert_eq!(verified.hash(), signed.hash());
    assert!(simulate(&mut world.chain.state, &verified).unwrap().is_ok());

    for (bytes, name) in [
        (vec![0; TRANSACTION_BYTES_MAX + 1], "TooLarge"),
        (vec![1; 10], "Malformed"),
    ] {
        let rejection = SignedTransaction::decode(&bytes).unwrap_err();
        assert_eq!(rejection.name(), name);
        seen.note(&rejection);
    }
    let forged = good.clone().sign(&keys(7)).verify().unwrap_err();
    assert_eq!(forged, Rejection::BadSignature {});
    seen.note(&forged);

    // From here on, in order of precedence: each also has all the faults that come after it.
    let poor = Keypair::from_secret_bytes([99; 32]);
    let mut bad = Transaction {
        chain: ChainId([1; 32]),
        sender: poor.public_key(),
        nonce: 7,
        expires: Epoch(0),
        max_fee: Shannons(0),
        kind: transfer(u64::MAX),
    };
    world.until_epoch(1);
    let mut expect = |bad: &Transaction, keys: &Keypair, name: &str| {
        let verified = bad.clone().sign(keys).verify().unwrap();
        let rejection = simulate(&mut world.chain.state, &verified).unwrap().unwrap_err();
        assert_eq!(rejection.name(), name);
        assert!(rejection.is_refusal());
        seen.note(&rejection);
        // In a block it is refused, not included.
        let block = world.next_block();
        let mut state = world.chain.state.clone();
        let result = crate::execute_block(&mut state, &mut world.chain.cache, block, &[verified]);
        assert!(matches!(result, Err(crate::Error::Refused { index: 0, .. })));
    };
    expect(&bad, &poor, "WrongChain");
    bad.chain = good.chain;
    expect(&bad, &poor, "NonceAhead");
    bad.nonce = 0;
    expect(&bad, &poor, "Expired");
    bad.expires = Epoch(1);
    expect(&bad, &poor, "FeeAboveLimit");
    bad.max_fee = Shannons(SOMA);
    expect(&bad, &poor, "CannotPayFee");
    world.apply(8, transfer(1));
    let used = good.sign(&keys(8)).verify().unwrap();
    let rejection = simulate(&mut world.chain.state, &used).unwrap().unwrap_err();
    assert_eq!(
        rejection,
        Rejection::NonceUsed {
            given: 0,
            expected: 1
        }
    );
    seen.note(&rejection);
}

fn accounts_and_stake(seen: &mut Seen) {
    let mut world = World::new(tiny());
    let pool = PoolId::Validator(address(0));
    let nobody = PoolId::Validator(address(9));
    let add = |pool, amount| Kind::AddStake {
        pool,
        amount: Shannons(amount),
    };
    let withdraw = |pool, amount| Kind::WithdrawStake {
        pool,
        amount: Withdrawal::Amount(Shannons(amount)),
    };
    seen.fail(&mut world, 8, transfer(u64::MAX), "InsufficientBalance");
    seen.fail(&mut world, 8, transfer(0), "NothingToDo");
    seen.fail(
        &mut world,
        8,
        Kind::Transfer {
            payments: List::new(vec![]).unwrap(),
        },
        "NothingToDo",
    );
    seen.fail(&mut world, 8, withdraw(pool, 0), "NothingToDo");
    seen.fail(&mut world, 8, add(nobody, 1), "StakeTooSmall");
    seen.fail(&mut world, 8, add(nobody, SOMA), "NoSuchPool");
    seen.fail(&mut world, 8, withdraw(nobody, SOMA), "NoSuchPool");
    seen.fail(
        &mut world,
        8,
        add(PoolId::Model(ModelId([1; 32])), SOMA),
        "NoSuchPool",
    );
    seen.fail(&mut world, 8, add(pool, 20_000 * SOMA), "InsufficientBalance");
    seen.fail(&mut world, 8, withdraw(pool, 1), "InsufficientStake");
    seen.fail(&mut world, 0, withdraw(pool, 1), "SelfStakeTooSmall");

    let small = register(&world.genesis, 8, SOMA);
    seen.fail(&mut world, 8, small, "StakeTooSmall");
    let again = register(&world.genesis, 0, 1_000 * SOMA);
    seen.fail(&mut world, 0, again, "AlreadyValidator");
    let bad = |key| Kind::RegisterValidator {
        network_key: key,
        proof: Signature([0; 64]),
        commission: basis(0),
        stake: Shannons(1_000 * SOMA),
    };
    seen.fail(&mut world, 8, bad(PublicKey([100; 32])), "NetworkKeyTaken");
    seen.fail(&mut world, 8, bad(PublicKey([1; 32])), "BadKeyProof");
    seen.fail(&mut world, 8, Kind::LeaveValidator, "NotValidator");
    seen.fail(
        &mut world,
        8,
        Kind::SetValidatorCommission { commission: basis(0) },
        "NotValidator",
    );
    let vote = Kind::SetRentVote {
        rent_per_mib_epoch: Shannons(u64::MAX),
    };
    seen.fail(&mut world, 0, vote, "RentOutOfBounds");
    for who in 0..3 {
        world.apply(who, Kind::LeaveValidator);
    }
    seen.fail(&mut world, 3, Kind::LeaveValidator, "LastValidator");
    seen.fail(&mut world, 8, add(pool, SOMA), "PoolClosed");
}

fn models(seen: &mut Seen) {
    let mut world = World::new(tiny());
    let create = |stake, architecture| Kind::CreateModel {
        commission: basis(0),
        stake: Shannons(stake),
        architecture,
    };
    let ours = world.genesis.params.architecture;
    seen.fail(&mut world, 4, create(1, Architecture::V1), "StakeTooSmall");
    seen.fail(
        &mut world,
        4,
        create(20 * SOMA, Architecture::V1),
        "WrongArchitecture",
    );
    seen.fail(&mut world, 4, create(20_000 * SOMA, ours), "InsufficientBalance");
    let none = ModelId([1; 32]);
    seen.fail(&mut world, 4, commit_model(none, 1), "NoSuchModel");
    seen.fail(
        &mut world,
        4,
        Kind::SetModelCommission {
            model: none,
            commission: basis(0),
        },
        "NoSuchModel",
    );
    let model = world.create_model(4);
    seen.fail(&mut world, 5, Kind::DeactivateModel { model }, "NotOwner");
    let commit = |size_bytes| Kind::CommitModel {
        model,
        url: "soma:w".parse().unwrap(),
        size_bytes,
        hash: ContentHash([1; 32]),
        embedding: None,
    };
    seen.fail(&mut world, 4, commit(0), "WeightsSize");
    seen.fail(&mut world, 4, commit(u64::MAX), "WeightsSize");
    seen.fail(&mut world, 4, reveal_model(model, 1), "NothingCommitted");
    let report = Kind::ReportModel {
        model,
        fault: ModelFault::WrongKey,
    };
    seen.fail(&mut world, 8, report.clone(), "NotInCommittee");
    seen.fail(&mut world, 0, report.clone(), "NothingToReport");
    world.apply(4, commit(100));
    seen.fail(&mut world, 4, commit(100), "AlreadyCommitted");
    seen.fail(&mut world, 4, reveal_model(model, 1), "RevealTooEarly");
    world.until_epoch(1);
    let wrong = Kind::RevealModel {
        model,
        key: soma_types::DecryptionKey([1; 32]),
        embedding: Embedding::draw(&Seed([1; 32]), DIM as usize + 1),
    };
    seen.fail(&mut world, 4, wrong, "WrongDimension");
    world.apply(4, reveal_model(model, 1));
    world.apply(0, report.clone());
    seen.fail(&mut world, 0, report, "AlreadyReported");
    // Where a commit fixes the embedding, and half of an epoch is for reveals.
    let mut strict = World::new(Params {
        bound_embeddings: 1,
        weights_reveal_share: basis(5_000),
        ..tiny()
    });
    let model = strict.create_model(4);
    seen.fail(&mut strict, 4, commit_model(model, 1), "EmbeddingNotCommitted");
    strict.apply(4, commit_model_fixed(4, model, 1, 1));
    strict.until_epoch(1);
    seen.fail(&mut strict, 4, reveal_model(model, 2), "EmbeddingMismatch");
    strict.until_offset(8);
    seen.fail(&mut strict, 4, reveal_model(model, 1), "RevealTooLate");
    // Slashed below the least stake, it may not commit.
    let mut poor = World::new(soma_types::params::Params {
        model_stake_min: Shannons(20 * SOMA),
        ..tiny()
    });
    let model = poor.create_model(4);
    poor.apply(4, commit_model(model, 1));
    poor.until_epoch(2);
    seen.fail(&mut poor, 4, commit_model(model, 1), "SelfStakeTooSmall");
    world.apply(
        4,
        Kind::DeactivateModel {
            model: world_model(&world),
        },
    );
    let model = world_model(&world);
    seen.fail(&mut world, 4, commit_model(model, 1), "ModelRetired");
}

/// The first model of a world.
fn world_model(world: &World) -> ModelId {
    crate::view::model_at(&mut world.chain.state.clone(), 0)
        .unwrap()
        .unwrap()
}

fn submissions(seen: &mut Seen) {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    let commit = |target| Kind::CommitSubmission {
        target,
        commitment: Commitment([1; 32]),
    };
    seen.fail(&mut world, 8, commit(TargetId([1; 32])), "NoSuchTarget");
    let find = world.find(8, &targets[0], 1, 0);
    seen.fail(
        &mut world,
        8,
        find.reveal(SubmissionId([1; 32])),
        "NoSuchSubmission",
    );
    let id = {
        let receipts = world.block(vec![(8, find.commit())]);
        created_submission(&receipts[0])
    };
    seen.fail(&mut world, 9, find.reveal(id), "NotSubmitter");
    // A reveal in the commit's own block.
    let second = world.find(8, &targets[1], 2, 0);
    let nonce = crate::view::account(&mut world.chain.state, address(8))
        .unwrap()
        .nonce;
    let hash = world.transaction(8, nonce, second.commit()).hash();
    let receipts = world.block(vec![
        (8, second.commit()),
        (8, second.reveal(SubmissionId::created_by(&hash))),
    ]);
    assert!(receipts[0].applied());
    match &receipts[1].outcome {
        soma_types::receipt::Outcome::Failed { rejection } => {
            assert_eq!(rejection.name(), "RevealTooSoon");
            seen.note(rejection);
        }
        outcome => panic!("{outcome:?}"),
    }
    let mut other = find.clone();
    other.salt = Salt([9; 32]);
    seen.fail(&mut world, 8, other.reveal(id), "CommitmentMismatch");
    world.apply(8, find.reveal(id));
    seen.fail(&mut world, 8, find.reveal(id), "NotAwaitingReveal");
    seen.fail(&mut world, 9, commit(targets[0].id), "TargetClosed");

    // Each fault is committed to, then found at the reveal.
    let mut faulty = |name: &str, change: &dyn Fn(&mut Find)| {
        let (mut world, _) = World::with_models(tiny(), 3);
        let target = world.open_targets().remove(0);
        let mut find = world.find(8, &target, 3, 0);
        change(&mut find);
        let id = world.commit(&find);
        seen.fail(&mut world, 8, find.reveal(id), name);
    };
    faulty("WrongLossCount", &|find| {
        find.reveal.losses_nano = List::new(vec![1]).unwrap();
    });
    faulty("DataSize", &|find| find.reveal.data_size_bytes = 0);
    faulty("DataSize", &|find| find.reveal.data_size_bytes = u64::MAX);
    faulty("EmbeddingDimension", &|find| {
        find.reveal.embedding = Embedding::draw(&Seed([1; 32]), DIM as usize - 1);
    });
    faulty("CrossEntropyAboveLoss", &|find| {
        find.reveal.cross_entropy_nano = 1_000_000_001;
    });
    faulty("LossBand", &|find| find.reveal.cross_entropy_nano = 49_999_999);
    faulty("LossBand", &|find| {
        find.reveal.cross_entropy_nano = 3_500_000_001;
        find.reveal.losses_nano = List::new(vec![4_000_000_000; 3]).unwrap();
    });
    faulty("BelowThreshold", &|find| {
        let opposite = find.reveal.embedding.as_slice().iter().map(|c| -*c).collect();
        find.reveal.embedding = Embedding::from_q15(opposite).unwrap();
    });
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    world.win(8, &targets[0], 5, 0);
    let copy = world.find(9, &targets[1], 5, 0);
    let id = world.commit(&copy);
    seen.fail(&mut world, 9, copy.reveal(id), "DataNotNew");
}

fn audits(seen: &mut Seen) {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let winner = world.win(8, &target, 1, 0);
    let (commit, reveal) = audit_kinds(0, winner, Verdict::Valid, 1);
    seen.fail(&mut world, 0, commit.clone(), "NotUnderAudit");
    seen.fail(
        &mut world,
        0,
        audit_kinds(0, SubmissionId([1; 32]), Verdict::Valid, 1).0,
        "NoSuchSubmission",
    );
    world.until_epoch(3);
    seen.fail(
        &mut world,
        8,
        audit_kinds(8, winner, Verdict::Valid, 1).0,
        "NotAuditor",
    );
    world.apply(0, commit.clone());
    seen.fail(&mut world, 0, commit, "AuditAlreadyCommitted");
    seen.fail(&mut world, 0, reveal.clone(), "AuditRevealTooEarly");
    // A transcript where nothing was scored.
    let (commit, smuggled) = audit_kinds(2, winner, Verdict::DataUnavailable, 1);
    world.apply(2, commit);
    world.skip(4);
    let (late, uncommitted) = audit_kinds(1, winner, Verdict::Valid, 1);
    seen.fail(&mut world, 1, late, "AuditCommitClosed");
    seen.fail(&mut world, 1, uncommitted, "AuditNotCommitted");
    seen.fail(
        &mut world,
        0,
        audit_kinds(0, winner, Verdict::Valid, 2).1,
        "AuditMismatch",
    );
    seen.fail(&mut world, 2, smuggled, "TranscriptNotZero");
    world.apply(0, reveal.clone());
    seen.fail(&mut world, 0, reveal, "AuditAlreadyRevealed");
    assert_ne!(Transcript([1; 32]), Transcript::default());
    assert_ne!(address(0), Address::default());

    // One auditor, who accuses nobody.
    let (mut world, _) = World::with_models(
        Params {
            auditors: 1,
            ..tiny()
        },
        3,
    );
    let target = world.open_targets().remove(0);
    let winner = world.win(8, &target, 1, 0);
    world.until_epoch(3);
    world.until_offset(world.genesis.params.hearing_from());
    seen.fail(
        &mut world,
        0,
        audit_kinds(0, winner, Verdict::Valid, 1).0,
        "NoHearing",
    );
}

fn challenges(seen: &mut Seen) {
    let (mut world, _) = World::with_models(unsampled(), 3);
    let targets = world.open_targets();
    let find = world.find(8, &targets[0], 1, 0);
    let committed = world.commit(&find);
    seen.fail(&mut world, 9, challenge(committed), "NotChallengeable");
    let nothing = SubmissionId([1; 32]);
    seen.fail(&mut world, 9, challenge(nothing), "NoSuchSubmission");
    let (first, second) = (world.win(8, &targets[1], 2, 0), world.win(8, &targets[2], 3, 0));
    world.apply(9, challenge(first));
    seen.fail(&mut world, 7, challenge(first), "AlreadyChallenged");
    world.until_epoch(3);
    world.skip(4);
    seen.fail(&mut world, 9, challenge(second), "ChallengeClosed");
    world.until_epoch(4);
    seen.fail(&mut world, 9, challenge(second), "NotChallengeable");

    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let sampled = world.win(8, &target, 1, 0);
    world.until_epoch(3);
    seen.fail(&mut world, 9, challenge(sampled), "SampledAlready");
}

fn upgrades(seen: &mut Seen) {
    let mut world = World::new(tiny());
    let cheaper = [ParamChange::FeeBase(Shannons(1))];
    seen.fail(&mut world, 0, propose(upgrade(&[], 2)), "NothingToDo");
    seen.fail(&mut world, 9, propose(upgrade(&cheaper, 2)), "NotInCommittee");
    for activation in [1, 65] {
        let soon = propose(upgrade(&cheaper, activation));
        seen.fail(&mut world, 0, soon, "ActivationOutOfBounds");
    }
    let old = Upgrade {
        version: ProtocolVersion(0),
        ..upgrade(&cheaper, 2)
    };
    seen.fail(&mut world, 0, propose(old), "OldVersion");
    let unsound = propose(upgrade(&[ParamChange::EpochBlocks(0)], 2));
    seen.fail(&mut world, 0, unsound, "UnsoundParameter");
    let impossible = Upgrade {
        architecture: Some(Architecture {
            heads: 3,
            ..tiny().architecture
        }),
        ..upgrade(&[], 2)
    };
    seen.fail(&mut world, 0, propose(impossible), "UnsoundArchitecture");
    seen.fail(&mut world, 1, vote(0, Ballot::Approve), "NoSuchProposal");
    world.apply(0, propose(upgrade(&cheaper, 3)));
    seen.fail(&mut world, 0, propose(upgrade(&cheaper, 3)), "ProposalPending");
    seen.fail(&mut world, 9, vote(0, Ballot::Approve), "NotInCommittee");
    seen.fail(&mut world, 0, vote(0, Ballot::Approve), "BallotUnchanged");
    seen.fail(&mut world, 1, vote(0, Ballot::Withdraw), "BallotUnchanged");
    world.apply(1, vote(0, Ballot::Approve));
    world.apply(2, vote(0, Ballot::Approve));
    world.until_epoch(1);
    seen.fail(&mut world, 3, vote(0, Ballot::Approve), "ProposalClosed");
    let full = (0..PROPOSALS_MAX as u64).map(|index| PendingProposal {
        index,
        proposer: address(9),
    });
    PENDING_PROPOSALS.set(&mut world.chain.state, &(), &full.collect());
    seen.fail(&mut world, 0, propose(upgrade(&cheaper, 3)), "TooManyProposals");
}

fn equivocations(seen: &mut Seen) {
    let mut world = World::new(tiny());
    let kind = register(&world.genesis, 5, 1_000 * SOMA);
    world.apply(5, kind);
    world.until_epoch(4);
    for epoch in [1, 5] {
        let kind = report(evidence(&world.genesis, 5, epoch, 1, 2));
        seen.fail(&mut world, 9, kind, "EvidenceOutOfBounds");
    }
    let kind = report(evidence(&world.genesis, 5, 4, 1, 1));
    seen.fail(&mut world, 9, kind, "VotesAgree");
    let kind = report(evidence(&world.genesis, 6, 4, 1, 2));
    seen.fail(&mut world, 9, kind, "NotSeated");
    let mut forged = evidence(&world.genesis, 5, 4, 1, 2);
    forged.second.signature = forged.first.signature;
    seen.fail(&mut world, 9, report(forged), "BadVoteSignature");
    let kind = report(evidence(&world.genesis, 5, 4, 1, 2));
    world.apply(9, kind.clone());
    seen.fail(&mut world, 9, kind, "AlreadyBarred");
    world.until_epoch(8);
    let kind = register(&world.genesis, 5, 1_000 * SOMA);
    seen.fail(&mut world, 5, kind, "Barred");
}

#[test]
fn every_reason_is_reachable() {
    let mut seen = Seen::default();
    refusals(&mut seen);
    accounts_and_stake(&mut seen);
    models(&mut seen);
    submissions(&mut seen);
    audits(&mut seen);
    challenges(&mut seen);
    upgrades(&mut seen);
    equivocations(&mut seen);
    let missing: Vec<_> = Rejection::TABLE
        .iter()
        .filter(|(code, _)| !seen.0.contains_key(code))
        .collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}
