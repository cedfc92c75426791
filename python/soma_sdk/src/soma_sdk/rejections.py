"""Why the ledger says no: a class for each reason.

Made from the ledger's own table, which a test holds it to. Codes are stable and never reused. Below
200 the transaction was refused: not included, nothing paid. From 200 on it was included, paid its fee
and changed nothing else; a client asks first, so that this is rare.
"""

from soma_sdk.errors import RejectedError


class TooLarge(RejectedError):
    """The encoding is too long.

    "the transaction has {size_bytes} bytes, at most {limit_bytes} are allowed: split it"
    """

    code = 100
    name = "TooLarge"


class Malformed(RejectedError):
    """The bytes are no transaction.

    "the bytes are not a transaction of this protocol version: update the client"
    """

    code = 101
    name = "Malformed"


class BadSignature(RejectedError):
    """The signature is not the sender's over this transaction.

    "the signature is not the sender's: sign the transaction with the sender's key"
    """

    code = 102
    name = "BadSignature"


class WrongChain(RejectedError):
    """Made for another network.

    "the transaction is for chain {given}, this is {expected}: rebuild it for this network"
    """

    code = 103
    name = "WrongChain"


class NonceUsed(RejectedError):
    """Already used.

    "nonce {given} was already used, the next is {expected}: rebuild the transaction"
    """

    code = 104
    name = "NonceUsed"


class NonceAhead(RejectedError):
    """Earlier transactions of the sender are missing.

    "nonce {given} is ahead, the next is {expected}: send the transactions in between first"
    """

    code = 105
    name = "NonceAhead"


class Expired(RejectedError):
    """Too late.

    "the transaction expired in epoch {expires}, it is epoch {now}: rebuild it"
    """

    code = 106
    name = "Expired"


class FeeAboveLimit(RejectedError):
    """The fee is more than the sender allowed.

    "the fee is {fee} SOMA, more than the allowed {max_fee} SOMA: raise max_fee"
    """

    code = 107
    name = "FeeAboveLimit"


class CannotPayFee(RejectedError):
    """The sender cannot pay the fee.

    "the balance is {balance} SOMA, the fee {fee} SOMA: fund the account"
    """

    code = 108
    name = "CannotPayFee"


class InsufficientBalance(RejectedError):
    """The sender has too little.

    "the balance after the fee is {balance} SOMA, {needed} SOMA are needed: fund the account"
    """

    code = 200
    name = "InsufficientBalance"


class NothingToDo(RejectedError):
    """An amount of zero, or no payments.

    "there is nothing to do: give at least one payment, and amounts above zero"
    """

    code = 201
    name = "NothingToDo"


class StakeTooSmall(RejectedError):
    """Less than the least stake.

    "a stake of {amount} SOMA is too small, the least is {minimum} SOMA"
    """

    code = 202
    name = "StakeTooSmall"


class NoSuchPool(RejectedError):
    """The pool does not exist.

    "there is no such staking pool: check the validator's or model's id"
    """

    code = 203
    name = "NoSuchPool"


class PoolClosed(RejectedError):
    """The pool takes no more stake.

    "the pool's validator left or its model was deactivated: it takes no new stake"
    """

    code = 204
    name = "PoolClosed"


class InsufficientStake(RejectedError):
    """The sender has less stake in the pool.

    "the stake that counts is {stake} SOMA, {needed} SOMA were asked for: withdraw all instead"
    """

    code = 205
    name = "InsufficientStake"


class SelfStakeTooSmall(RejectedError):
    """An owner's own stake would fall below the least.

    "the owner's own stake would be {stake} SOMA, the least is {minimum} SOMA: add stake, or deactivate or leave first"
    """

    code = 206
    name = "SelfStakeTooSmall"


class AlreadyValidator(RejectedError):
    """The sender is a validator already.

    "this account is a validator already"
    """

    code = 250
    name = "AlreadyValidator"


class NotValidator(RejectedError):
    """The sender is no validator.

    "this account is no validator: register first"
    """

    code = 251
    name = "NotValidator"


