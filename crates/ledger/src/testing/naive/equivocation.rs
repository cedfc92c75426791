//! Two votes at once (docs/protocol.md, section 4): a share of the whole pool, and the seat.

use soma_types::{Address, Epoch, Rejection, equivocation::Equivocation, transaction::PoolId};

use super::{Economy, Slash, Unbonding, part, pools::MATURES_AFTER};

impl Economy {
    pub(super) fn report_equivocation(&mut self, evidence: &Equivocation) -> Result<(), Rejection> {
        let now = self.now.epoch;
        // Choice: for as long as stake that counted then can still be unbonding.
        let given = evidence.epoch;
        let closed = self.closed.get(given.0 as usize);
        let waits = closed.map_or(self.params.unbonding_epochs, |record| {
            record.state.unbonding_epochs
        });
        let oldest = now.saturating_sub(waits + 1);
        if !(oldest..=now).contains(&given.0) {
            return Err(Rejection::EvidenceOutOfBounds {
                given,
                oldest: Epoch(oldest),
                newest: Epoch(now),
            });
        }
        if evidence.first.digest == evidence.second.digest {
            return Err(Rejection::VotesAgree {});
        }
        let offender = self.committees[&given.0]
            .iter()
            .find(|seat| seat.network_key == evidence.network_key)
            .map(|seat| seat.validator)
            .ok_or(Rejection::NotSeated { epoch: given })?;
        if !evidence.is_signed(&self.chain) {
            return Err(Rejection::BadVoteSignature {});
        }
        if self.validators[&offender].barred {
            return Err(Rejection::AlreadyBarred {});
        }
        self.slash_pool(offender, given.0);
        // Choice: the last one that stays keeps its seat.
        let last = self.validators.values().filter(|one| !one.leaving).count() == 1;
        let validator = self.validators.get_mut(&offender).expect("it had a seat");
        validator.barred = true;
        validator.leaving |= !last;
        Ok(())
    }

    /// Choice: all stake that counts pays in proportion: shares by their price, younger stake lot by lot.
    /// The pool keeps what rounding takes from stakers.
    fn slash_pool(&mut self, validator: Address, offence: u64) {
        let (now, share) = (self.now.epoch, self.params.equivocation_slash);
        let pool = self.pools.entry(PoolId::Validator(validator)).or_default();
        // Rounded down: what is left of shares and of each lot, and what is taken of the sum of lots.
        let left = pool.worth * u128::from(10_000 - share.get()) / 10_000;
        let mut slashed = pool.worth - left;
        pool.worth = left;
        for epoch in (0..now).rev().take(MATURES_AFTER as usize - 1) {
            let sum = pool.added_in(epoch);
            let taken = part(sum, share);
            let owners: std::collections::BTreeSet<Address> = pool
                .lots
                .iter()
                .filter(|lot| lot.epoch == epoch)
                .map(|lot| lot.owner)
                .collect();
            for owner in owners {
                let amount = pool.lots_of(&owner, |added| added == epoch);
                let kept = amount * u128::from(10_000 - share.get()) / 10_000;
                pool.take_lots(&owner, epoch, amount - kept);
            }
            pool.unowned.remove(&epoch);
            let unowned = sum - taken - pool.added_in(epoch);
            pool.unowned.insert(epoch, unowned);
            slashed += taken;
        }
        pool.slash = Some(Slash {
            offence,
            share,
            withdrawals: self.withdrawals,
        });
        // Choice: burned, so that nobody earns it.
        self.burned += slashed;
    }

    /// What stake that was withdrawn before its pool was slashed, but counted at the offence, loses.
    pub(super) fn lost(&self, entry: &Unbonding) -> u128 {
        match self.pools[&entry.pool].slash {
            Some(slash) if entry.number < slash.withdrawals && slash.offence <= entry.withdrawn => {
                entry.amount - entry.amount * u128::from(10_000 - slash.share.get()) / 10_000
            }
            _ => 0,
        }
    }
}
