//! Transfers (PROTOCOL.md, section 3).

use soma_types::{Address, Rejection, Shannons, event::Event, objects::Account, transaction::Payment};

use crate::{
    bank::Ledger,
    error::{OrBroken, Stop},
    tables::ACCOUNTS,
};

impl Ledger<'_> {
    /// Pays each of `payments` from `sender`, all or none.
    pub(crate) fn transfer(&mut self, sender: &Address, payments: &[Payment]) -> Result<(), Stop> {
        if payments.is_empty() || payments.iter().any(|payment| payment.amount.is_zero()) {
            return Err(Rejection::NothingToDo {}.into());
        }
        let mut account = self.account(sender)?;
        let balance = account.balance;
        let total = payments
            .iter()
            .try_fold(Shannons::ZERO, |sum, payment| sum.checked_add(payment.amount));
        // A sum beyond u64 is beyond any balance.
        let needed = total.unwrap_or(Shannons(u64::MAX));
        if needed > balance {
            return Err(Rejection::InsufficientBalance { balance, needed }.into());
        }
        let keys: Vec<Vec<u8>> = payments.iter().map(|payment| ACCOUNTS.key(&payment.to)).collect();
        self.prefetch(&keys)?;

        // The sender can pay: from here on nothing is rejected.
        account.balance = balance
            .checked_sub(needed)
            .or_broken("a balance went below zero")?;
        self.set(&ACCOUNTS, sender, &account);
        for payment in payments {
            let mut payee: Account = self.account(&payment.to)?;
            payee.balance = payee
                .balance
                .checked_add(payment.amount)
                .or_broken("a balance overflowed")?;
            self.set(&ACCOUNTS, &payment.to, &payee);
            self.emit(Event::Paid {
                from: *sender,
                to: payment.to,
                amount: payment.amount,
            });
        }
        Ok(())
    }
}
