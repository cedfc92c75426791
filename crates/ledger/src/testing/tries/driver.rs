//! How each try becomes a transaction of what exists.

use soma_types::{
    ContentHash, Embedding, Epoch, ModelId, Salt, Seed, Shannons, SubmissionId, TransactionKind as Kind,
    list::List,
    params::Params,
    receipt::{Created, Outcome},
    transaction::{BasisPoints, ModelFault, Payment, PoolId, Withdrawal},
    upgrade::Ballot,
};

use super::Try;
use crate::{
    testing::{
        DIM, Find, SOMA, World, address, audit_kinds, commit_model, propose, register, reveal_model, upgrade,
        verdict, vote,
    },
    view,
};

/// Turns tries into transactions.
pub(crate) struct Driver {
    pub world: World,
    pub models: Vec<(u8, ModelId)>,
    pub(super) finds: Vec<(Find, SubmissionId)>,
    /// Reveals of audits, with the epoch they belong to.
    pub(super) audits: Vec<(Epoch, u8, Kind)>,
}

impl Driver {
    pub(crate) fn new(params: Params) -> Self {
        let (world, models) = World::in_lockstep(params).populated(4);
        let models = models
            .into_iter()
            .zip(4..)
            .map(|(model, owner)| (owner, model))
            .collect();
        Self {
            world,
            models,
            finds: Vec::new(),
            audits: Vec::new(),
        }
    }

    fn model(&self, pick: u8) -> (u8, ModelId) {
        self.models[pick as usize % self.models.len()]
    }

    fn pool(&self, pick: u8) -> PoolId {
        match pick % 8 {
            who @ 0..4 => PoolId::Validator(address(who)),
            pick => PoolId::Model(self.model(pick).1),
        }
    }

    /// Few contents in an epoch, so that several submissions want the same.
    pub(super) fn content(&mut self, data: u8) -> ContentHash {
        let mut hash = [data % 6; 32];
        hash[0] = self.world.epoch().0 as u8;
        ContentHash(hash)
    }

