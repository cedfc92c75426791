//! How what is tried gets into a block: in order, at and beside the limits, or as it must not be.

use soma_types::{
    ChainId, Epoch, Shannons, Signature, SignedTransaction, Transaction, TransactionKind as Kind,
    VerifiedTransaction,
    event::Event,
    list::List,
    receipt::{Created, Outcome},
    transaction::Payment,
};

use crate::{
    testing::{Find, Player, address, keys},
    view,
};

/// A transaction on its way into the next block, with what to remember if it is applied.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) transaction: VerifiedTransaction,
    pub(super) who: u8,
    pub(super) find: Option<Find>,
}

impl Player<'_> {
    /// The nonce of an account's next transaction.
    pub(super) fn nonce(&mut self, who: u8) -> u64 {
        let waiting = self.next.iter().filter(|pending| pending.who == who).count() as u64;
        let account = view::account(&mut self.world.chain.state, address(who)).unwrap();
        account.nonce + waiting
    }

    pub(super) fn push(&mut self, who: u8, kind: Kind) {
        let nonce = self.nonce(who);
        let transaction = self.world.transaction(who, nonce, kind);
        self.next.push(Pending {
            transaction,
            who,
            find: None,
        });
    }

    /// A transaction with an amount at or beside a limit. `make` must encode all amounts in as many bytes.
    pub(super) fn push_sized(
        &mut self,
        who: u8,
        size: u8,
        least: Shannons,
        held: u64,
        make: impl Fn(Shannons) -> Kind,
    ) {
        let nonce = self.nonce(who);
        let size_bytes = self.world.transaction(who, nonce, make(least)).size_bytes();
        let fee = view::fee(&mut self.world.chain.state, size_bytes).unwrap().0;
        let left = self.world.balance(who).saturating_sub(fee);
        let amount = match size % 32 {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => least.0.saturating_sub(1),
            4 => left.saturating_add(1),
            5 if size < 64 => left,
            6 => held,
            7 => held.saturating_add(1),
            8 => held.saturating_sub(least.0).saturating_add(1),
            9 => held.saturating_sub(least.0),
            10..14 => held / 5,
            14..20 => least.0,
            size => left / 512 * u64::from(size),
        };
        self.push(who, make(Shannons(amount)));
    }

    /// Three payments to two addresses that mostly have no account, of all that can be spent, a shannon more,
    /// or dust.
    pub(super) fn pay_strangers(&mut self, who: u8, b: u8, size: u8) {
        let kind = |amount: u64| {
            let payment = |to: u8, amount: u64| Payment {
                to: address(to),
                amount: Shannons(amount),
            };
            let (first, second) = (100 + b % 100, 100 + b.wrapping_add(1) % 100);
            let payments = vec![payment(first, 1), payment(second, amount), payment(first, 1)];
            Kind::Transfer {
                payments: List::new(payments).unwrap(),
            }
        };
        let nonce = self.nonce(who);
        let size_bytes = self.world.transaction(who, nonce, kind(1)).size_bytes();
        let fee = view::fee(&mut self.world.chain.state, size_bytes).unwrap().0;
        let prices = 2 * self.params().account_price.0 + 2;
        let left = self.world.balance(who).saturating_sub(fee).saturating_sub(prices);
        self.push(
            who,
            kind(match size % 16 {
                0 => left.max(1),
                1 => left + 1,
                _ => 1,
            }),
        );
    }

    /// A transaction that must be refused, or is just about not.
    pub(super) fn push_odd(&mut self, who: u8, how: u8) {
        let payments = List::new(vec![Payment {
            to: address(who),
            amount: Shannons(1),
        }])
        .unwrap();
        let nonce = self.nonce(who);
        let epoch = self.world.epoch();
        let kind = Kind::Transfer { payments };
        let size_bytes = self.world.transaction(who, nonce, kind.clone()).size_bytes();
        let fee = view::fee(&mut self.world.chain.state, size_bytes).unwrap();
        let mut transaction = Transaction {
            chain: self.world.genesis.chain_id(),
            sender: keys(who).public_key(),
            nonce,
            expires: epoch,
            max_fee: fee,
            kind,
        };
        match how % 8 {
            0 => transaction.nonce = nonce.wrapping_sub(1),
            1 => transaction.nonce = nonce + 1,
            2 => transaction.nonce = u64::MAX,
            3 => transaction.expires = Epoch(epoch.0.saturating_sub(1)),
            4 => transaction.max_fee = Shannons(fee.0.saturating_sub(1)),
            5 => transaction.chain = ChainId([how; 32]),
            6 => transaction.sender = keys(200).public_key(),
            _ => {}
        }
        let transaction = VerifiedTransaction::assume_verified(SignedTransaction {
            transaction,
            signature: Signature([0; 64]),
        });
        self.next.push(Pending {
            transaction,
            who,
            find: None,
        });
    }

    /// Executes the next block with all that waits for it.
    pub(super) fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.next);
        let transactions: Vec<_> = waiting.iter().map(|one| one.transaction.clone()).collect();
        let results = self.world.offer(&transactions);
        self.coverage.blocks += 1;
        for (pending, result) in waiting.into_iter().zip(results) {
            let kind = pending.transaction.transaction().kind.name();
            self.coverage.result(kind, &result);
            let Ok(receipt) = result else { continue };
            if let Outcome::Applied {
                created: Some(created),
            } = receipt.outcome
            {
                match created {
                    Created::Model(id) => self.models.push((pending.who, id)),
                    Created::Submission(id) => {
                        self.finds.extend(pending.find.map(|find| (find, id)));
                    }
                    Created::Proposal(_) => {}
                }
            }
        }
        let block = self.world.history.pop().expect("it was just executed");
        let inner = block.receipts.iter().flat_map(|receipt| &receipt.events);
        for event in block.events.iter().chain(inner) {
            self.coverage.event(event);
            if let Event::SubmissionEnded { submission, .. } = event {
                let outcome = view::audit_outcome(&mut self.world.chain.state, *submission).unwrap();
                if let Some(outcome) = outcome {
                    self.coverage.outcome(&outcome);
                }
            }
        }
    }
}
