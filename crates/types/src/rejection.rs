//! Why the ledger says no. Codes are stable and never reused.
//!
//! 1xx: the transaction is *refused*: it is not included and nothing is charged. 2xx and above: it
//! *failed*: it is included, pays its fee, and changes nothing else. Within a transaction the first
//! check that fails names the reason; the checks run in the order of the codes of their section.

use std::{
    fmt,
    io::{self, Read, Write},
};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    Address, ChainId, ContentHash, Epoch, Height, ModelId, Shannons, SubmissionId, TargetId,
    upgrade::ProtocolVersion,
};

/// The stable number of a reason, which programs compare by name: `RejectionCode::NonceUsed`. One that a
/// newer ledger gives and this version does not know is one too.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    BorshSerialize,
    BorshDeserialize,
)]
#[serde(transparent)]
pub struct RejectionCode(u16);

impl RejectionCode {
    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Whether a transaction with this reason is refused: not included, nothing charged.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        self.0 < 200
    }
}

impl fmt::Display for RejectionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! rejections {
    ($( $(#[doc = $doc:literal])+ $code:literal $name:ident { $( $(#[$field_doc:meta])* $field:ident: $type:ty ),* $(,)? } $message:literal; )*) => {
        /// Why a transaction was refused (1xx) or failed (2xx and above).
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
        #[serde(tag = "reason", rename_all = "snake_case")]
        pub enum Rejection {
            $( $(#[doc = $doc])+ #[error($message)] $name { $( $(#[$field_doc])* $field: $type ),* }, )*
        }

        impl Rejection {
            /// Its stable number.
            #[must_use]
            pub const fn code(&self) -> RejectionCode {
                match self { $( Self::$name { .. } => RejectionCode::$name, )* }
            }

            /// Its stable name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $( Self::$name { .. } => stringify!($name), )* }
            }

            /// Every code and name, in order of precedence, with when it is given and what it says, its
            /// values in braces.
            pub const GUIDE: &'static [(u16, &'static str, &'static str, &'static str)] =
                &[ $( ($code, stringify!($name), concat!($($doc),+), $message), )* ];

            /// Every code and name, in order of precedence.
            pub const TABLE: &'static [(u16, &'static str)] = &[ $( ($code, stringify!($name)), )* ];
        }

        #[allow(non_upper_case_globals, reason = "a code is called as its reason is")]
        impl RejectionCode {
            $( $(#[doc = $doc])+ pub const $name: Self = Self($code); )*
        }

        /// The code, then the fields: reasons can be inserted without moving others.
        impl BorshSerialize for Rejection {
            fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
                BorshSerialize::serialize(&self.code(), writer)?;
                match self {
                    $( Self::$name { $( $field ),* } => { $( BorshSerialize::serialize($field, writer)?; )* } )*
                }
                Ok(())
            }
        }

        impl BorshDeserialize for Rejection {
            fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
                match u16::deserialize_reader(reader)? {
                    $( $code => Ok(Self::$name { $( $field: BorshDeserialize::deserialize_reader(reader)? ),* }), )*
                    unknown => Err(io::Error::new(io::ErrorKind::InvalidData, format!("unknown rejection code {unknown}"))),
                }
            }
        }
    };
}

