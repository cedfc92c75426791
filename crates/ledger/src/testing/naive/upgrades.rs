//! Proposals and votes (docs/protocol.md, section 10).

use soma_types::{
    Address, Epoch, Rejection,
    params::ParamsError,
    upgrade::{
        Ballot, PROPOSALS_MAX, Proposal, ProposalStatus, ProtocolVersion, UPGRADE_AHEAD_EPOCHS_MAX,
        UPGRADE_NOTICE_EPOCHS, Upgrade,
    },
};

use super::{Economy, money};

impl Economy {
    fn check_seat(&self, sender: Address) -> Result<(), Rejection> {
        let mut seats = self.seats().iter();
        seats
            .any(|seat| seat.validator == sender)
            .then_some(())
            .ok_or(Rejection::NotInCommittee {})
    }

    pub(super) fn propose_upgrade(&mut self, sender: Address, upgrade: &Upgrade) -> Result<u64, Rejection> {
        let current = ProtocolVersion::FIRST;
        if upgrade.version == current && upgrade.architecture.is_none() && upgrade.params.is_empty() {
            return Err(Rejection::NothingToDo {});
        }
        self.check_seat(sender)?;
        let earliest = Epoch(self.now.epoch + UPGRADE_NOTICE_EPOCHS);
        // Choice: and not too far ahead.
        let latest = Epoch(self.now.epoch + UPGRADE_AHEAD_EPOCHS_MAX);
        let given = upgrade.activation;
        if !(earliest..=latest).contains(&given) {
            return Err(Rejection::ActivationOutOfBounds {
                given,
                earliest,
                latest,
            });
        }
        if upgrade.version < current {
            let given = upgrade.version;
            return Err(Rejection::OldVersion { given, current });
        }
        match upgrade.params_after(&self.params) {
            Ok(_) => {}
            Err(ParamsError::Architecture(_)) => return Err(Rejection::UnsoundArchitecture {}),
            Err(ParamsError::Range {
                name,
                value,
                min,
                max,
            }) => {
                let name = name.to_owned();
                return Err(Rejection::UnsoundParameter {
                    name,
                    value,
                    min,
                    max,
                });
            }
        }
        let pending: Vec<&Proposal> = self.proposals.iter().filter(|one| is_pending(one)).collect();
        if let Some(own) = pending.iter().find(|one| one.proposer == sender) {
            return Err(Rejection::ProposalPending { proposal: own.index });
        }
        if pending.len() >= PROPOSALS_MAX {
            let limit = PROPOSALS_MAX as u32;
            return Err(Rejection::TooManyProposals { limit });
        }
        let index = self.proposals.len() as u64;
        self.proposals.push(Proposal {
            index,
            proposer: sender,
            proposed: Epoch(self.now.epoch),
            upgrade: upgrade.clone(),
            approvals: vec![sender],
            status: ProposalStatus::Open,
        });
        Ok(index)
    }

    pub(super) fn vote_upgrade(
        &mut self,
        sender: Address,
        index: u64,
        ballot: Ballot,
    ) -> Result<(), Rejection> {
        self.check_seat(sender)?;
        let proposal = self
            .proposals
            .get_mut(index as usize)
            .ok_or(Rejection::NoSuchProposal { proposal: index })?;
        if proposal.status != ProposalStatus::Open {
            return Err(Rejection::ProposalClosed {});
        }
        let approves = proposal.approvals.contains(&sender);
        if approves == (ballot == Ballot::Approve) {
            return Err(Rejection::BallotUnchanged {});
        }
        match ballot {
            Ballot::Approve => proposal.approvals.push(sender),
            Ballot::Withdraw => proposal.approvals.retain(|one| *one != sender),
        }
        proposal.approvals.sort_unstable();
        Ok(())
    }

    /// What is scheduled for `epoch` takes effect, in the order of proposals, if it is sound by then.
    pub(super) fn activate_upgrades(&mut self, epoch: u64) {
        for proposal in &mut self.proposals {
            let scheduled = matches!(proposal.status, ProposalStatus::Scheduled { .. });
            if scheduled && proposal.upgrade.activation.0 <= epoch {
                proposal.status = match proposal.upgrade.params_after(&self.params) {
                    Ok(params) => {
                        self.params = params;
                        ProposalStatus::Activated
                    }
                    Err(_) => ProposalStatus::Void,
                };
            }
        }
    }

    /// More than two thirds of the new committee's stake and seats schedule a proposal. Choice: who has no
    /// seat any more is forgotten, and with a proposer its proposal.
    pub(super) fn tally_proposals(&mut self) {
        let (epoch, seats) = (self.now.epoch, self.seats().to_vec());
        let total: u128 = seats.iter().map(|seat| money(seat.stake)).sum();
        for proposal in &mut self.proposals {
            if proposal.status != ProposalStatus::Open {
                continue;
            }
            let seated = |one: &Address| seats.iter().any(|seat| seat.validator == *one);
            proposal.approvals.retain(seated);
            let with: Vec<_> = seats
                .iter()
                .filter(|seat| proposal.approvals.contains(&seat.validator))
                .collect();
            let stake: u128 = with.iter().map(|seat| money(seat.stake)).sum();
            let carried = 3 * stake > 2 * total && 3 * with.len() > 2 * seats.len();
            let late = proposal.upgrade.activation.0 <= epoch;
            if !late && carried && proposal.upgrade.params_after(&self.params).is_ok() {
                let since = Epoch(epoch);
                proposal.status = ProposalStatus::Scheduled { since };
            } else if late || !seated(&proposal.proposer) {
                proposal.status = ProposalStatus::Expired;
            }
        }
    }
}

fn is_pending(proposal: &Proposal) -> bool {
    matches!(
        proposal.status,
        ProposalStatus::Open | ProposalStatus::Scheduled { .. }
    )
}
