//! Models: created, published, fetched.
//!
//! Weights are published in two steps, an epoch apart. [`Account::commit_model`] encrypts them, writes the
//! key to the journal, hands the container to the node and commits to it; [`Account::reveal_model`] finds the
//! key again and reveals it. A crash between the two, or in the middle of the first, loses nothing:
//! [`Account::pending_models`] says what is still to be revealed, and [`Account::publication`] how far given
//! weights have come, so that who brings them again goes on instead of beginning anew. A commit whose caller
//! was never told is known before the next is made ([`Account::unheard_commits`]).
//!
//! [`Account::commit_model`]: crate::Account::commit_model
//! [`Account::reveal_model`]: crate::Account::reveal_model
//! [`Account::pending_models`]: crate::Account::pending_models
//! [`Account::publication`]: crate::Account::publication
//! [`Account::unheard_commits`]: crate::Account::unheard_commits

mod commit;
mod create;
mod fetch;
mod progress;
mod publication;
mod reveal;
mod unheard;

pub use self::{
    commit::Encrypted,
    fetch::FetchedWeights,
    progress::DueModel,
    publication::{CommittedModel, Publication},
    unheard::UnheardCommit,
};