rejections! {
    // 1xx: refused.
    /// The encoding is too long.
    100 TooLarge {
        /// Its length.
        size_bytes: u64,
        /// The most allowed.
        limit_bytes: u64,
    } "the transaction has {size_bytes} bytes, at most {limit_bytes} are allowed: split it";
    /// The bytes are no transaction.
    101 Malformed {} "the bytes are not a transaction of this protocol version: update the client";
    /// The signature is not the sender's over this transaction.
    102 BadSignature {} "the signature is not the sender's: sign the transaction with the sender's key";
    /// Made for another network.
    103 WrongChain {
        /// The transaction's.
        given: ChainId,
        /// This network's.
        expected: ChainId,
    } "the transaction is for chain {given}, this is {expected}: rebuild it for this network";
    /// Already used.
    104 NonceUsed {
        /// The transaction's.
        given: u64,
        /// The account's next.
        expected: u64,
    } "nonce {given} was already used, the next is {expected}: rebuild the transaction";
    /// Earlier transactions of the sender are missing.
    105 NonceAhead {
        /// The transaction's.
        given: u64,
        /// The account's next.
        expected: u64,
    } "nonce {given} is ahead, the next is {expected}: send the transactions in between first";
    /// Too late.
    106 Expired {
        /// The transaction's last epoch.
        expires: Epoch,
        /// The current epoch.
        now: Epoch,
    } "the transaction expired in epoch {expires}, it is epoch {now}: rebuild it";
    /// The fee is more than the sender allowed.
    107 FeeAboveLimit {
        /// The fee now.
        fee: Shannons,
        /// The sender's limit.
        max_fee: Shannons,
    } "the fee is {fee} SOMA, more than the allowed {max_fee} SOMA: raise max_fee";
    /// The sender cannot pay the fee.
    108 CannotPayFee {
        /// What the sender has.
        balance: Shannons,
        /// The fee now.
        fee: Shannons,
    } "the balance is {balance} SOMA, the fee {fee} SOMA: fund the account";

    // 2xx: accounts and stake.
    /// The sender has too little.
    200 InsufficientBalance {
        /// What the sender has after the fee.
        balance: Shannons,
        /// What the transaction needs.
        needed: Shannons,
    } "the balance after the fee is {balance} SOMA, {needed} SOMA are needed: fund the account";
    /// An amount of zero, or no payments.
    201 NothingToDo {} "there is nothing to do: give at least one payment, and amounts above zero";
    /// Less than the least stake.
    202 StakeTooSmall {
        /// What was offered.
        amount: Shannons,
        /// The least.
        minimum: Shannons,
    } "a stake of {amount} SOMA is too small, the least is {minimum} SOMA";
    /// The pool does not exist.
    203 NoSuchPool {} "there is no such staking pool: check the validator's or model's id";
    /// The pool takes no more stake.
    204 PoolClosed {} "the pool's validator left or its model was deactivated: it takes no new stake";
    /// The sender has less stake in the pool.
    205 InsufficientStake {
        /// What the sender's stake is worth.
        stake: Shannons,
        /// What was asked for.
        needed: Shannons,
    } "the stake that counts is {stake} SOMA, {needed} SOMA were asked for: withdraw all instead";
    /// An owner's own stake would fall below the least.
    206 SelfStakeTooSmall {
        /// What would remain.
        stake: Shannons,
        /// The least.
        minimum: Shannons,
    } "the owner's own stake would be {stake} SOMA, the least is {minimum} SOMA: add stake, or deactivate or leave first";

    // 25x: validators.
    /// The sender is a validator already.
    250 AlreadyValidator {} "this account is a validator already";
    /// The sender is no validator.
    251 NotValidator {} "this account is no validator: register first";
    /// Another validator uses this key.
    252 NetworkKeyTaken {} "another validator uses this network key: make a new one";
    /// The key's proof of possession is wrong.
    253 BadKeyProof {} "the proof is not the network key's signature over this chain and account: sign it anew";
    /// The last validators cannot leave.
    254 LastValidator {} "the last validator cannot leave: the network would stop";
    /// The vote is out of bounds.
    255 RentOutOfBounds {
        /// The vote.
        rate: Shannons,
        /// The most allowed.
        limit: Shannons,
    } "a rent of {rate} SOMA per MiB and epoch is out of bounds, the most is {limit} SOMA";
    /// The validator has no seat in this epoch's committee.
    256 NotInCommittee {} "this validator has no seat in this epoch's committee";
    /// Votes of an epoch whose stake is long gone, or that has not begun.
    257 EvidenceOutOfBounds {
        /// The epoch of the votes.
        given: Epoch,
        /// The oldest that counts.
        oldest: Epoch,
        /// The newest.
        newest: Epoch,
    } "votes of epoch {given} are no evidence: only those of epoch {oldest} to {newest} are";
    /// The votes are for the same block.
    258 VotesAgree {} "both votes are for the same block: that is no equivocation";
    /// The key had no seat.
    259 NotSeated {
        /// The epoch of the votes.
        epoch: Epoch,
    } "this network key had no seat in the committee of epoch {epoch}";
    /// A vote was not signed by the key.
    260 BadVoteSignature {} "a vote is not the network key's signature over this chain, epoch, view and digest";
    /// Evidence was accepted before.
    261 AlreadyBarred {} "this validator has paid for equivocating already, and lost its seat for good";
    /// The account equivocated as a validator.
    262 Barred {} "this account equivocated as a validator and cannot be one again: register another account";

    // 3xx: models.
    /// The model does not exist.
    300 NoSuchModel {
        /// The id given.
        model: ModelId,
    } "there is no model {model}";
    /// The sender does not own the model.
    301 NotOwner {
        /// Who does.
        owner: Address,
    } "the model belongs to {owner}: sign with the owner's key";
    /// The model was deactivated.
    302 ModelRetired {} "the model was deactivated for good: create another";
    /// The model has another architecture than the network.
    303 WrongArchitecture {} "the architecture is not the network's: see the network's parameters";
    /// A commitment is waiting for its reveal.
    304 AlreadyCommitted {
        /// When it was made.
        epoch: Epoch,
    } "weights were already committed in epoch {epoch}: reveal them in the next epoch first";
    /// Empty or too large weights.
    305 WeightsSize {
        /// Their length.
        size_bytes: u64,
        /// The most allowed.
        limit_bytes: u64,
    } "encrypted weights of {size_bytes} bytes: must be 1 to {limit_bytes}";
    /// There is no commitment.
    306 NothingCommitted {} "no weights are committed: commit first, reveal in the next epoch";
    /// The reveal is not due yet.
    307 RevealTooEarly {
        /// When it is.
        due: Epoch,
    } "the weights are to be revealed in epoch {due}: wait for it";
    /// The embedding has another dimension than the network's.
    308 WrongDimension {
        /// Its dimension.
        given: u32,
        /// The network's.
        expected: u32,
    } "the embedding has {given} coordinates, the network's have {expected}";
    /// No revealed weights to report.
    309 NothingToReport {} "the model has no revealed weights to report";
    /// Reported already.
    310 AlreadyReported {} "this validator has reported these weights in this epoch already";
    /// The network wants to know at the commit that the embedding is fixed.
    311 EmbeddingNotCommitted {} "the commit does not fix the embedding, and this network wants it to: commit with the embedding";
    /// The time for it is over: the commitment lapses.
    312 RevealTooLate {
        /// The last height.
        until: Height,
    } "weights were to be revealed until block {until}: what was committed lapses, commit anew";
    /// Key and embedding are not those that were committed to.
    313 EmbeddingMismatch {} "key and embedding do not open the commitment: reveal exactly what was committed";

    // 4xx: submissions.
    /// The target does not exist.
    400 NoSuchTarget {
        /// The id given.
        target: TargetId,
    } "there is no target {target}";
    /// The target takes no more commits.
    401 TargetClosed {} "the target is filled or closed: pick an open one";
    /// The submission does not exist.
    402 NoSuchSubmission {
        /// The id given.
        submission: SubmissionId,
    } "there is no submission {submission}";
    /// Another committed it.
    403 NotSubmitter {
        /// Who did.
        submitter: Address,
    } "the submission was committed by {submitter}: sign with the submitter's key";
    /// It was revealed, or is over.
    404 NotAwaitingReveal {} "the submission is not waiting for its reveal";
    /// A reveal in the block of its commit.
    405 RevealTooSoon {
        /// The first height at which it may come.
        from: Height,
    } "a reveal may come from block {from}: wait for the next block";
    /// The commitment does not open to this.
    406 CommitmentMismatch {} "salt and reveal do not open the commitment: reveal exactly what was committed";
    /// Another number of losses than models.
    407 WrongLossCount {
        /// How many were given.
        given: u32,
        /// How many models the target has.
        expected: u32,
    } "{given} losses were given, the target has {expected} models";
    /// Too little or too much data.
    408 DataSize {
        /// Its length.
        size_bytes: u64,
        /// The least allowed.
        minimum_bytes: u64,
        /// The most allowed.
        limit_bytes: u64,
    } "data of {size_bytes} bytes: must be {minimum_bytes} to {limit_bytes}";
    /// The embedding has another dimension than the network's.
    409 EmbeddingDimension {
        /// Its dimension.
        given: u32,
        /// The network's.
        expected: u32,
    } "the embedding has {given} coordinates, the network's have {expected}";
    /// The cross entropy is above the winner's loss.
    410 CrossEntropyAboveLoss {
        /// The claimed cross entropy.
        cross_entropy_nano: u64,
        /// The claimed loss.
        loss_nano: u64,
    } "a cross entropy of {cross_entropy_nano} nano-nats exceeds the winning loss of {loss_nano}";
    /// The data is noise or filler.
    411 LossBand {
        /// The claimed cross entropy.
        cross_entropy_nano: u64,
        /// The least.
        min_nano: u64,
        /// The most.
        max_nano: u64,
    } "a winning cross entropy of {cross_entropy_nano} nano-nats is outside [{min_nano}, {max_nano}]: noise and filler never pay";
    /// Too far from the target.
    412 BelowThreshold {
        /// The dot product of embedding and target, in Q30.
        dot_q30: i64,
        /// The least that was asked when it was committed, in Q30.
        threshold_q30: i64,
    } "the similarity is {dot_q30}/2^30, the target needs {threshold_q30}/2^30: find closer data";
    /// The data has won before, or an earlier commit claims it.
    413 DataNotNew {
        /// The data's hash.
        hash: ContentHash,
        /// Who was first.
        submission: SubmissionId,
    } "the data {hash} already belongs to submission {submission}: submit new data";

    // 5xx: audits.
    /// Not a winner of the last epoch, or not in the sample.
    500 NotUnderAudit {} "the submission is not under audit in this epoch";
    /// Not one of those who vote on it.
    501 NotAuditor {} "this account was not drawn to audit the submission, or has no seat in its hearing";
    /// The commit phase is over.
    502 AuditCommitClosed {
        /// The last height.
        until: Height,
    } "audits are committed until block {until} of this epoch";
    /// Committed already.
    503 AuditAlreadyCommitted {} "this auditor has committed already";
    /// The reveal phase has not begun.
    504 AuditRevealTooEarly {
        /// The first height.
        from: Height,
    } "audits are revealed from block {from}: wait, or others could copy";
    /// Not committed.
    505 AuditNotCommitted {} "this auditor has committed nothing to reveal";
    /// Revealed already.
    506 AuditAlreadyRevealed {} "this auditor has revealed already";
    /// The commitment does not open to this.
    507 AuditMismatch {} "salt, verdict and transcript do not open the commitment";
    /// A transcript where there can be none.
    508 TranscriptNotZero {} "a verdict without scoring has an all-zero transcript";
    /// No winner, or settled already.
    509 NotChallengeable {} "only a winner of this epoch or the last can be challenged";
    /// Too late to be audited.
    510 ChallengeClosed {
        /// The first height at which it was too late.
        from: Height,
    } "from block {from} on the last epoch's winners cannot be challenged: their auditors are drawn";
    /// Drawn for an audit already.
    511 SampledAlready {} "the winner is in the sample: it is audited anyway";
    /// Another was first.
    512 AlreadyChallenged {
        /// Who challenged it.
        challenger: Address,
    } "the winner was challenged by {challenger} already";
    /// The auditors' votes are closed, and the committee is not called upon.
    513 NoHearing {
        /// The first height at which they were closed.
        from: Height,
    } "from block {from} on only winners that their auditors accused are audited: this one was not";

    // 6xx: upgrades.
    /// Too soon or too far ahead.
    600 ActivationOutOfBounds {
        /// The epoch given.
        given: Epoch,
        /// The earliest.
        earliest: Epoch,
        /// The latest.
        latest: Epoch,
    } "an activation in epoch {given} is out of bounds: choose epoch {earliest} to {latest}";
    /// Older rules than those in force.
    601 OldVersion {
        /// The version given.
        given: ProtocolVersion,
        /// The one in force.
        current: ProtocolVersion,
    } "protocol version {given} is older than {current}, which is in force";
    /// A parameter would be out of bounds.
    602 UnsoundParameter {
        /// The parameter.
        name: String,
        /// Its value.
        value: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    } "parameter {name} would be {value}, must be {min} to {max}";
    /// The architecture makes no sense.
    603 UnsoundArchitecture {} "the architecture's dimensions do not fit together or are out of bounds";
    /// The proposer has one under way.
    604 ProposalPending {
        /// The proposal's number.
        proposal: u64,
    } "this validator's proposal {proposal} is under way: wait until it is decided";
    /// There is no room.
    605 TooManyProposals {
        /// The most at a time.
        limit: u32,
    } "there are {limit} proposals under way: wait until some are decided";
    /// The proposal does not exist.
    606 NoSuchProposal {
        /// The number given.
        proposal: u64,
    } "there is no proposal {proposal}";
    /// It is scheduled, in force, or over.
    607 ProposalClosed {} "the proposal is decided: it takes no more votes";
    /// The vote changes nothing.
    608 BallotUnchanged {} "this validator has voted so already";
}

