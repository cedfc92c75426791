//! The only code that moves money: always out of one bucket into another, so their sum cannot change.

use soma_types::{Address, Rejection, Shannons, objects::Account, transaction::Payment};

use crate::{
    error::{Broken, OrBroken, Stop},
    ledger::Ledger,
    tables::ACCOUNTS,
};

/// A place where money is. Every shannon is in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bucket {
    Balances,
    Pools,
    Pending,
    Unbonding,
    Bonds,
    Deposits,
    RewardPool,
    Reserved,
    Fees,
    Rent,
    Emission,
    Burned,
}

impl Ledger<'_> {
    /// Moves `amount` between buckets. The sum of all buckets stays what it was.
    pub(crate) fn shift(&mut self, from: Bucket, to: Bucket, amount: Shannons) -> Result<(), Broken> {
        let source = self.bucket(from);
        *source = source
            .checked_sub(amount)
            .or_broken("a supply total went below zero")?;
        let sink = self.bucket(to);
        *sink = sink.checked_add(amount).or_broken("a supply total overflowed")?;
        Ok(())
    }

    fn bucket(&mut self, bucket: Bucket) -> &mut Shannons {
        let supply = &mut self.hot.supply;
        match bucket {
            Bucket::Balances => &mut supply.balances,
            Bucket::Pools => &mut supply.pools,
            Bucket::Pending => &mut supply.pending,
            Bucket::Unbonding => &mut supply.unbonding,
            Bucket::Bonds => &mut supply.bonds,
            Bucket::Deposits => &mut supply.deposits,
            Bucket::RewardPool => &mut supply.reward_pool,
            Bucket::Reserved => &mut supply.reserved,
            Bucket::Fees => &mut supply.fees,
            Bucket::Rent => &mut supply.rent,
            Bucket::Emission => &mut supply.emission,
            Bucket::Burned => &mut supply.burned,
        }
    }

    /// An account, all zeros if it was never used.
    pub(crate) fn account(&mut self, address: &Address) -> Result<Account, Stop> {
        Ok(self.get(&ACCOUNTS, address)?.unwrap_or_default())
    }

    /// Pays `amount` out of `from` to `address`.
    pub(crate) fn credit(&mut self, address: &Address, amount: Shannons, from: Bucket) -> Result<(), Stop> {
        if amount.is_zero() {
            return Ok(());
        }
        let mut account = self.account(address)?;
        account.balance = account
            .balance
            .checked_add(amount)
            .or_broken("a balance overflowed")?;
        self.set(&ACCOUNTS, address, &account);
        Ok(self.shift(from, Bucket::Balances, amount)?)
    }

    /// Takes `amount` from `address` into `to`.
    pub(crate) fn debit(&mut self, address: &Address, amount: Shannons, to: Bucket) -> Result<(), Stop> {
        if amount.is_zero() {
            return Ok(());
        }
        let mut account = self.account(address)?;
        account.balance = account
            .balance
            .checked_sub(amount)
            .ok_or(Rejection::InsufficientBalance {
                balance: account.balance,
                needed: amount,
            })?;
        self.set(&ACCOUNTS, address, &account);
        Ok(self.shift(Bucket::Balances, to, amount)?)
    }

    /// Takes a fee of the epoch from `account`, which covers it. Whoever calls stores the account.
    pub(crate) fn charge(&mut self, account: &mut Account, fee: Shannons) -> Result<(), Broken> {
        account.balance = account
            .balance
            .checked_sub(fee)
            .or_broken("a fee was not covered")?;
        let fees = self.hot.now.fees.checked_add(fee);
        self.hot.now.fees = fees.or_broken("fees overflowed")?;
        self.shift(Bucket::Balances, Bucket::Fees, fee)
    }

    /// Makes `payments` out of the `account` of `sender`, which covers them, and stores it.
    pub(crate) fn pay(
        &mut self,
        sender: &Address,
        mut account: Account,
        payments: &[Payment],
    ) -> Result<(), Stop> {
        for payment in payments {
            account.balance = account
                .balance
                .checked_sub(payment.amount)
                .or_broken("a payment was not covered")?;
        }
        self.set(&ACCOUNTS, sender, &account);
        for payment in payments {
            self.credit(&payment.to, payment.amount, Bucket::Balances)?;
        }
        Ok(())
    }

    /// Sends `amount` of `from` to the reward pool as a forfeit.
    pub(crate) fn forfeit(&mut self, amount: Shannons, from: Bucket) -> Result<(), Broken> {
        self.hot.now.forfeits = self
            .hot
            .now
            .forfeits
            .checked_add(amount)
            .or_broken("forfeits overflowed")?;
        self.shift(from, Bucket::RewardPool, amount)
    }
}
