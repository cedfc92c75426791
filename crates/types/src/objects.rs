//! What the ledger stores, and what the API shows of it.

mod audit;
mod commission;
mod epoch;
mod model;
mod money;
mod stake;
mod submission;
mod target;
mod validator;

pub use audit::{AuditFinding, AuditOutcome, AuditStage, AuditVote, VoteCount};
pub use commission::Commission;
pub use epoch::{Difficulty, EpochRecord, EpochState};
pub use model::{CommittedWeights, Inactivity, Model, ModelStatus, Report, Weights, embedding_commitment};
pub use money::{Account, SupplyBreakdown};
pub use stake::{AddedStake, Pool, PoolPrice, PoolSlash, Position, Shares, Unbonding};
pub use submission::{Challenge, ChallengeEnd, DataClaim, Found, Submission, SubmissionStatus};
pub use target::{Candidate, Target, TargetStatus};
pub use validator::{Committee, Duty, Seat, Validator};
