//! Accounts and validators.

use serde::{Deserialize, Serialize};

use crate::{
    Address, Epoch, Shannons,
    objects::{Duty, Pool, Seat, Shares, Validator},
    transaction::PoolId,
};

answers! {
    /// What one account holds in one pool.
    pub struct StakeView {
        /// The pool.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub pool: PoolId,
        /// Its shares.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub shares: Shares,
        /// The stake that counts.
        pub counting: Shannons,
        /// Added in this epoch, counting from the next.
        pub pending: Shannons,
    }

    /// Withdrawn stake that waits.
    pub struct UnbondingView {
        /// The pool it was in.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub pool: PoolId,
        /// How much; a slash of the pool for the time in which it counted still takes its part.
        pub amount: Shannons,
        /// It is released in this epoch's first blocks.
        pub release: Epoch,
    }

    /// An account.
    pub struct AccountView {
        /// Its name.
        pub address: Address,
        /// What it can spend.
        pub balance: Shannons,
        /// The nonce of its next transaction in the ledger.
        pub nonce: u64,
        /// The nonce to sign with: the next after those waiting in this node's mempool.
        pub nonce_pending: u64,
        /// Its stakes.
        pub stakes: Vec<StakeView>,
        /// What it has withdrawn and not yet got, in the order of release.
        pub unbonding: Vec<UnbondingView>,
    }

    /// A validator.
    pub struct ValidatorView {
        /// What the ledger knows of it.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub validator: Validator,
        /// Its pool.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub pool: Pool,
        /// Its seat in this epoch's committee.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub seat: Option<Seat>,
        /// What it did in this epoch.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub duty: Option<Duty>,
    }
}
