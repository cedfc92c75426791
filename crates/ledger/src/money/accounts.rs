//! Transfers (docs/protocol.md, section 3).
//!
//! An account stays in the state for ever, so to open one has a price: a transfer pays `account_price` into
//! the epoch's fees for each payee that has none yet. Nothing else opens accounts but genesis, and the first
//! reward of a validator of genesis: whoever is credited elsewhere has sent a transaction before. (Where fees
//! are voted down to zero, anyone's first transaction does, too.)

use std::collections::BTreeSet;

use soma_types::{Address, Rejection, Shannons, event::Event, transaction::Payment};

use crate::{error::Stop, ledger::Ledger, tables::ACCOUNTS};

impl Ledger<'_> {
    /// Pays each of `payments` from `sender` and opens the accounts that it takes, all or none.
    pub(crate) fn transfer(&mut self, sender: &Address, payments: &[Payment]) -> Result<(), Stop> {
        if payments.is_empty() || payments.iter().any(|payment| payment.amount.is_zero()) {
            return Err(Rejection::NothingToDo {}.into());
        }
        let payees = payments.iter().map(|payment| payment.to);
        let accounts = self.get_all(&ACCOUNTS, payees.clone())?;
        let strangers = payees.zip(&accounts).filter(|(_, account)| account.is_none());
        let opened: BTreeSet<Address> = strangers.map(|(payee, _)| payee).collect();
        let price = self.hot.params.account_price;
        // Below 2^30 * 2^20.
        let prices = Shannons(price.0 * opened.len() as u64);
        let mut account = self.account(sender)?;
        let balance = account.balance;
        let total = payments
            .iter()
            .try_fold(prices, |sum, payment| sum.checked_add(payment.amount));
        // A sum beyond u64 is beyond any balance.
        let needed = total.unwrap_or(Shannons(u64::MAX));
        if needed > balance {
            return Err(Rejection::InsufficientBalance { balance, needed }.into());
        }

        // The sender can pay: from here on nothing is rejected.
        self.charge(&mut account, prices)?;
        for address in opened {
            self.emit(Event::AccountOpened { address, price });
        }
        self.pay(sender, account, payments)?;
        for payment in payments {
            self.emit(Event::Paid {
                from: *sender,
                to: payment.to,
                amount: payment.amount,
            });
        }
        Ok(())
    }
}
