//! Random histories: whatever is tried, nothing panics, and money is neither made nor lost (the world
//! counts all of it after every block).

use std::collections::BTreeMap;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use soma_types::{
    ContentHash, Embedding, Epoch, ModelId, Rejection, Salt, Seed, Shannons, SubmissionId,
    TransactionKind as Kind,
    amount::MAX_SUPPLY,
    event::Event,
    list::List,
    params::Params,
    receipt::{Created, Outcome},
    transaction::{BasisPoints, ModelFault, Payment, PoolId, Verdict, Withdrawal},
    upgrade::{Ballot, ParamChange},
};

use super::{
    staking::register,
    upgrades::{propose, upgrade, vote},
    world::{DIM, Find, SOMA, World, address, audit_kinds, tiny},
};
use crate::view;

/// Something tried, in terms of what exists when its turn comes.
#[derive(Clone, Debug)]
enum Try {
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

fn amounts() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..5_u64,
        SOMA / 1_000..50 * SOMA,
        Just(9_000 * SOMA),
        Just(u64::MAX)
    ]
}

/// Mostly that the score is false, so that there are majorities.
fn finding() -> impl Strategy<Value = Option<(u8, u8)>> {
    prop_oneof![4 => Just(Some((3, 1))), 2 => Just(Some((0, 1))), 1 => Just(Some((1, 0))), 1 => Just(None)]
}

fn tries() -> impl Strategy<Value = Try> {
    let who = 0..10_u8;
    prop_oneof![
        2 => (who.clone(), who.clone(), amounts()).prop_map(|(who, to, amount)| Try::Pay { who, to, amount }),
        3 => (who.clone(), any::<u8>(), amounts()).prop_map(|(who, pool, amount)| Try::AddStake { who, pool, amount }),
        3 => (who.clone(), any::<u8>(), prop::option::of(amounts())).prop_map(|(who, pool, amount)| Try::Withdraw { who, pool, amount }),
        1 => (who.clone(), amounts()).prop_map(|(who, stake)| Try::Create { who, stake }),
        3 => (any::<u8>(), 0..4_u8).prop_map(|(model, content)| Try::CommitModel { model, content }),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(model, direction)| Try::RevealModel { model, direction }),
        1 => (any::<u8>(), 0..=10_000_u16).prop_map(|(model, points)| Try::Commission { model, points }),
        1 => any::<u8>().prop_map(|model| Try::Deactivate { model }),
        1 => (0..5_u8, any::<u8>()).prop_map(|(who, model)| Try::Report { who, model }),
        12 => (who.clone(), any::<u8>(), any::<u8>(), 0..3_u8, prop::bool::weighted(0.1)).prop_map(|(who, target, data, winner, away)| Try::Commit { who, target, data, winner, away }),
        12 => any::<u8>().prop_map(|pick| Try::Reveal { pick }),
        6 => (0..5_u8, any::<u8>(), 0..4_u8, 0..2_u8).prop_map(|(who, pick, verdict, transcript)| Try::Audit { who, pick, verdict, transcript }),
        6 => (0..5_u8, any::<u8>(), 0..4_u8, 0..2_u8).prop_map(|(who, pick, verdict, transcript)| Try::RevealAudit { who, pick, verdict, transcript }),
        6 => (who.clone(), who.clone(), any::<u8>(), any::<u8>(), prop::bool::weighted(0.2), any::<bool>()).prop_map(
            |(first, second, target, data, same, late_first)| Try::Race { first, second, target, data, same, late_first }
        ),
        6 => (any::<u8>(), prop::array::uniform4(finding())).prop_map(|(pick, findings)| Try::AuditAll { pick, findings }),
        6 => (prop::collection::vec((0..10_u8, 0..3_u8, any::<u8>()), 2..8), any::<u64>())
            .prop_map(|(picks, order)| Try::Storm { picks, order }),
        4 => (who.clone(), any::<u8>()).prop_map(|(who, pick)| Try::Challenge { who, pick }),
        2 => (who.clone(), any::<u8>(), prop::array::uniform4(finding())).prop_map(|(who, pick, findings)| Try::Contest { who, pick, findings }),
        6 => Just(Try::RevealAll),
        1 => (any::<u8>(), 1..5_u8).prop_map(|(model, count)| Try::ReportAll { model, count }),
        4 => (who.clone(), any::<u8>(), 1..=100_u8).prop_map(|(who, pick, percent)| Try::WithdrawPart { who, pick, percent }),
        1 => who.clone().prop_map(|who| Try::Register { who }),
        1 => who.clone().prop_map(|who| Try::Leave { who }),
        1 => (0..4_u8, amounts()).prop_map(|(who, rate)| Try::Rent { who, rate }),
        8 => (1..6_u8).prop_map(|count| Try::Blocks { count }),
        2 => Just(Try::Epoch),
    ]
}