class NetworkKeyTaken(RejectedError):
    """Another validator uses this key.

    "another validator uses this network key: make a new one"
    """

    code = 252
    name = "NetworkKeyTaken"


class BadKeyProof(RejectedError):
    """The key's proof of possession is wrong.

    "the proof is not the network key's signature over this chain and account: sign it anew"
    """

    code = 253
    name = "BadKeyProof"


class LastValidator(RejectedError):
    """The last validators cannot leave.

    "the last validator cannot leave: the network would stop"
    """

    code = 254
    name = "LastValidator"


class RentOutOfBounds(RejectedError):
    """The vote is out of bounds.

    "a rent of {rate} SOMA per MiB and epoch is out of bounds, the most is {limit} SOMA"
    """

    code = 255
    name = "RentOutOfBounds"


class NotInCommittee(RejectedError):
    """The validator has no seat in this epoch's committee.

    "this validator has no seat in this epoch's committee"
    """

    code = 256
    name = "NotInCommittee"


class EvidenceOutOfBounds(RejectedError):
    """Votes of an epoch whose stake is long gone, or that has not begun.

    "votes of epoch {given} are no evidence: only those of epoch {oldest} to {newest} are"
    """

    code = 257
    name = "EvidenceOutOfBounds"


class VotesAgree(RejectedError):
    """The votes are for the same block.

    "both votes are for the same block: that is no equivocation"
    """

    code = 258
    name = "VotesAgree"


class NotSeated(RejectedError):
    """The key had no seat.

    "this network key had no seat in the committee of epoch {epoch}"
    """

    code = 259
    name = "NotSeated"


class BadVoteSignature(RejectedError):
    """A vote was not signed by the key.

    "a vote is not the network key's signature over this chain, epoch, view and digest"
    """

    code = 260
    name = "BadVoteSignature"


class AlreadyBarred(RejectedError):
    """Evidence was accepted before.

    "this validator has paid for equivocating already, and lost its seat for good"
    """

    code = 261
    name = "AlreadyBarred"


class Barred(RejectedError):
    """The account equivocated as a validator.

    "this account equivocated as a validator and cannot be one again: register another account"
    """

    code = 262
    name = "Barred"


class NoSuchModel(RejectedError):
    """The model does not exist.

    "there is no model {model}"
    """

    code = 300
    name = "NoSuchModel"


class NotOwner(RejectedError):
    """The sender does not own the model.

    "the model belongs to {owner}: sign with the owner's key"
    """

    code = 301
    name = "NotOwner"


class ModelRetired(RejectedError):
    """The model was deactivated.

    "the model was deactivated for good: create another"
    """

    code = 302
    name = "ModelRetired"


class WrongArchitecture(RejectedError):
    """The model has another architecture than the network.

    "the architecture is not the network's: see the network's parameters"
    """

    code = 303
    name = "WrongArchitecture"


class AlreadyCommitted(RejectedError):
    """A commitment is waiting for its reveal.

    "weights were already committed in epoch {epoch}: reveal them in the next epoch first"
    """

    code = 304
    name = "AlreadyCommitted"


class WeightsSize(RejectedError):
    """Empty or too large weights.

    "encrypted weights of {size_bytes} bytes: must be 1 to {limit_bytes}"
    """

    code = 305
    name = "WeightsSize"


class NothingCommitted(RejectedError):
    """There is no commitment.

    "no weights are committed: commit first, reveal in the next epoch"
    """

    code = 306
    name = "NothingCommitted"


class RevealTooEarly(RejectedError):
    """The reveal is not due yet.

    "the weights are to be revealed in epoch {due}: wait for it"
    """

    code = 307
    name = "RevealTooEarly"


class WrongDimension(RejectedError):
    """The embedding has another dimension than the network's.

    "the embedding has {given} coordinates, the network's have {expected}"
    """

    code = 308
    name = "WrongDimension"


class NothingToReport(RejectedError):
    """No revealed weights to report.

    "the model has no revealed weights to report"
    """

    code = 309
    name = "NothingToReport"


class AlreadyReported(RejectedError):
    """Reported already.

    "this validator has reported these weights in this epoch already"
    """

    code = 310
    name = "AlreadyReported"


