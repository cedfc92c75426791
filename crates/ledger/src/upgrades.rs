//! Upgrades (docs/protocol.md, section 10): proposed, voted on, scheduled, activated.
//!
//! Upon a *proposal* by a validator with a seat: it must be sound on top of what is in force, and its
//! activation at least [`UPGRADE_NOTICE_EPOCHS`] later. Its proposer is for it. Upon a *vote*, by a seat
//! again: noted.
//! Upon a *boundary*, first: what is scheduled for the new epoch takes effect, in the order of proposals,
//! before anything of the new epoch is decided; all that the closing epoch still decides went by the old
//! rules. Then, with the new committee seated: votes of those without a seat in it are void. An open proposal
//! with more than two thirds of its stake and of its seats is scheduled, and cannot be stopped any more; one
//! whose activation has come, or whose proposer has lost its seat, expires.
//!
//! **What cannot break.** Parameters are checked as a whole when proposed, when scheduled, and again when
//! they take effect, for another upgrade may have come between; what is not sound then is void. They are read
//! where an epoch starts or within it, races settle before the boundary, and what outlives an epoch
//! (deadlines, releases, the audit's rate) is stored with it. What may never change cannot be named: see
//! `FIXED_PARAMS`.
//!
//! **Another architecture.** Models of the old shape stop competing. Their owners commit anew; commitments
//! and reveals under way are dropped, at no loss but their rent.
//!
//! **Bounds.** A seat has one proposal at a time, all together at most [`PROPOSALS_MAX`]; each ends within
//! [`UPGRADE_AHEAD_EPOCHS_MAX`] epochs. A proposal lists at most one committee's addresses. Open are at most
//! as many as there are seats, so nobody can take the places of others by proposing, leaving, and coming back
//! as another.

use soma_types::{
    Address, Epoch, Rejection, Shannons,
    event::Event,
    objects::{Committee, Seat},
    params::ParamsError,
    upgrade::{
        Ballot, PROPOSALS_MAX, PROTOCOL_VERSION, Proposal, ProposalStatus, UPGRADE_AHEAD_EPOCHS_MAX,
        UPGRADE_NOTICE_EPOCHS, Upgrade,
    },
};

use crate::{
    error::Stop,
    ledger::Ledger,
    tables::{COMMITTEES, PARAMS, PENDING_PROPOSALS, PROPOSALS, PendingProposal},
};

/// Seats and stake, and how much of them is for a proposal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Support {
    /// Seats for it.
    pub seats: u32,
    /// All seats.
    pub seats_total: u32,
    /// Stake for it, in shannons.
    pub stake: u128,
    /// All stake, in shannons.
    pub stake_total: u128,
}

impl Support {
    /// Counts those of `committee` who approved.
    pub(crate) fn of(proposal: &Proposal, committee: &Committee) -> Self {
        let mut support = Self::default();
        for seat in &committee.seats {
            support.seats_total += 1;
            support.stake_total += u128::from(seat.stake.0);
            if proposal.approvals.binary_search(&seat.validator).is_ok() {
                support.seats += 1;
                support.stake += u128::from(seat.stake.0);
            }
        }
        support
    }

    /// Stake for it, and all stake: never more than there is money.
    #[must_use]
    pub fn amounts(&self) -> (Shannons, Shannons) {
        let amount = |stake: u128| Shannons(u64::try_from(stake).unwrap_or(u64::MAX));
        (amount(self.stake), amount(self.stake_total))
    }

    /// Whether it is more than two thirds of both.
    #[must_use]
    pub fn carries(&self) -> bool {
        3 * self.stake > 2 * self.stake_total && 3 * u64::from(self.seats) > 2 * u64::from(self.seats_total)
    }
}

/// The seat of `validator`.
fn seat_of<'a>(committee: &'a Committee, validator: &Address) -> Option<&'a Seat> {
    committee.seats.iter().find(|seat| seat.validator == *validator)
}

fn unsound(error: &ParamsError) -> Rejection {
    match *error {
        ParamsError::Range {
            name,
            value,
            min,
            max,
        } => Rejection::UnsoundParameter {
            name: name.to_owned(),
            value,
            min,
            max,
        },
        ParamsError::Architecture(_) => Rejection::UnsoundArchitecture {},
    }
}