/// Turns tries into transactions.
struct Driver {
    world: World,
    models: Vec<(u8, ModelId)>,
    finds: Vec<(Find, SubmissionId)>,
    /// Reveals of audits, with the epoch they belong to.
    audits: Vec<(Epoch, u8, Kind)>,
}

impl Driver {
    fn new(params: Params) -> Self {
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

fn verdict(number: u8) -> Verdict {
    [
        Verdict::Valid,
        Verdict::DataUnavailable,
        Verdict::HashMismatch,
        Verdict::FalseScore,
    ][number as usize % 4]
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

    /// A winner of the last epoch, if there is one.
    fn audited(&mut self, pick: u8) -> Option<SubmissionId> {
        let mut tasks = view::audit_tasks(&mut self.world.state, 0, 50).unwrap();
        tasks.extend(view::challenge_tasks(&mut self.world.state, 0, 50).unwrap());
        (!tasks.is_empty()).then(|| tasks[pick as usize % tasks.len()].submission.id)
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
        let now = view::epoch(&mut self.world.state).unwrap().unwrap();
        let index = u64::from(pick) % now.hits.max(1);
        let winner = view::winner_at(&mut self.world.state, now.epoch, index).unwrap();
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

    fn run(&mut self, attempt: &Try) {
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
                (owner, World::commit_model_kind(model, content))
            }
            Try::RevealModel { model, direction } => {
                let (owner, model) = self.model(model);
                (owner, World::reveal_model_kind(model, direction))
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
                verdict: number,
                transcript,
            } => {
                let Some(id) = self.audited(pick) else { return };
                let transcript = if verdict(number).has_transcript() {
                    transcript
                } else {
                    0
                };
                (who, audit_kinds(who, id, verdict(number), transcript).0)
            }
            Try::RevealAudit {
                who,
                pick,
                verdict: number,
                transcript,
            } => {
                let Some(id) = self.audited(pick) else { return };
                let transcript = if verdict(number).has_transcript() {
                    transcript
                } else {
                    0
                };
                (who, audit_kinds(who, id, verdict(number), transcript).1)
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
                let Some(id) = self.audited(pick) else { return };
                self.audit(id, findings);
                return;
            }
            Try::Contest { who, pick, findings } => {
                self.contest(who, pick, findings);
                return;
            }
            Try::Challenge { who, pick } => {
                let now = view::epoch(&mut self.world.state).unwrap().unwrap();
                // Mostly a winner, of this epoch or the one before.
                let epochs = [Some(now.epoch), now.epoch.minus(1)];
                let epoch = epochs[pick as usize % 2].unwrap_or(now.epoch);
                let index = u64::from(pick / 2) % (now.hits + 1);
                let Some(submission) = view::winner_at(&mut self.world.state, epoch, index).unwrap() else {
                    return;
                };
                (who, Kind::ChallengeSubmission { submission })
            }
            Try::RevealAll => {
                let now = view::epoch(&mut self.world.state).unwrap().unwrap();
                let phase = now
                    .first_height
                    .plus(self.world.genesis.params.audit_commit_blocks);
                if self.audits.iter().any(|(epoch, _, _)| *epoch == now.epoch) {
                    self.world.skip(phase.0.saturating_sub(self.world.height.0 + 1));
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
                let (stakes, _) = view::stakes(&mut self.world.state, address(who), 0, 100).unwrap();
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
            Try::Register { who } => (who, register(&self.world, who, 1_000 * SOMA)),
            Try::Leave { who } => (who, Kind::LeaveValidator),
            Try::Rent { who, rate } => (
                who,
                Kind::SetRentVote {
                    rent_per_mib_epoch: Shannons(rate),
                },
            ),
            Try::Upgrade(ref changes) => {
                let activation = self.world.epoch().0 + 2;
                let index = view::counters(&mut self.world.state).unwrap().unwrap().proposals;
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

/// Plays a history to its end under the tests' usual rules, or with a sampled audit and slow payouts.
fn play(tries: &[Try], sampled: bool) -> Driver {
    let params = if sampled {
        Params {
            audit_rate: BasisPoints::new(5_000).unwrap(),
            // Small rewards, so that accounts can afford the floor of the bonds.
            hits_goal: 1 << 20,
            auditors: 2,
            payouts_per_block: 3,
            ..tiny()
        }
    } else {
        tiny()
    };
    play_under(params, tries)
}

/// Plays a history to its end: whatever is under way is over then.
fn play_under(params: Params, tries: &[Try]) -> Driver {
    let mut driver = Driver::new(params);
    for attempt in tries {
        driver.run(attempt);
    }
    let end = driver.world.epoch().0 + 4;
    driver.world.until_epoch(end);
    driver
}

/// Changes of parameters that matter to what is under way. Most are sound, some are not.
fn changes() -> impl Strategy<Value = Vec<ParamChange>> {
    use ParamChange as Change;
    let basis = || (0..=10_000_u16).prop_map(|points| BasisPoints::new(points).unwrap());
    let change = prop_oneof![
        (8..32_u64).prop_map(Change::EpochBlocks),
        (1..16_u64).prop_map(Change::AuditCommitBlocks),
        (1..16_u64).prop_map(Change::SettlementBlocks),
        (1..16_u64).prop_map(Change::RevealBlocks),
        (1..8_u32).prop_map(Change::OpenTargets),
        (1..6_u32).prop_map(Change::ModelsPerTarget),
        (1..6_u32).prop_map(Change::CommitteeSize),
        (0..6_u32).prop_map(Change::Auditors),
        (1..6_u32).prop_map(Change::PayoutsPerBlock),
        (1..16_u32).prop_map(Change::DifficultyWindows),
        (2..9_u64).prop_map(Change::RefreshEpochs),
        (1..5_u64).prop_map(Change::UnbondingEpochs),
        (1..1_u64 << 32).prop_map(Change::HitsGoal),
        (0..2_000_u64).prop_map(|per_byte| Change::BondPerByte(Shannons(per_byte))),
        (0..SOMA).prop_map(|deposit| Change::SubmissionDeposit(Shannons(deposit))),
        basis().prop_map(Change::AuditRate),
        basis().prop_map(Change::ValidatorShare),
        basis().prop_map(Change::LapseSlash),
        basis().prop_map(Change::FaultSlash),
        basis().prop_map(Change::BurnPerYear),
        (0..SOMA).prop_map(|price| Change::AccountPrice(Shannons(price))),
    ];
    prop::collection::vec(change, 1..5)
}

fn tries_and_upgrades() -> impl Strategy<Value = Try> {
    prop_oneof![12 => tries(), 1 => changes().prop_map(Try::Upgrade)]
}

/// Parameters at the edges of what a vote could choose.
pub fn extremes() -> impl Strategy<Value = Params> {
    use prop::sample::select;
    let basis = || select(vec![0, 1, 5_000, 10_000]).prop_map(|points| BasisPoints::new(points).unwrap());
    let time = (
        8_u64..24,
        select(vec![1_u64, 3, 1 << 24]),
        select(vec![1_u64, 365, 1 << 24]),
        1_u64..4,
    );
    let targets = (
        1_u32..9,
        1_u32..6,
        select(vec![1_u64, 1 << 32]),
        select(vec![-4_i64, 0]),
        1_u64..8,
        1_u64..8,
    );
    let money = (
        select(vec![0_u64, 1, SOMA / 100]),
        select(vec![0_u64, 1, 1_000, SOMA]),
        2_u64..9,
    );
    let shares = (basis(), basis(), basis(), basis(), basis());
    (time, targets, money, shares, 0_u32..5, 1_u32..5).prop_map(
        |(time, targets, money, shares, auditors, payouts)| {
            let settlement_blocks = targets.5.min(time.0 - 1);
            let races = time.0.div_ceil(settlement_blocks + 1) as u32;
            let owed = (races * targets.0 + 11).div_ceil(time.0 as u32);
            Params {
                epoch_blocks: time.0,
                emission_epochs: time.1,
                epochs_per_year: time.2,
                unbonding_epochs: time.3,
                audit_commit_blocks: time.0 / 2,
                audit_reveal_blocks: 1 + time.0 / 12,
                hearing_commit_blocks: 1 + time.0 / 12,
                difficulty_windows: 3,
                open_targets: targets.0,
                models_per_target: targets.1,
                hits_goal: targets.2,
                difficulty_start_q16: targets.3 << 16,
                reveal_blocks: targets.4,
                settlement_blocks,
                fee_base: Shannons(money.0),
                bond_per_byte: Shannons(money.1),
                refresh_epochs: money.2,
                burn_per_year: shares.0,
                lapse_slash: shares.1,
                fault_slash: shares.2,
                audit_rate: shares.3.max(BasisPoints::new(1).unwrap()),
                validator_share: shares.4,
                auditors,
                payouts_per_block: payouts.max(owed),
                ..tiny()
            }
            .validate()
            .unwrap()
        },
    )
}

/// The random histories do meet what matters.
#[test]
fn histories_are_not_vacuous() {
    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    for round in 0..40 {
        let strategy = if round % 4 == 3 {
            tries_and_upgrades().boxed()
        } else {
            tries().boxed()
        };
        let tries = prop::collection::vec(strategy, 200..250)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let driver = play(&tries, round % 2 == 1);
        for block in &driver.world.history {
            for event in block
                .events
                .iter()
                .chain(block.receipts.iter().flat_map(|receipt| &receipt.events))
            {
                let mut name = format!("{event:?}");
                if let Event::SubmissionEnded { status, .. } = event {
                    name = format!("Ended:{status:?}");
                }
                if let Event::UpgradeEnded { status, .. } = event {
                    name = format!("Upgrade:{status:?}");
                }
                if let Event::ChallengeEnded { end, .. } = event {
                    name = format!("Challenge:{end:?}");
                }
                let name = name.split([' ', '{']).next().unwrap_or_default();
                *met.entry(name.to_owned()).or_default() += 1;
            }
        }
    }
    for name in [
        "Paid",
        "StakeAdded",
        "StakeWithdrawn",
        "Unbonded",
        "ModelCreated",
        "ModelCommitted",
        "ModelRevealed",
        "ModelActivated",
        "ModelLapsed",
        "ModelReported",
        "ModelFaulted",
        "ModelInactive",
        "TargetOpened",
        "TargetFilled",
        "SubmissionRevealed",
        "Ended:Won",
        "Ended:Paid",
        "Ended:LostRace",
        "Ended:Expired",
        "Ended:FoundFalse",
        "AuditRevealed",
        "SubmissionChallenged",
        "Challenge:Upheld",
        "Challenge:Failed",
        "Challenge:Undecided",
        "UpgradeScheduled",
        "Upgrade:Activated",
        "Upgrade:Expired",
        "ValidatorPaid",
        "ValidatorRegistered",
        "ValidatorLeft",
        "EpochSettled",
        "DifficultyAdjusted",
    ] {
        assert!(met.contains_key(name), "no history had {name}: {met:?}");
    }
}

/// Blocks of a random history, executed on a state that must be loaded piece by piece, end the same.
#[test]
fn histories_do_not_depend_on_what_is_loaded() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..4 {
        let tries = prop::collection::vec(tries(), 60..80)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let mut driver = Driver::new(tiny());
        driver.world.lazily = true;
        for attempt in &tries {
            driver.run(attempt);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_history_conserves_money(tries in prop::collection::vec(tries(), 1..250), sampled: bool) {
        let mut driver = play(&tries, sampled);
        let supply = driver.world.supply();
        prop_assert_eq!(supply.total(), Some(MAX_SUPPLY));
        prop_assert_eq!(supply.deposits, Shannons::ZERO);
        prop_assert_eq!(supply.bonds, Shannons::ZERO);
        prop_assert_eq!(supply.pending, Shannons::ZERO);
        prop_assert_eq!(supply.unbonding, Shannons::ZERO);
    }

    /// Nor does any change of them while all is under way.
    #[test]
    fn any_upgrade_conserves_money(
        tries in prop::collection::vec(tries_and_upgrades(), 1..200),
        sampled: bool,
    ) {
        let mut driver = play(&tries, sampled);
        prop_assert_eq!(driver.world.supply().total(), Some(MAX_SUPPLY));
    }

    /// No choice of parameters breaks the ledger.
    #[test]
    fn any_rules_conserve_money(params in extremes(), tries in prop::collection::vec(tries(), 1..150)) {
        let mut driver = play_under(params, &tries);
        prop_assert_eq!(driver.world.supply().total(), Some(MAX_SUPPLY));
    }

    /// Stake that comes and goes never takes out more than went in, whoever else is in the pool.
    #[test]
    fn rounding_never_favours_the_caller(
        amounts in prop::collection::vec((0..2_u8, SOMA / 1_000..100 * SOMA, prop::bool::ANY), 1..30),
        reward in 0..1_000 * SOMA,
    ) {
        use soma_types::objects::{Pool, PoolPrice, Shares};
        let mut pool = Pool { stake: Shannons(7 * SOMA + 13), shares: Shares(7_000 * u128::from(SOMA)), ..Pool::default() };
        pool.stake.0 += reward;
        for (_, amount, _) in amounts {
            let price = PoolPrice { worth: Shannons(pool.stake.0 + 1), shares: Shares(pool.shares.0 + crate::staking::VIRTUAL_SHARES) };
            let shares = Shares(u128::from(amount) * price.shares.0 / u128::from(price.worth.0));
            let before = pool;
            pool.stake.0 += amount;
            pool.shares.0 += shares.0;
            let worth = crate::staking::worth(&pool, shares).unwrap();
            prop_assert!(worth.0 <= amount);
            // Nor do those who were there lose.
            prop_assert!(crate::staking::worth(&pool, before.shares).unwrap() >= crate::staking::worth(&before, before.shares).unwrap());
        }
        let nothing: Rejection = Rejection::NothingToDo {};
        prop_assert!(!nothing.is_refusal());
    }
}