class EmbeddingNotCommitted(RejectedError):
    """The network wants to know at the commit that the embedding is fixed.

    "the commit does not fix the embedding, and this network wants it to: commit with the embedding"
    """

    code = 311
    name = "EmbeddingNotCommitted"


class RevealTooLate(RejectedError):
    """The time for it is over: the commitment lapses.

    "weights were to be revealed until block {until}: what was committed lapses, commit anew"
    """

    code = 312
    name = "RevealTooLate"


class EmbeddingMismatch(RejectedError):
    """Key and embedding are not those that were committed to.

    "key and embedding do not open the commitment: reveal exactly what was committed"
    """

    code = 313
    name = "EmbeddingMismatch"


class NoSuchTarget(RejectedError):
    """The target does not exist.

    "there is no target {target}"
    """

    code = 400
    name = "NoSuchTarget"


class TargetClosed(RejectedError):
    """The target takes no more commits.

    "the target is filled or closed: pick an open one"
    """

    code = 401
    name = "TargetClosed"


class NoSuchSubmission(RejectedError):
    """The submission does not exist.

    "there is no submission {submission}"
    """

    code = 402
    name = "NoSuchSubmission"


class NotSubmitter(RejectedError):
    """Another committed it.

    "the submission was committed by {submitter}: sign with the submitter's key"
    """

    code = 403
    name = "NotSubmitter"


class NotAwaitingReveal(RejectedError):
    """It was revealed, or is over.

    "the submission is not waiting for its reveal"
    """

    code = 404
    name = "NotAwaitingReveal"


class RevealTooSoon(RejectedError):
    """A reveal in the block of its commit.

    "a reveal may come from block {from}: wait for the next block"
    """

    code = 405
    name = "RevealTooSoon"


class CommitmentMismatch(RejectedError):
    """The commitment does not open to this.

    "salt and reveal do not open the commitment: reveal exactly what was committed"
    """

    code = 406
    name = "CommitmentMismatch"


class WrongLossCount(RejectedError):
    """Another number of losses than models.

    "{given} losses were given, the target has {expected} models"
    """

    code = 407
    name = "WrongLossCount"


class DataSize(RejectedError):
    """Too little or too much data.

    "data of {size_bytes} bytes: must be {minimum_bytes} to {limit_bytes}"
    """

    code = 408
    name = "DataSize"


class EmbeddingDimension(RejectedError):
    """The embedding has another dimension than the network's.

    "the embedding has {given} coordinates, the network's have {expected}"
    """

    code = 409
    name = "EmbeddingDimension"


class CrossEntropyAboveLoss(RejectedError):
    """The cross entropy is above the winner's loss.

    "a cross entropy of {cross_entropy_nano} nano-nats exceeds the winning loss of {loss_nano}"
    """

    code = 410
    name = "CrossEntropyAboveLoss"


class LossBand(RejectedError):
    """The data is noise or filler.

    "a winning cross entropy of {cross_entropy_nano} nano-nats is outside [{min_nano}, {max_nano}]: noise and filler never pay"
    """

    code = 411
    name = "LossBand"


class BelowThreshold(RejectedError):
    """Too far from the target.

    "the similarity is {dot_q30}/2^30, the target needs {threshold_q30}/2^30: find closer data"
    """

    code = 412
    name = "BelowThreshold"


class DataNotNew(RejectedError):
    """The data has won before, or an earlier commit claims it.

    "the data {hash} already belongs to submission {submission}: submit new data"
    """

    code = 413
    name = "DataNotNew"


class NotUnderAudit(RejectedError):
    """Not a winner of the last epoch, or not in the sample.

    "the submission is not under audit in this epoch"
    """

    code = 500
    name = "NotUnderAudit"


class NotAuditor(RejectedError):
    """Not one of those who vote on it.

    "this account was not drawn to audit the submission, or has no seat in its hearing"
    """

    code = 501
    name = "NotAuditor"


class AuditCommitClosed(RejectedError):
    """The commit phase is over.

    "audits are committed until block {until} of this epoch"
    """

    code = 502
    name = "AuditCommitClosed"


