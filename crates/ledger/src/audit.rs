//! The audit of winners (docs/protocol.md, section 8): who votes on them, and what the votes come to.
//!
//! In epoch E + 1 a sample of E's winners is audited, and those that someone challenged. The sample and its
//! auditors are functions of E + 1's seed and committee, so nothing is stored until someone votes. The
//! auditors of challenged winners are drawn from a later seed: see `challenges`. In an epoch's first
//! `audit_commit_blocks` auditors *commit* to verdict and transcript, in the next `audit_reveal_blocks` they
//! *reveal*. Where they are mostly of the opinion that the winner must not stand, the whole committee
//! decides: see `hearing`. When E's rewards are paid, in E + 2, the votes are counted: the finding (verdict
//! and transcript) of more than half of the voters' stake counts; without one the winner stands.
//!
//! **Failures.** Silent and dissenting auditors forfeit. A lazy one cannot guess the transcript, which
//! covers embeddings that were never published, and cannot copy it, since commitments bind the auditor.

pub(crate) mod challenges;
pub(crate) mod count;
pub(crate) mod draw;
mod findings;
pub(crate) mod hearing;
mod votes;
