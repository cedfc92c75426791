//! What random histories try, and how each try becomes a transaction of what exists.

use soma_types::{
    ContentHash, Embedding, Epoch, ModelId, Salt, Seed, Shannons, SubmissionId, TransactionKind as Kind,
    list::List,
    params::Params,
    receipt::{Created, Outcome},
    transaction::{BasisPoints, ModelFault, Payment, PoolId, Withdrawal},
    upgrade::{Ballot, ParamChange},
};

use crate::{
    testing::{
        DIM, Find, SOMA, World, address, audit_kinds, commit_model, propose, register, reveal_model, upgrade,
        verdict, vote,
    },
    view,
};

/// Something tried, in terms of what exists when its turn comes.
#[derive(Clone, Debug)]
pub(crate) enum Try {
    Pay {
        who: u8,
        to: u8,
        amount: u64,
    },
    AddStake {
        who: u8,
        pool: u8,
        amount: u64,
    },
    Withdraw {
        who: u8,
        pool: u8,
        amount: Option<u64>,
    },
    Create {
        who: u8,
        stake: u64,
    },
    CommitModel {
        model: u8,
        content: u8,
    },
    RevealModel {
        model: u8,
        direction: u8,
    },
    Commission {
        model: u8,
        points: u16,
    },
    Deactivate {
        model: u8,
    },
    Report {
        who: u8,
        model: u8,
    },
    Commit {
        who: u8,
        target: u8,
        data: u8,
        winner: u8,
        away: bool,
    },
    Reveal {
        pick: u8,
    },
    Audit {
        who: u8,
        pick: u8,
        verdict: u8,
        transcript: u8,
    },
    RevealAudit {
        who: u8,
        pick: u8,
        verdict: u8,
        transcript: u8,
    },
    /// Two submit to one target, and reveal in either order.
    Race {
        first: u8,
        second: u8,
        target: u8,
        data: u8,
        same: bool,
        late_first: bool,
    },
    /// Many commit in one block, and reveal in the next two in another order.
    Storm {
        picks: Vec<(u8, u8, u8)>,
        order: u64,
    },
    /// Validators audit a winner; their reveals wait for the second phase.
    AuditAll {
        pick: u8,
        findings: [Option<(u8, u8)>; 4],
    },
    Challenge {
        who: u8,
        pick: u8,
    },
    /// Someone challenges a winner, and validators audit it.
    Contest {
        who: u8,
        pick: u8,
        findings: [Option<(u8, u8)>; 4],
    },
    /// Waits for the second phase, if it is not over, and reveals what was committed.
    RevealAll,
    /// Several validators report the same model.
    ReportAll {
        model: u8,
        count: u8,
    },
    /// Takes a part of what is there.
    WithdrawPart {
        who: u8,
        pick: u8,
        percent: u8,
    },
    Register {
        who: u8,
    },
    Leave {
        who: u8,
    },
    Rent {
        who: u8,
        rate: u64,
    },
    /// All who can vote for a change of parameters.
    Upgrade(Vec<ParamChange>),
    Blocks {
        count: u8,
    },
    Epoch,
}

/// Turns tries into transactions.
pub(crate) struct Driver {
    pub world: World,
    pub models: Vec<(u8, ModelId)>,
    finds: Vec<(Find, SubmissionId)>,
    /// Reveals of audits, with the epoch they belong to.
    audits: Vec<(Epoch, u8, Kind)>,
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
}

/// The two steps of an audit, as a random one is numbered.
fn audit_steps(who: u8, winner: SubmissionId, number: u8, transcript: u8) -> (Kind, Kind) {
    let verdict = verdict(number);
    // Where nothing was scored there is none.
    let transcript = if verdict.has_transcript() { transcript } else { 0 };
    audit_kinds(who, winner, verdict, transcript)
}

impl Driver {
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
    fn content(&mut self, data: u8) -> ContentHash {
        let mut hash = [data % 6; 32];
        hash[0] = self.world.epoch().0 as u8;
        ContentHash(hash)
    }