impl Ledger<'_> {
    /// The seat of `sender` in this epoch's committee.
    pub(crate) fn own_seat(&mut self, sender: &Address) -> Result<(Seat, Committee), Stop> {
        let committee = self.expect(&COMMITTEES, &self.epoch())?;
        match seat_of(&committee, sender) {
            Some(seat) => Ok((*seat, committee)),
            None => Err(Rejection::NotInCommittee {}.into()),
        }
    }

    /// What is open or scheduled, in the order of proposals.
    pub(crate) fn pending_proposals(&mut self) -> Result<Vec<PendingProposal>, Stop> {
        Ok(self.get(&PENDING_PROPOSALS, &())?.unwrap_or_default())
    }

    pub(crate) fn propose_upgrade(&mut self, sender: &Address, upgrade: &Upgrade) -> Result<u64, Stop> {
        let current = self.hot.now.protocol_version;
        if upgrade.version == current && upgrade.architecture.is_none() && upgrade.params.is_empty() {
            return Err(Rejection::NothingToDo {}.into());
        }
        self.own_seat(sender)?;
        let (epoch, given) = (self.epoch(), upgrade.activation);
        let earliest = epoch.plus(UPGRADE_NOTICE_EPOCHS);
        let latest = epoch.plus(UPGRADE_AHEAD_EPOCHS_MAX);
        if given < earliest || given > latest {
            return Err(Rejection::ActivationOutOfBounds {
                given,
                earliest,
                latest,
            }
            .into());
        }
        if upgrade.version < current {
            let given = upgrade.version;
            return Err(Rejection::OldVersion { given, current }.into());
        }
        upgrade
            .params_after(&self.hot.params)
            .map_err(|error| unsound(&error))?;
        let mut pending = self.pending_proposals()?;
        if let Some(own) = pending.iter().find(|pending| pending.proposer == *sender) {
            return Err(Rejection::ProposalPending { proposal: own.index }.into());
        }
        if pending.len() >= PROPOSALS_MAX {
            return Err(Rejection::TooManyProposals {
                limit: PROPOSALS_MAX as u32,
            }
            .into());
        }

        // From here on nothing is rejected.
        let index = self.hot.counters.proposals;
        self.hot.counters.proposals += 1;
        let proposal = Proposal {
            index,
            proposer: *sender,
            proposed: epoch,
            upgrade: upgrade.clone(),
            approvals: vec![*sender],
            status: ProposalStatus::Open,
        };
        self.set(&PROPOSALS, &index, &proposal);
        pending.push(PendingProposal {
            index,
            proposer: *sender,
        });
        self.set(&PENDING_PROPOSALS, &(), &pending);
        self.emit(Event::UpgradeProposed {
            proposal: index,
            proposer: *sender,
        });
        Ok(index)
    }

    pub(crate) fn vote_upgrade(&mut self, sender: &Address, index: u64, ballot: Ballot) -> Result<(), Stop> {
        self.own_seat(sender)?;
        let mut proposal = self
            .get(&PROPOSALS, &index)?
            .ok_or(Rejection::NoSuchProposal { proposal: index })?;
        if proposal.status != ProposalStatus::Open {
            return Err(Rejection::ProposalClosed {}.into());
        }
        match (proposal.approvals.binary_search(sender), ballot) {
            (Err(place), Ballot::Approve) => proposal.approvals.insert(place, *sender),
            (Ok(place), Ballot::Withdraw) => {
                proposal.approvals.remove(place);
            }
            (Ok(_), Ballot::Approve) | (Err(_), Ballot::Withdraw) => {
                return Err(Rejection::BallotUnchanged {}.into());
            }
        }
        self.set(&PROPOSALS, &index, &proposal);
        self.emit(Event::UpgradeVoted {
            proposal: index,
            validator: *sender,
            ballot,
        });
        Ok(())
    }

    /// At the boundary into `epoch`, before anything of it is decided: what was scheduled for it takes
    /// effect.
    pub(crate) fn activate_upgrades(&mut self, epoch: Epoch) -> Result<(), Stop> {
        let mut pending = self.pending_proposals()?;
        let before = pending.len();
        let mut left = Vec::with_capacity(before);
        for entry in pending.drain(..) {
            let mut proposal = self.expect(&PROPOSALS, &entry.index)?;
            let due = matches!(proposal.status, ProposalStatus::Scheduled { .. })
                && proposal.upgrade.activation <= epoch;
            if !due {
                left.push(entry);
                continue;
            }
            let version = proposal.upgrade.version;
            let params = proposal.upgrade.params_after(&self.hot.params);
            proposal.status = match params {
                Ok(params) if version >= self.hot.now.protocol_version => {
                    if version > PROTOCOL_VERSION {
                        return Err(Stop::Unsupported { version, epoch });
                    }
                    self.hot.now.protocol_version = version;
                    self.set(&PARAMS, &(), &params);
                    self.hot.params = params.into();
                    ProposalStatus::Activated
                }
                _ => ProposalStatus::Void,
            };
            self.end_proposal(&proposal);
        }
        if left.len() != before {
            self.set(&PENDING_PROPOSALS, &(), &left);
        }
        Ok(())
    }

    /// At the boundary into the current epoch: counts the votes of its `committee`.
    pub(crate) fn tally_proposals(&mut self, committee: &Committee) -> Result<(), Stop> {
        let (epoch, pending) = (self.epoch(), self.pending_proposals()?);
        let mut left = Vec::with_capacity(pending.len());
        for entry in &pending {
            let mut proposal = self.expect(&PROPOSALS, &entry.index)?;
            if proposal.status != ProposalStatus::Open {
                left.push(*entry);
                continue;
            }
            let votes = proposal.approvals.len();
            proposal.approvals.retain(|one| seat_of(committee, one).is_some());
            let activation = proposal.upgrade.activation;
            let sound = proposal.upgrade.params_after(&self.hot.params).is_ok();
            if activation > epoch && sound && Support::of(&proposal, committee).carries() {
                left.push(*entry);
                proposal.status = ProposalStatus::Scheduled { since: epoch };
                self.set(&PROPOSALS, &entry.index, &proposal);
                self.emit(Event::UpgradeScheduled {
                    proposal: entry.index,
                    version: proposal.upgrade.version,
                    activation,
                });
            } else if activation <= epoch || seat_of(committee, &proposal.proposer).is_none() {
                proposal.status = ProposalStatus::Expired;
                self.end_proposal(&proposal);
            } else {
                left.push(*entry);
                if proposal.approvals.len() != votes {
                    self.set(&PROPOSALS, &entry.index, &proposal);
                }
            }
        }
        if left.len() != pending.len() {
            self.set(&PENDING_PROPOSALS, &(), &left);
        }
        Ok(())
    }

    fn end_proposal(&mut self, proposal: &Proposal) {
        self.set(&PROPOSALS, &proposal.index, proposal);
        self.emit(Event::UpgradeEnded {
            proposal: proposal.index,
            status: proposal.status,
        });
    }
}