    pub(crate) fn run(&mut self, attempt: &Try) {
        let (who, kind) = match attempt.clone() {
            Try::Pay { who, to, amount } => {
                let payments = List::new(vec![Payment {
                    to: address(to),
                    amount: Shannons(amount),
                }])
                .unwrap();
                (who, Kind::Transfer { payments })
            }
            Try::AddStake { who, pool, amount } => (
                who,
                Kind::AddStake {
                    pool: self.pool(pool),
                    amount: Shannons(amount),
                },
            ),
            Try::Withdraw { who, pool, amount } => {
                let amount = amount.map_or(Withdrawal::All, |amount| Withdrawal::Amount(Shannons(amount)));
                (
                    who,
                    Kind::WithdrawStake {
                        pool: self.pool(pool),
                        amount,
                    },
                )
            }
            Try::Create { who, stake } => {
                let architecture = self.world.genesis.params.architecture;
                let commission = BasisPoints::new(2_500).unwrap();
                (
                    who,
                    Kind::CreateModel {
                        commission,
                        stake: Shannons(stake),
                        architecture,
                    },
                )
            }
            Try::CommitModel { model, content } => {
                let (owner, model) = self.model(model);
                (owner, commit_model(model, content))
            }
            Try::RevealModel { model, direction } => {
                let (owner, model) = self.model(model);
                (owner, reveal_model(model, direction))
            }
            Try::Commission { model, points } => {
                let (owner, model) = self.model(model);
                (
                    owner,
                    Kind::SetModelCommission {
                        model,
                        commission: BasisPoints::new(points).unwrap(),
                    },
                )
            }
            Try::Deactivate { model } => {
                let (owner, model) = self.model(model);
                (owner, Kind::DeactivateModel { model })
            }
            Try::Report { who, model } => (
                who,
                Kind::ReportModel {
                    model: self.model(model).1,
                    fault: ModelFault::Unavailable,
                },
            ),
            Try::Commit {
                who,
                target,
                data,
                winner,
                away,
            } => {
                let targets = self.world.open_targets();
                if targets.is_empty() {
                    return;
                }
                let target = &targets[target as usize % targets.len()];
                let mut find = self
                    .world
                    .find(who, target, data, winner as usize % target.models.len());
                find.salt = Salt([data; 32]);
                find.reveal.data_hash = self.content(data);
                if away {
                    find.reveal.embedding = Embedding::draw(&Seed([data; 32]), DIM as usize);
                }
                let commit = find.commit();
                let receipt = self.world.one(who, commit);
                if let Outcome::Applied {
                    created: Some(Created::Submission(id)),
                } = receipt.outcome
                {
                    self.finds.push((find, id));
                }
                return;
            }
            Try::Reveal { pick } => {
                // Mostly the newest: older ones have had their chance.
                let Some(index) = self.finds.len().checked_sub(1 + pick as usize % 4) else {
                    return;
                };
                let (find, id) = &self.finds[index];
                (find.who, find.reveal(*id))
            }
            Try::Audit {
                who,
                pick,
                verdict,
                transcript,
            } => {
                let Some(id) = self.world.audited(pick) else {
                    return;
                };
                (who, audit_steps(who, id, verdict, transcript).0)
            }
            Try::RevealAudit {
                who,
                pick,
                verdict,
                transcript,
            } => {
                let Some(id) = self.world.audited(pick) else {
                    return;
                };
                (who, audit_steps(who, id, verdict, transcript).1)
            }
            Try::Race {
                first,
                second,
                target,
                data,
                same,
                late_first,
            } => {
                self.race(first, second, target, data, same, late_first);
                return;
            }
            Try::Storm { picks, order } => {
                self.storm(&picks, order);
                return;
            }
            Try::AuditAll { pick, findings } => {
                let Some(id) = self.world.audited(pick) else {
                    return;
                };
                self.audit(id, findings);
                return;
            }
            Try::Contest { who, pick, findings } => {
                self.contest(who, pick, findings);
                return;
            }
            Try::Challenge { who, pick } => {
                let now = view::epoch(&mut self.world.chain.state).unwrap().unwrap();
                // Mostly a winner, of this epoch or the one before.
                let epochs = [Some(now.epoch), now.epoch.minus(1)];
                let epoch = epochs[pick as usize % 2].unwrap_or(now.epoch);
                let index = u64::from(pick / 2) % (now.hits + 1);
                let Some(submission) = view::winner_at(&mut self.world.chain.state, epoch, index).unwrap()
                else {
                    return;
                };
                (who, Kind::ChallengeSubmission { submission })
            }
            Try::RevealAll => {
                let now = view::epoch(&mut self.world.chain.state).unwrap().unwrap();
                let phase = now
                    .first_height
                    .plus(self.world.genesis.params.audit_commit_blocks);
                if self.audits.iter().any(|(epoch, _, _)| *epoch == now.epoch) {
                    self.world
                        .skip(phase.0.saturating_sub(self.world.chain.height().0 + 1));
                    for (_, who, reveal) in std::mem::take(&mut self.audits) {
                        if self.world.balance(who) > SOMA {
                            self.world.one(who, reveal);
                        }
                    }
                }
                return;
            }
            Try::ReportAll { model, count } => {
                let model = self.model(model).1;
                for who in 0..count.min(4) {
                    if self.world.balance(who) > SOMA {
                        self.world.one(
                            who,
                            Kind::ReportModel {
                                model,
                                fault: ModelFault::BadWeights,
                            },
                        );
                    }
                }
                return;
            }
            Try::WithdrawPart { who, pick, percent } => {
                let (stakes, _) = view::stakes(&mut self.world.chain.state, address(who), 0, 100).unwrap();
                if stakes.is_empty() {
                    return;
                }
                let stake = stakes[pick as usize % stakes.len()];
                let part = Shannons(stake.counting.0 / 100 * u64::from(percent));
                (
                    who,
                    Kind::WithdrawStake {
                        pool: stake.pool,
                        amount: Withdrawal::Amount(part),
                    },
                )
            }
            Try::Register { who } => (who, register(&self.world.genesis, who, 1_000 * SOMA)),
            Try::Leave { who } => (who, Kind::LeaveValidator),
            Try::Rent { who, rate } => (
                who,
                Kind::SetRentVote {
                    rent_per_mib_epoch: Shannons(rate),
                },
            ),
            Try::Upgrade(ref changes) => {
                let activation = self.world.epoch().0 + 2;
                let index = view::counters(&mut self.world.chain.state)
                    .unwrap()
                    .unwrap()
                    .proposals;
                for who in 0..4 {
                    if self.world.balance(who) > SOMA {
                        self.world.one(who, propose(upgrade(changes, activation)));
                        self.world.one(who, vote(index, Ballot::Approve));
                    }
                }
                return;
            }
            Try::Blocks { count } => {
                self.world.skip(u64::from(count));
                return;
            }
            Try::Epoch => {
                let next = self.world.epoch().0 + 1;
                self.world.until_epoch(next);
                return;
            }
        };
        let balance = self.world.balance(who);
        if balance < SOMA / 100 {
            return; // It could not pay its fee, and would be refused.
        }
        let receipt = self.world.one(who, kind);
        if let Outcome::Applied {
            created: Some(Created::Model(model)),
        } = receipt.outcome
        {
            self.models.push((who, model));
        }
        if let Outcome::Failed { rejection } = receipt.outcome {
            assert!(!rejection.is_refusal(), "{rejection}");
        }
    }
}

/// The two steps of an audit, as a random one is numbered.
fn audit_steps(who: u8, winner: SubmissionId, number: u8, transcript: u8) -> (Kind, Kind) {
    let verdict = verdict(number);
    // Where nothing was scored there is none.
    let transcript = if verdict.has_transcript() { transcript } else { 0 };
    audit_kinds(who, winner, verdict, transcript)
}
