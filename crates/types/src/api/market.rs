//! Models, targets and submissions.

use serde::{Deserialize, Serialize};

use crate::{
    Address, ContentHash, DecryptionKey, Embedding, Epoch, SubmissionId, Url,
    objects::{AuditOutcome, AuditStage, AuditVote, Model, Pool, Submission, Target},
};

answers! {
    /// A model.
    pub struct ModelView {
        /// What the ledger knows of it.
        #[serde(flatten)]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub model: Model,
        /// Its pool.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub pool: Pool,
        /// Where it specialises: of the weights it competes with, or of those about to take over.
        pub embedding: Option<Embedding>,
    }

    /// Weights that a model has or had, from their commit on.
    pub struct GenerationView {
        /// Its place among the model's, from 0.
        pub index: u64,
        /// When they were committed.
        pub committed: Epoch,
        /// Where their owner said the encrypted file is.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub url: Url,
        /// Its length in bytes.
        pub size_bytes: u64,
        /// Its BLAKE3.
        pub hash: ContentHash,
        /// Decrypts it; none before the reveal.
        pub key: Option<DecryptionKey>,
        /// Where they specialise; none before the reveal.
        pub embedding: Option<Embedding>,
        /// The first epoch in which they competed.
        pub active_from: Option<Epoch>,
        /// The last, once they do no more.
        pub active_until: Option<Epoch>,
    }

    /// A target.
    pub struct TargetView {
        /// What the ledger knows of it.
        #[serde(flatten)]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub target: Target,
        /// Drawn from its seed.
        pub embedding: Embedding,
        /// The least dot product with `embedding`, in Q30, of what is committed now: the target's own
        /// threshold, or the one in force where that is lower.
        pub commit_threshold_q30: i64,
        /// Whether its epoch is in progress: one that is neither filled nor of this epoch is closed.
        pub current: bool,
    }

    /// One auditor's work on a submission, in one stage of its audit.
    pub struct AuditView {
        /// The stage: `drawn` or `hearing`.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub stage: AuditStage,
        /// Whose vote it is.
        pub auditor: Address,
        /// Its steps so far.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub vote: AuditVote,
    }

    /// A submission.
    pub struct SubmissionView {
        /// What the ledger knows of it.
        #[serde(flatten)]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub submission: Submission,
        /// The winning model's embedding of its data, from the reveal until it is settled.
        pub embedding: Option<Embedding>,
        /// The stage of its audit, while votes are taken: `drawn`, or `hearing` once its auditors accused it
        /// and the whole committee votes.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        pub audit_stage: Option<AuditStage>,
        /// Whose votes are taken in that stage.
        pub auditors: Vec<Address>,
        /// What auditors did, until its outcome replaces it.
        pub audits: Vec<AuditView>,
        /// How its audit ended.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub audit_outcome: Option<AuditOutcome>,
    }

    /// Data that is someone's: it was revealed, and has won or may still win.
    pub struct DataView {
        /// Its BLAKE3.
        pub hash: ContentHash,
        /// The submission that revealed it.
        pub submission: SubmissionId,
        /// Whether it has won, so that it is never new again.
        pub won: bool,
    }
}

impl SubmissionView {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> SubmissionId {
        self.submission.id
    }
}
