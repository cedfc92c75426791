//! Paying and staking.

use soma_types::{
    Receipt, Shannons, TransactionKind,
    list::List,
    transaction::{Payment, PoolId, Withdrawal},
};

use crate::{account::Account, error::ClientError};

impl Account {
    /// Pays others, and [`Params::account_price`](soma_types::params::Params::account_price) for each who has
    /// no account yet.
    ///
    /// # Errors
    /// When there are too many payments; when the ledger says no ([`ClientError::rejection_code`]), or how it
    /// ended did not become known ([`ClientError::is_unknown`]).
    pub async fn transfer(&self, payments: Vec<Payment>) -> Result<Receipt, ClientError> {
        let payments = List::new(payments).map_err(|error| ClientError::Argument(error.to_string()))?;
        self.execute(TransactionKind::Transfer { payments }).await
    }

    /// Adds stake to a pool; it counts from the next epoch.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn add_stake(&self, pool: PoolId, amount: Shannons) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::AddStake { pool, amount }).await
    }

    /// Takes stake out of a pool; it unbonds first.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn withdraw_stake(&self, pool: PoolId, amount: Withdrawal) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::WithdrawStake { pool, amount })
            .await
    }
}