impl Rejection {
    /// Whether a transaction with this reason is refused: not included, nothing charged.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        self.code().is_refusal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes and names are public; this table may only grow.
    #[test]
    fn the_table_is_pinned() {
        let pinned: Vec<String> = Rejection::TABLE
            .iter()
            .map(|(code, name)| format!("{code} {name}"))
            .collect();
        insta::assert_snapshot!(pinned.join("\n"));
        assert!(
            Rejection::TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "codes ascend"
        );
        assert!(Rejection::Malformed {}.is_refusal());
        assert!(!Rejection::NothingToDo {}.is_refusal());
    }

    /// `docs/rejections.md`, made from the code.
    fn document() -> String {
        let mut text = String::from(
            "# Why the ledger says no\n\n\
             Made from `crates/types/src/rejection.rs`; a test keeps it so (`SOMA_UPDATE_DOCS=1 cargo nextest run -p \
             soma-types documented` writes it anew).\n\n\
             Codes are stable and never reused. **1xx: refused.** The transaction is not included, nothing is \
             charged. **2xx and above: failed.** It is included, pays its fee, uses up its nonce, and changes nothing \
             else; the receipt names the reason.\n\n\
             **Precedence.** 1xx in the order of the table, each before any of 2xx and above. Then the first check of \
             the transaction that fails: the checks of a section run in the order of its codes, and the balance (200) \
             is looked at last, once all else is in order. Three look at something else first: a withdrawal at the pool \
             (203) before the amount (201); a reveal of a submission at whose it is and when (402 to 405) before its \
             target (401); a commit of weights at the owner's stake (206) after the model (3xx). What stands in braces is a value of the case at hand; the \
             part after the colon says what to do.\n",
        );
        let mut section = 0;
        for (code, name, when, says) in Rejection::GUIDE {
            if code / 100 != section {
                section = code / 100;
                let title = match section {
                    1 => "1xx: refused",
                    2 => "2xx: accounts, stake and validators",
                    3 => "3xx: models",
                    4 => "4xx: targets and submissions",
                    5 => "5xx: audits and challenges",
                    _ => "6xx: upgrades",
                };
                text += &format!("\n## {title}\n| code | name | when | what it says |\n|---|---|---|---|\n");
            }
            text += &format!("| {code} | `{name}` | {} | {says} |\n", when.trim());
        }
        text
    }

    #[test]
    fn every_code_is_documented() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rejections.md");
        if std::env::var_os("SOMA_UPDATE_DOCS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        assert!(
            written == document(),
            "docs/rejections.md is out of date: see its first paragraph"
        );
        assert_eq!(Rejection::GUIDE.len(), Rejection::TABLE.len());
    }

    #[test]
    fn json_names_the_reason() {
        let rejection = Rejection::NonceUsed {
            given: 1,
            expected: 2,
        };
        let json = serde_json::to_string(&rejection).unwrap();
        assert_eq!(json, r#"{"reason":"nonce_used","given":1,"expected":2}"#);
        assert_eq!(
            (rejection.code(), rejection.code().number()),
            (RejectionCode::NonceUsed, 104)
        );
        let bytes = borsh::to_vec(&rejection).unwrap();
        assert_eq!(bytes[..2], 104_u16.to_le_bytes());
        assert_eq!(borsh::from_slice::<Rejection>(&bytes).unwrap(), rejection);
        assert!(borsh::from_slice::<Rejection>(&[0, 0]).is_err());
        assert_eq!(
            rejection.to_string(),
            "nonce 1 was already used, the next is 2: rebuild the transaction"
        );
    }
}
