//! What a history tries with seats: evidence, proposals, registrations, commissions, rent.

use soma_types::{
    Architecture, Epoch, PublicKey, Shannons, Signature, TransactionKind as Kind,
    list::List,
    upgrade::{ParamChange, ProtocolVersion, Upgrade},
};

use super::ACCOUNTS;
use crate::{
    testing::{Player, SOMA, basis, evidence, keys, propose, register, report},
    view,
};

impl Player<'_> {
    /// Evidence against a validator whose key the tests have, mostly good.
    pub(super) fn equivocate(&mut self, a: u8, b: u8, c: u8, d: u8) {
        let now = self.world.epoch();
        let committee = view::committee(&mut self.world.chain.state, now)
            .unwrap()
            .unwrap();
        let known = (0..ACCOUNTS).find(|who| {
            let key = keys(who + 200).public_key();
            committee.seats.iter().any(|seat| seat.network_key == key)
        });
        let epoch = match b % 8 {
            0 => now.0 + 1,
            1 => now.0.saturating_sub(9),
            back => now.0.saturating_sub(u64::from(back % 3)),
        };
        let who = known.filter(|_| c >= 16).unwrap_or(a % ACCOUNTS);
        let mut evidence = evidence(&self.world.genesis, who, epoch, 1, u8::from(d < 32) ^ 2);
        match d {
            0..16 => evidence.second = evidence.first,
            16..48 => evidence.view += 1,
            _ => {}
        }
        self.push(a % ACCOUNTS, report(evidence));
        if d > 200 {
            self.push(b % ACCOUNTS, report(evidence));
        }
        // The barred one tries to come back.
        if c > 128 {
            let again = register(&self.world.genesis, who, 1_000 * SOMA);
            self.push(who, again);
        }
    }

    /// A proposal for the next epochs, mostly sound.
    pub(super) fn propose(&mut self, a: u8, b: u8, c: u8, d: u8, e: u8) {
        use ParamChange as Change;
        let (small, points) = (u64::from(1 + d % 8), basis(1 + u16::from(d) * 39));
        let change = match c % 21 {
            0 => Change::EpochBlocks(7 + u64::from(d % 24)),
            1 => Change::AuditCommitBlocks(small),
            2 => Change::SettlementBlocks(small),
            3 => Change::RevealBlocks(small),
            4 => Change::OpenTargets(u32::from(d % 9)),
            5 => Change::ModelsPerTarget(1 + u32::from(d % 5)),
            6 => Change::CommitteeSize(1 + u32::from(d % 6)),
            7 => Change::Auditors(u32::from(d % 5)),
            8 => Change::PayoutsPerBlock(1 + u32::from(d % 6)),
            9 => Change::DifficultyWindows(1 + u32::from(d % 8)),
            10 => Change::RefreshEpochs(1 + small),
            11 => Change::UnbondingEpochs(small),
            12 => Change::HitsGoal(1 << (d % 21)),
            13 => Change::AuditRate(points),
            14 => Change::ValidatorShare(points),
            15 => Change::LapseSlash(points),
            16 => Change::BurnPerYear(points),
            17 => Change::AccountPrice(Shannons(u64::from(d) << 20)),
            18 => Change::AuditRevealBlocks(small),
            19 => Change::HearingCommitBlocks(small),
            _ => Change::SubmissionDeposit(Shannons(u64::from(d) << 20)),
        };
        // The same width, so that everything else about the tests' data still fits.
        let current = self.params().architecture;
        let architecture = b.is_multiple_of(8).then_some(Architecture {
            layers: 3 - current.layers.min(2),
            heads: if b == 0 { 3 } else { current.heads },
            ..current
        });
        let upgrade = Upgrade {
            version: ProtocolVersion(u32::from(b != 1)),
            architecture,
            params: List::new(if b == 2 { vec![] } else { vec![change] }).unwrap(),
            activation: Epoch(self.world.epoch().0 + 1 + u64::from(e % 4)),
        };
        let upgrade = Upgrade {
            activation: if e == 255 {
                Epoch(u64::MAX)
            } else {
                upgrade.activation
            },
            ..upgrade
        };
        self.push(a % 5, propose(upgrade));
    }

    pub(super) fn validator(&mut self, who: u8, b: u8, c: u8, d: u8) {
        let mut good = register(&self.world.genesis, who, 1_000 * SOMA);
        let mut sender = who;
        let kind = match c % 16 {
            0 => {
                sender = b % 5;
                Kind::LeaveValidator
            }
            1 if b < 64 => {
                for who in 0..ACCOUNTS {
                    self.push(who, Kind::LeaveValidator);
                }
                return;
            }
            1..5 => Kind::SetValidatorCommission {
                commission: basis(u16::from(b) * 39),
            },
            5..8 => good,
            8 => {
                if let Kind::RegisterValidator { proof, .. } = &mut good {
                    *proof = Signature([d; 64]);
                }
                good
            }
            9 => {
                // A key of genesis.
                if let Kind::RegisterValidator { network_key, .. } = &mut good {
                    *network_key = PublicKey([100 + b % 4; 32]);
                }
                good
            }
            10 => register(&self.world.genesis, who, 1_000 * SOMA - 1),
            _ => {
                sender = b % 5;
                Kind::SetRentVote {
                    rent_per_mib_epoch: Shannons(match d % 4 {
                        0 => 0,
                        1 => SOMA,
                        2 => SOMA + 1,
                        _ => 5_000,
                    }),
                }
            }
        };
        self.push(sender, kind);
    }
}