class AuditAlreadyCommitted(RejectedError):
    """Committed already.

    "this auditor has committed already"
    """

    code = 503
    name = "AuditAlreadyCommitted"


class AuditRevealTooEarly(RejectedError):
    """The reveal phase has not begun.

    "audits are revealed from block {from}: wait, or others could copy"
    """

    code = 504
    name = "AuditRevealTooEarly"


class AuditNotCommitted(RejectedError):
    """Not committed.

    "this auditor has committed nothing to reveal"
    """

    code = 505
    name = "AuditNotCommitted"


class AuditAlreadyRevealed(RejectedError):
    """Revealed already.

    "this auditor has revealed already"
    """

    code = 506
    name = "AuditAlreadyRevealed"


class AuditMismatch(RejectedError):
    """The commitment does not open to this.

    "salt, verdict and transcript do not open the commitment"
    """

    code = 507
    name = "AuditMismatch"


class TranscriptNotZero(RejectedError):
    """A transcript where there can be none.

    "a verdict without scoring has an all-zero transcript"
    """

    code = 508
    name = "TranscriptNotZero"


class NotChallengeable(RejectedError):
    """No winner, or settled already.

    "only a winner of this epoch or the last can be challenged"
    """

    code = 509
    name = "NotChallengeable"


class ChallengeClosed(RejectedError):
    """Too late to be audited.

    "from block {from} on the last epoch's winners cannot be challenged: their auditors are drawn"
    """

    code = 510
    name = "ChallengeClosed"


class SampledAlready(RejectedError):
    """Drawn for an audit already.

    "the winner is in the sample: it is audited anyway"
    """

    code = 511
    name = "SampledAlready"


class AlreadyChallenged(RejectedError):
    """Another was first.

    "the winner was challenged by {challenger} already"
    """

    code = 512
    name = "AlreadyChallenged"


class NoHearing(RejectedError):
    """The auditors' votes are closed, and the committee is not called upon.

    "from block {from} on only winners that their auditors accused are audited: this one was not"
    """

    code = 513
    name = "NoHearing"


class ActivationOutOfBounds(RejectedError):
    """Too soon or too far ahead.

    "an activation in epoch {given} is out of bounds: choose epoch {earliest} to {latest}"
    """

    code = 600
    name = "ActivationOutOfBounds"


class OldVersion(RejectedError):
    """Older rules than those in force.

    "protocol version {given} is older than {current}, which is in force"
    """

    code = 601
    name = "OldVersion"


class UnsoundParameter(RejectedError):
    """A parameter would be out of bounds.

    "parameter {name} would be {value}, must be {min} to {max}"
    """

    code = 602
    name = "UnsoundParameter"


class UnsoundArchitecture(RejectedError):
    """The architecture makes no sense.

    "the architecture's dimensions do not fit together or are out of bounds"
    """

    code = 603
    name = "UnsoundArchitecture"


class ProposalPending(RejectedError):
    """The proposer has one under way.

    "this validator's proposal {proposal} is under way: wait until it is decided"
    """

    code = 604
    name = "ProposalPending"


class TooManyProposals(RejectedError):
    """There is no room.

    "there are {limit} proposals under way: wait until some are decided"
    """

    code = 605
    name = "TooManyProposals"


class NoSuchProposal(RejectedError):
    """The proposal does not exist.

    "there is no proposal {proposal}"
    """

    code = 606
    name = "NoSuchProposal"


class ProposalClosed(RejectedError):
    """It is scheduled, in force, or over.

    "the proposal is decided: it takes no more votes"
    """

    code = 607
    name = "ProposalClosed"


class BallotUnchanged(RejectedError):
    """The vote changes nothing.

    "this validator has voted so already"
    """

    code = 608
    name = "BallotUnchanged"


CLASSES: dict[int, type[RejectedError]] = {
    cls.code: cls
    for cls in RejectedError.__subclasses__()
    if cls.__module__ == __name__ and isinstance(cls.code, int)
}
"""Every reason by its code."""