    /// Validators commit to findings on a winner.
    fn audit(&mut self, winner: SubmissionId, findings: [Option<(u8, u8)>; 4]) {
        for (finding, who) in findings.into_iter().zip(0..) {
            let Some((number, transcript)) = finding else {
                continue;
            };
            let (commit, reveal) = audit_kinds(who, winner, verdict(number), transcript);
            if self.world.balance(who) > SOMA && self.world.one(who, commit).applied() {
                self.audits.push((self.world.epoch(), who, reveal));
            }
        }
    }

    /// A winner of this epoch is challenged, audited in the next, and the verdicts are revealed.
    fn contest(&mut self, who: u8, pick: u8, findings: [Option<(u8, u8)>; 4]) {
        let now = view::epoch(&mut self.world.chain.state).unwrap().unwrap();
        let index = u64::from(pick) % now.hits.max(1);
        let winner = view::winner_at(&mut self.world.chain.state, now.epoch, index).unwrap();
        let Some(winner) = winner.filter(|_| self.world.balance(who) > SOMA) else {
            return;
        };
        self.world
            .one(who, Kind::ChallengeSubmission { submission: winner });
        self.world.until_epoch(now.epoch.0 + 1);
        self.world.skip(self.world.genesis.params.challenge_blocks());
        self.audit(winner, findings);
        self.run(&Try::RevealAll);
    }

    fn race(&mut self, first: u8, second: u8, target: u8, data: u8, same: bool, late_first: bool) {
        let targets = self.world.open_targets();
        if targets.is_empty() || [first, second].iter().any(|who| self.world.balance(*who) < SOMA) {
            return;
        }
        let target = &targets[target as usize % targets.len()];
        let mut finds = [
            self.world.find(first, target, data, 0),
            self.world.find(second, target, data, 0),
        ];
        for (find, data) in finds
            .iter_mut()
            .zip([data, if same { data } else { data.wrapping_add(1) }])
        {
            find.reveal.data_hash = self.content(data);
        }
        finds[1].salt = Salt([data; 32]);
        let mut steps = Vec::new();
        for find in &finds {
            let receipt = self.world.one(find.who, find.commit());
            if let Outcome::Applied {
                created: Some(Created::Submission(id)),
            } = receipt.outcome
            {
                steps.push((find.who, find.reveal(id)));
            }
        }
        if late_first {
            steps.reverse();
        }
        for (who, reveal) in steps {
            self.world.one(who, reveal);
        }
    }

    fn storm(&mut self, picks: &[(u8, u8, u8)], order: u64) {
        let targets = self.world.open_targets();
        if targets.is_empty() || picks.iter().any(|(who, _, _)| self.world.balance(*who) < SOMA) {
            return;
        }
        let finds: Vec<Find> = picks
            .iter()
            .map(|(who, target, data)| {
                let target = &targets[*target as usize % targets.len()];
                let mut find = self.world.find(*who, target, *data, 0);
                find.reveal.data_hash = self.content(data % 3);
                find
            })
            .collect();
        let receipts = self
            .world
            .block(finds.iter().map(|find| (find.who, find.commit())).collect());
        let mut reveals: Vec<(u64, u8, Kind)> = Vec::new();
        for (index, (find, receipt)) in finds.iter().zip(&receipts).enumerate() {
            if let Outcome::Applied {
                created: Some(Created::Submission(id)),
            } = receipt.outcome
            {
                let place = order.rotate_left(8 * index as u32) & 0xff;
                reveals.push((place, find.who, find.reveal(id)));
            }
        }
        reveals.sort_by_key(|(place, _, _)| *place);
        let later = reveals.split_off(reveals.len() / 2);
        for half in [reveals, later] {
            self.world
                .block(half.into_iter().map(|(_, who, reveal)| (who, reveal)).collect());
        }
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
