//! What a pool holds, and whose it is (docs/protocol.md, section 4).

use soma_types::{Address, transaction::BasisPoints};

use super::{Lot, Pool, part};

/// Choice: a shannon with 1000 shares that nobody owns is in every pool.
pub(super) const NOBODYS_SHARES: u128 = 1_000;

/// Choice: rewards of epoch E are paid in E + 2, so stake added in E earns nothing that is paid before
/// E + 3. It becomes shares at the boundary into E + 3.
pub(super) const MATURES_AFTER: u64 = 3;

impl Pool {
    /// Given back, shares are worth their part of the pool, rounded down, nobody's shannon left out.
    pub(super) fn worth_of(&self, shares: u128) -> u128 {
        (shares * (self.worth + 1) / (self.issued + NOBODYS_SHARES)).min(self.worth)
    }

    pub(super) fn shares_of(&self, owner: &Address) -> u128 {
        self.shares.get(owner).copied().unwrap_or(0)
    }

    /// What an owner's lots add up to that were added in an epoch of which `which` holds.
    pub(super) fn lots_of(&self, owner: &Address, which: impl Fn(u64) -> bool) -> u128 {
        self.lots
            .iter()
            .filter(|lot| lot.owner == *owner && which(lot.epoch))
            .map(|lot| lot.amount)
            .sum()
    }

    /// All that was added in an epoch.
    pub(super) fn added_in(&self, epoch: u64) -> u128 {
        let lots = self.lots.iter().filter(|lot| lot.epoch == epoch);
        lots.map(|lot| lot.amount).sum::<u128>() + self.unowned.get(&epoch).unwrap_or(&0)
    }

    /// All that is not shares yet and was added in an epoch of which `which` holds.
    pub(super) fn added(&self, which: impl Fn(u64) -> bool) -> u128 {
        let lots = self.lots.iter().map(|lot| (lot.epoch, lot.amount));
        let unowned = self.unowned.iter().map(|(epoch, amount)| (*epoch, *amount));
        lots.chain(unowned)
            .filter(|(epoch, _)| which(*epoch))
            .map(|(_, amount)| amount)
            .sum()
    }

    /// Whether all of it is shares.
    pub(super) fn is_mature(&self) -> bool {
        self.added(|_| true) == 0
    }

    /// What an owner has that counts in epoch `now`, and all that it has.
    pub(super) fn stake_of(&self, owner: &Address, now: u64) -> (u128, u128) {
        let in_shares = self.worth_of(self.shares_of(owner));
        (
            in_shares + self.lots_of(owner, |epoch| epoch < now),
            in_shares + self.lots_of(owner, |_| true),
        )
    }

    /// Shares and counting stake, for comparison.
    pub(super) fn holding(&self, owner: &Address, now: u64) -> (u128, u128, u128) {
        let (counting, all) = self.stake_of(owner, now);
        (self.shares_of(owner), counting, all - counting)
    }

    /// Burns shares of an owner.
    pub(super) fn give_back(&mut self, owner: &Address, shares: u128) {
        *self.shares.entry(*owner).or_default() -= shares;
        self.issued -= shares;
    }

    /// Takes up to `amount` out of an owner's lots of one epoch; says how much it was.
    pub(super) fn take_lots(&mut self, owner: &Address, epoch: u64, amount: u128) -> u128 {
        let mut left = amount;
        for lot in self
            .lots
            .iter_mut()
            .filter(|lot| lot.owner == *owner && lot.epoch == epoch)
        {
            let taken = left.min(lot.amount);
            lot.amount -= taken;
            left -= taken;
        }
        self.lots.retain(|lot| lot.amount > 0);
        amount - left
    }

    /// At the boundary into epoch `now`.
    pub(super) fn roll(&mut self, now: u64) {
        let (worth, issued) = (self.worth + 1, self.issued + NOBODYS_SHARES);
        let matured: Vec<Lot> = self
            .lots
            .iter()
            .filter(|lot| lot.epoch + MATURES_AFTER <= now)
            .cloned()
            .collect();
        self.lots.retain(|lot| lot.epoch + MATURES_AFTER > now);
        let total = matured.iter().map(|lot| lot.amount).sum::<u128>()
            + self
                .unowned
                .iter()
                .filter(|(epoch, _)| *epoch + MATURES_AFTER <= now)
                .map(|(_, amount)| amount)
                .sum::<u128>();
        self.unowned.retain(|epoch, _| epoch + MATURES_AFTER > now);
        self.worth += total;
        // Choice: rounded down for all together, and again for each owner.
        self.issued += total * issued / worth;
        let mut owned: std::collections::BTreeMap<Address, u128> = std::collections::BTreeMap::new();
        for lot in matured {
            *owned.entry(lot.owner).or_default() += lot.amount;
        }
        for (owner, amount) in owned {
            *self.shares.entry(owner).or_default() += amount * issued / worth;
        }
        self.count();
    }

    /// What counts is all but what was added after the boundary, where there is none.
    pub(super) fn count(&mut self) {
        self.counted = self.worth + self.added(|_| true);
    }

    /// Takes a share of all that an owner has that counts in epoch `now`; says how much it was.
    pub(super) fn slash(&mut self, owner: &Address, share: BasisPoints, now: u64) -> u128 {
        let shares = (self.shares_of(owner) * u128::from(share.get())).div_ceil(10_000);
        let mut slashed = self.worth_of(shares);
        self.give_back(owner, shares);
        self.worth -= slashed;
        let epochs: Vec<u64> = (0..now).filter(|epoch| epoch + MATURES_AFTER >= now).collect();
        for epoch in epochs {
            let amount = self.lots_of(owner, |added| added == epoch);
            slashed += self.take_lots(owner, epoch, part(amount, share));
        }
        slashed
    }
}
