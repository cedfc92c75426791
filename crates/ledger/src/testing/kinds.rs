//! Who sends what in the tests' network: keys, and transactions with the usual contents.

use soma_types::{
    Address, BlockHash, ContentHash, DecryptionKey, Embedding, Epoch, Keypair, ModelId, Salt, Seed, Shannons,
    SubmissionId, TransactionKind as Kind, Transcript,
    equivocation::{Equivocation, SignedDigest},
    genesis::Genesis,
    list::List,
    objects::embedding_commitment,
    transaction::{BasisPoints, VALIDATOR_KEY_NAMESPACE, Verdict, validator_key_message},
    upgrade::{Ballot, PROTOCOL_VERSION, ParamChange, Upgrade},
};

use super::rules::DIM;

/// The keys of account `who`. 0 to 3 are the validators of genesis.
#[must_use]
pub fn keys(who: u8) -> Keypair {
    Keypair::from_secret_bytes([who + 1; 32])
}

/// The address of account `who`.
#[must_use]
pub fn address(who: u8) -> Address {
    keys(who).address()
}

/// A share in basis points.
#[must_use]
pub fn basis(points: u16) -> BasisPoints {
    BasisPoints::new(points).unwrap()
}

/// The network key of `who`, if it registers as [`register`] says. Nobody has those of genesis.
fn network_keys(who: u8) -> Keypair {
    keys(who + 200)
}

/// Commits a model's owner to weights with this content.
#[must_use]
pub fn commit_model(model: ModelId, content: u8) -> Kind {
    Kind::CommitModel {
        model,
        url: "soma:weights".parse().unwrap(),
        size_bytes: 1 << 20,
        hash: ContentHash([content; 32]),
        embedding: None,
    }
}

/// Commits as [`commit_model`] does, and to what [`reveal_model`] of `who` shows for this direction.
#[must_use]
pub fn commit_model_fixed(who: u8, model: ModelId, content: u8, direction: u8) -> Kind {
    let (key, embedding) = shown(direction);
    let mut kind = commit_model(model, content);
    if let Kind::CommitModel { embedding: fixed, .. } = &mut kind {
        *fixed = Some(embedding_commitment(&address(who), &key, &embedding));
    }
    kind
}

/// The key and embedding of a direction.
fn shown(direction: u8) -> (DecryptionKey, Embedding) {
    let embedding = Embedding::draw(&Seed([direction; 32]), DIM as usize);
    (DecryptionKey([direction; 32]), embedding)
}

/// Reveals a model's weights, which point in this direction.
#[must_use]
pub fn reveal_model(model: ModelId, direction: u8) -> Kind {
    let (key, embedding) = shown(direction);
    Kind::RevealModel {
        model,
        key,
        embedding,
    }
}

/// The two steps of an audit by `who`.
#[must_use]
pub fn audit_kinds(who: u8, submission: SubmissionId, verdict: Verdict, transcript: u8) -> (Kind, Kind) {
    let (salt, transcript) = (Salt([who; 32]), Transcript([transcript; 32]));
    let commitment = verdict.commitment(&address(who), &submission, &transcript, &salt);
    (
        Kind::CommitAudit {
            submission,
            commitment,
        },
        Kind::RevealAudit {
            submission,
            salt,
            verdict,
            transcript,
        },
    )
}

/// Demands the audit of a winner.
#[must_use]
pub const fn challenge(submission: SubmissionId) -> Kind {
    Kind::ChallengeSubmission { submission }
}

/// A registration of `who` with a good proof of possession.
#[must_use]
pub fn register(genesis: &Genesis, who: u8, stake: u64) -> Kind {
    let network = network_keys(who);
    let message = validator_key_message(&genesis.chain_id(), &address(who));
    Kind::RegisterValidator {
        network_key: network.public_key(),
        proof: network.sign(VALIDATOR_KEY_NAMESPACE, &message),
        commission: basis(500),
        stake: Shannons(stake),
    }
}

/// Votes of validator `who`, registered with [`register`], for the digests `first` and `second`.
#[must_use]
pub fn evidence(genesis: &Genesis, who: u8, epoch: u64, first: u8, second: u8) -> Equivocation {
    let (network, chain) = (network_keys(who), genesis.chain_id());
    let vote = |digest: u8| SignedDigest::sign(&network, &chain, Epoch(epoch), 7, BlockHash([digest; 32]));
    Equivocation {
        network_key: network.public_key(),
        epoch: Epoch(epoch),
        view: 7,
        first: vote(first),
        second: vote(second),
    }
}

/// Reports an equivocation.
#[must_use]
pub const fn report(evidence: Equivocation) -> Kind {
    Kind::ReportEquivocation { evidence }
}

/// These changes of parameters, from the epoch `activation` on.
#[must_use]
pub fn upgrade(changes: &[ParamChange], activation: u64) -> Upgrade {
    Upgrade {
        version: PROTOCOL_VERSION,
        architecture: None,
        params: List::new(changes.to_vec()).unwrap(),
        activation: Epoch(activation),
    }
}

/// Proposes an upgrade.
#[must_use]
pub const fn propose(upgrade: Upgrade) -> Kind {
    Kind::ProposeUpgrade { upgrade }
}

/// Votes on a proposal.
#[must_use]
pub const fn vote(proposal: u64, ballot: Ballot) -> Kind {
    Kind::VoteUpgrade { proposal, ballot }
}

/// A verdict by its number, modulo four.
#[must_use]
pub const fn verdict(number: u8) -> Verdict {
    [
        Verdict::Valid,
        Verdict::DataUnavailable,
        Verdict::HashMismatch,
        Verdict::FalseScore,
    ][number as usize % 4]
}
