//! Transactions: who is let in, what it costs, and what it does (docs/protocol.md, section 3).

use std::collections::BTreeSet;

use soma_types::{
    Address, Epoch, Rejection, VerifiedTransaction,
    receipt::{Created, Outcome},
    transaction::{Payment, TRANSACTION_BYTES_MAX, TransactionKind as Kind},
};

use super::{Economy, money, shannons};

impl Economy {
    /// m * (base + per_byte * length), rounded against the payer.
    pub fn fee(&self, size_bytes: u64) -> u128 {
        let plain = money(self.params.fee_base) + money(self.params.fee_per_byte) * u128::from(size_bytes);
        let fee = (plain * self.now.multiplier_q16).div_ceil(1 << 16);
        fee.min(u128::from(u64::MAX))
    }

    /// The fee of a transaction, or why it is refused.
    pub(crate) fn admit(&self, transaction: &VerifiedTransaction) -> Result<u128, Rejection> {
        let body = transaction.transaction();
        let (size_bytes, limit_bytes) = (transaction.size_bytes(), TRANSACTION_BYTES_MAX as u64);
        if size_bytes > limit_bytes {
            return Err(Rejection::TooLarge {
                size_bytes,
                limit_bytes,
            });
        }
        if body.chain != self.chain {
            return Err(Rejection::WrongChain {
                given: body.chain,
                expected: self.chain,
            });
        }
        let account = self
            .accounts
            .get(&transaction.sender())
            .cloned()
            .unwrap_or_default();
        let (given, expected) = (body.nonce, account.nonce);
        if given < expected {
            return Err(Rejection::NonceUsed { given, expected });
        }
        if given > expected {
            return Err(Rejection::NonceAhead { given, expected });
        }
        if self.now.epoch > body.expires.0 {
            return Err(Rejection::Expired {
                expires: body.expires,
                now: Epoch(self.now.epoch),
            });
        }
        let fee = self.fee(size_bytes);
        if fee > money(body.max_fee) {
            return Err(Rejection::FeeAboveLimit {
                fee: shannons(fee),
                max_fee: body.max_fee,
            });
        }
        if fee > account.balance {
            return Err(Rejection::CannotPayFee {
                balance: shannons(account.balance),
                fee: shannons(fee),
            });
        }
        Ok(fee)
    }

    /// Includes a transaction: `Err` when it must not be, else its fee and what became of it.
    pub(super) fn apply(&mut self, transaction: &VerifiedTransaction) -> Result<(u128, Outcome), Rejection> {
        let fee = self.admit(transaction)?;
        let account = self.accounts.entry(transaction.sender()).or_default();
        account.balance -= fee;
        account.nonce += 1;
        self.now.fees += fee;
        self.now.transactions += 1;
        let before = self.clone();
        let outcome = match self.execute(transaction) {
            Ok(created) => Outcome::Applied { created },
            Err(rejection) => {
                *self = before;
                Outcome::Failed { rejection }
            }
        };
        Ok((fee, outcome))
    }

    fn execute(&mut self, transaction: &VerifiedTransaction) -> Result<Option<Created>, Rejection> {
        let (sender, hash) = (transaction.sender(), transaction.hash());
        match &transaction.transaction().kind {
            Kind::Transfer { payments } => self.transfer(sender, payments)?,
            Kind::AddStake { pool, amount } => self.add_stake(sender, *pool, money(*amount))?,
            Kind::WithdrawStake { pool, amount } => self.withdraw_stake(sender, *pool, *amount)?,
            Kind::CreateModel {
                commission,
                stake,
                architecture,
            } => {
                let id = self.create_model(sender, hash, *commission, money(*stake), *architecture)?;
                return Ok(Some(Created::Model(id)));
            }
            Kind::CommitModel {
                model,
                url,
                size_bytes,
                hash,
                embedding,
            } => self.commit_model(sender, *model, url, *size_bytes, *hash, *embedding)?,
            Kind::RevealModel {
                model,
                key,
                embedding,
            } => self.reveal_model(sender, *model, *key, embedding)?,
            Kind::SetModelCommission { model, commission } => {
                self.set_model_commission(sender, *model, *commission)?;
            }
            Kind::DeactivateModel { model } => self.deactivate_model(sender, *model)?,
            Kind::CommitSubmission { target, commitment } => {
                let id = self.commit_submission(sender, hash, *target, *commitment)?;
                return Ok(Some(Created::Submission(id)));
            }
            Kind::RevealSubmission {
                submission,
                salt,
                reveal,
            } => self.reveal_submission(sender, *submission, salt, reveal)?,
            Kind::CommitAudit {
                submission,
                commitment,
            } => self.commit_audit(sender, *submission, *commitment)?,
            Kind::RevealAudit {
                submission,
                salt,
                verdict,
                transcript,
            } => self.reveal_audit(sender, *submission, salt, *verdict, *transcript)?,
            Kind::ChallengeSubmission { submission } => self.challenge(sender, *submission)?,
            Kind::ProposeUpgrade { upgrade } => {
                let index = self.propose_upgrade(sender, upgrade)?;
                return Ok(Some(Created::Proposal(index)));
            }
            Kind::VoteUpgrade { proposal, ballot } => self.vote_upgrade(sender, *proposal, *ballot)?,
            Kind::ReportEquivocation { evidence } => self.report_equivocation(evidence)?,
            Kind::ReportModel { model, .. } => self.report_model(sender, *model)?,
            Kind::RegisterValidator {
                network_key,
                proof,
                commission,
                stake,
            } => self.register_validator(sender, *network_key, proof, *commission, money(*stake))?,
            Kind::LeaveValidator => self.leave_validator(sender)?,
            Kind::SetValidatorCommission { commission } => {
                self.set_validator_commission(sender, *commission)?;
            }
            Kind::SetRentVote { rent_per_mib_epoch } => {
                self.set_rent_vote(sender, money(*rent_per_mib_epoch))?;
            }
        }
        Ok(None)
    }

    /// Takes money that goes somewhere else. Choice: checked after everything else about a transaction.
    pub(super) fn take(&mut self, sender: &Address, needed: u128) -> Result<(), Rejection> {
        let balance = self.balance(sender);
        if needed > balance {
            return Err(Rejection::InsufficientBalance {
                balance: shannons(balance),
                // Choice: what no balance could hold is shown as the most that fits.
                needed: shannons(needed.min(u128::from(u64::MAX))),
            });
        }
        if needed > 0 {
            self.accounts.entry(*sender).or_default().balance -= needed;
        }
        Ok(())
    }

    fn transfer(&mut self, sender: Address, payments: &[Payment]) -> Result<(), Rejection> {
        if payments.is_empty() || payments.iter().any(|payment| payment.amount.0 == 0) {
            return Err(Rejection::NothingToDo {});
        }
        // Whoever has no account gets one, at the payer's cost.
        let strangers: BTreeSet<Address> = payments
            .iter()
            .map(|payment| payment.to)
            .filter(|to| !self.accounts.contains_key(to))
            .collect();
        let price = money(self.params.account_price) * strangers.len() as u128;
        let paid: u128 = payments.iter().map(|payment| money(payment.amount)).sum();
        self.take(&sender, paid + price)?;
        self.now.fees += price;
        for payment in payments {
            self.credit(payment.to, money(payment.amount));
        }
        Ok(())
    }
}
