//! Reads a tape of bytes as a history: each step is something to try in terms of what exists when its turn
//! comes, at and beside every limit and every phase. Counts what came of it.

mod audits;
mod coverage;
mod market;
mod seats;
mod sending;

use soma_types::{
    Architecture, Commitment, ContentHash, DecryptionKey, Embedding, Epoch, ModelId, Seed, Shannons,
    SubmissionId, TargetId, TransactionKind as Kind,
    amount::MAX_SUPPLY,
    list::List,
    objects::embedding_commitment,
    params::Params,
    transaction::{ModelFault, Payment, PoolId, Withdrawal},
    upgrade::Ballot,
};

use crate::{
    testing::{DIM, Find, World, address, basis, verdict, vote},
    view,
};
use sending::Pending;

pub use coverage::Coverage;

/// One step of a tape.
pub type Step = [u8; 8];

/// Plays a tape on a network beside which the naive economy runs.
#[derive(Debug)]
pub struct Player<'a> {
    world: World,
    coverage: &'a mut Coverage,
    /// Models and their owners.
    models: Vec<(u8, ModelId)>,
    /// What was submitted.
    finds: Vec<(Find, SubmissionId)>,
    /// Reveals of audits that were committed, with their epoch.
    audits: Vec<(Epoch, u8, Kind)>,
    next: Vec<Pending>,
}

/// Accounts in play: validators 0 to 3, owners 4 to 7, others, and two that start with nothing.
const ACCOUNTS: u8 = 12;

impl<'a> Player<'a> {
    /// A network with four models that compete.
    pub fn new(params: Params, coverage: &'a mut Coverage) -> Self {
        let (world, models) = World::in_lockstep(params).populated(4);
        Self {
            world,
            coverage,
            models: models.into_iter().zip(4..).map(|(id, who)| (who, id)).collect(),
            finds: Vec::new(),
            audits: Vec::new(),
            next: Vec::new(),
        }
    }

    /// The rules in force.
    fn params(&mut self) -> Params {
        view::params(&mut self.world.chain.state).unwrap().unwrap()
    }

    /// The next block's place in its epoch.
    fn offset(&mut self) -> u64 {
        let now = view::epoch(&mut self.world.chain.state).unwrap().unwrap();
        (self.world.chain.height().0 + 1 - now.first_height.0) % now.length_blocks
    }

    /// Runs until the next block's place in its epoch is this.
    fn until(&mut self, offset: u64) {
        while self.offset() != offset % self.params().epoch_blocks {
            self.flush();
        }
    }

    fn model(&self, pick: u8) -> (u8, ModelId) {
        self.models[pick as usize % self.models.len()]
    }

    fn pool(&self, pick: u8) -> PoolId {
        match pick % 8 {
            who @ 0..4 => PoolId::Validator(address(who)),
            7 if pick > 200 => PoolId::Validator(address(pick % ACCOUNTS)),
            _ => PoolId::Model(self.model(pick / 8).1),
        }
    }

    /// Reads one step of a tape.
    pub fn step(&mut self, [what, a, b, c, d, e, ..]: Step) {
        let who = a % ACCOUNTS;
        let params = self.params();
        match what % 64 {
            0..3 => {
                let copies = if e == 0 { 3 } else { 1 };
                self.push_sized(who, c, Shannons(1), 0, |amount| {
                    let to = address(b % ACCOUNTS);
                    Kind::Transfer {
                        payments: List::new(vec![Payment { to, amount }; copies]).unwrap(),
                    }
                });
                if e == 1 {
                    let payments = List::new(vec![]).unwrap();
                    self.push(who, Kind::Transfer { payments });
                }
                if e >= 192 {
                    self.pay_strangers(who, b, d);
                }
            }
            3..7 => {
                let pool = self.pool(b);
                self.push_sized(who, c, params.stake_min, 0, |amount| Kind::AddStake {
                    pool,
                    amount,
                });
            }
            7..12 => {
                let pool = self.pool(b);
                // Mostly by someone who has something there.
                let who = match pool {
                    PoolId::Model(id) if d < 128 => self.model_owner(id),
                    PoolId::Validator(address) if d < 128 => self.account(address).unwrap_or(who),
                    _ => who,
                };
                if c > 200 {
                    let amount = Withdrawal::All;
                    self.push(who, Kind::WithdrawStake { pool, amount });
                } else {
                    let held = view::stake(&mut self.world.chain.state, pool, address(who)).unwrap();
                    let least = match pool {
                        PoolId::Validator(_) => params.validator_stake_min,
                        PoolId::Model(_) => params.model_stake_min,
                    };
                    self.push_sized(who, c, least, held.counting.0, |amount| Kind::WithdrawStake {
                        pool,
                        amount: Withdrawal::Amount(amount),
                    });
                }
            }
            12 => {
                let architecture = if d < 16 {
                    Architecture::V1
                } else {
                    params.architecture
                };
                let commission = basis(u16::from(b) * 39);
                self.push_sized(who, c, params.model_stake_min, 0, |stake| Kind::CreateModel {
                    commission,
                    stake,
                    architecture,
                });
            }
            13..17 => {
                let (owner, model) = self.odd_model(b, d);
                let limit = params.weights_size_max_bytes;
                let size_bytes = match c % 16 {
                    0 => 0,
                    1 => limit + 1,
                    2 => limit,
                    3 => 1,
                    size => u64::from(size) << 18,
                };
                // Bound to one of the two that reveals mostly show; hardly ever not where that is asked for.
                let place = Embedding::draw(&Seed([e % 2; 32]), DIM as usize);
                let fixed = embedding_commitment(&address(owner), &DecryptionKey([e % 2; 32]), &place);
                let binds = if params.bound_embeddings == 0 {
                    d % 3 == 0
                } else {
                    d % 16 != 0
                };
                self.push(
                    owner,
                    Kind::CommitModel {
                        model,
                        url: "soma:weights".parse().unwrap(),
                        size_bytes,
                        hash: ContentHash([e % 8; 32]),
                        embedding: binds.then_some(fixed),
                    },
                );
            }
            17..22 => {
                let (owner, model) = self.odd_model(b, d);
                let dim = if c < 16 { DIM + 1 } else { DIM };
                self.push(
                    owner,
                    Kind::RevealModel {
                        model,
                        key: DecryptionKey([if c % 8 == 0 { c } else { e % 2 }; 32]),
                        embedding: Embedding::draw(&Seed([e % 2; 32]), dim as usize),
                    },
                );
            }
            22 => {
                let (owner, model) = self.odd_model(b, d);
                let commission = basis(u16::from(c) * 39);
                self.push(owner, Kind::SetModelCommission { model, commission });
                if e < 12 {
                    self.push(owner, Kind::DeactivateModel { model });
                }
            }
            23 | 24 => {
                let (_, model) = self.odd_model(b, d);
                let fault = ModelFault::BadWeights;
                let reporters = if c < 10 { 4 } else { c % 3 };
                for who in 0..reporters {
                    self.push(who, Kind::ReportModel { model, fault });
                }
                if e < 64 {
                    self.push(0, Kind::ReportModel { model, fault });
                }
            }
            25..32 => {
                let targets = self.world.open_targets();
                if d == 0 || targets.is_empty() {
                    let (target, commitment) = (TargetId([b; 32]), Commitment([c; 32]));
                    self.push(who, Kind::CommitSubmission { target, commitment });
                } else {
                    let fault = if d < 80 { d % 16 } else { 255 };
                    self.commit(who, &targets[b as usize % targets.len()], c, fault);
                    // Its reveal in the same block.
                    if e < 8 {
                        let commit = self.next.last().expect("just pushed");
                        let id = SubmissionId::created_by(&commit.transaction.hash());
                        let reveal = commit.find.as_ref().map(|find| find.reveal(id));
                        self.push(who, reveal.expect("a commit has a find"));
                    } else if fault != 255 {
                        self.flush();
                        self.reveal(0, 255);
                    }
                }
            }
            32..39 => self.reveal(b, d),
            // A race: several commit to one target, and are revealed in another order.
            39..42 => {
                let targets = self.world.open_targets();
                if !targets.is_empty() {
                    let target = targets[b as usize % targets.len()].clone();
                    let first = self.finds.len();
                    for racer in 0..2 + c % 3 {
                        self.commit(
                            (who + racer) % ACCOUNTS,
                            &target,
                            d.wrapping_add(racer * (e % 2)),
                            255,
                        );
                    }
                    self.flush();
                    let ready: Vec<(Find, SubmissionId)> = self.finds[first..].to_vec();
                    for (find, id) in ready.iter().rev() {
                        self.push(find.who, find.reveal(*id));
                        if e % 4 == 0 {
                            self.flush();
                        }
                    }
                }
            }
            42..45 => {
                let verdict = verdict(c);
                if let Some(id) = self.world.audited(b) {
                    let transcript = if verdict.has_transcript() || e < 64 {
                        d % 2
                    } else {
                        0
                    };
                    self.audit(a % 5, id, verdict, transcript);
                }
            }
            45..47 => {
                // The whole committee audits: most agree, on what depends on the step.
                if self.offset() >= params.audit_commit_blocks {
                    self.until(0);
                }
                self.flush();
                if let Some(id) = self.world.audited(b) {
                    self.audit_together(id, verdict(c), d, e);
                }
            }
            47 => self.hear(b, c, d, e),
            48..51 => {
                if c < 200 {
                    self.until(params.audit_commit_blocks);
                }
                self.reveal_audits(d);
            }
            51 => self.validator(who, b, c, d),
            52 => self.push_odd(who, c),
            57 => self.challenge(who, b, c),
            58 | 61 => {
                // A challenge is made, and the committee decides it.
                self.challenge(who, b / 3 * 3, 255);
                self.until(0);
                self.until(params.challenge_blocks());
                self.flush();
                let tasks = view::challenge_tasks(&mut self.world.chain.state, 0, 9).unwrap();
                if let Some(task) = tasks.last() {
                    // Every other time with one voice.
                    let agree = if e < 128 { u8::MAX } else { d };
                    self.audit_together(task.submission.id, verdict(c), agree, u8::MAX);
                    self.until(params.audit_commit_blocks);
                    self.reveal_audits(255);
                }
            }
            63 if b < 128 => self.renew(who),
            59 => self.propose(a, b, c, d, e),
            62 => self.equivocate(a, b, c, d),
            60 => {
                let newest = view::counters(&mut self.world.chain.state)
                    .unwrap()
                    .unwrap()
                    .proposals;
                let proposal = newest.saturating_sub(u64::from(b % 8 / 7 + 1));
                let proposal = if d == 0 { newest } else { proposal };
                for who in 0..c % 8 {
                    let ballot = if (d >> who) & 1 == 1 {
                        Ballot::Approve
                    } else {
                        Ballot::Withdraw
                    };
                    self.push(who, vote(proposal, ballot));
                }
            }
            // The first and last blocks of every phase.
            53 => self.until(0),
            54 => self.until(params.epoch_blocks - 1),
            55 => self.until(params.audit_commit_blocks - 1),
            56 => {
                // The last block in which the newest commit may be revealed, or the one after.
                if let Some((_, id)) = self.finds.last() {
                    let id = *id;
                    let last = self.world.submission(id).committed.0 + params.reveal_blocks;
                    let next = last - u64::from(b % 2) + 1;
                    while self.world.chain.height().0 + 1 < next {
                        self.flush();
                    }
                    self.reveal(0, 255);
                }
            }
            _ => {
                for _ in 0..=b % 3 {
                    self.flush();
                }
            }
        }
        if self.next.len() > 8 || a < 128 {
            self.flush();
        }
    }

    fn account(&self, wanted: soma_types::Address) -> Option<u8> {
        (0..ACCOUNTS).find(|who| address(*who) == wanted)
    }

    /// Whatever is under way comes to its end.
    pub fn finish(mut self) {
        self.flush();
        let end = self.world.epoch().0 + 4;
        self.world.until_epoch(end);
        let supply = self.world.supply();
        assert_eq!(supply.total(), Some(MAX_SUPPLY));
        let waiting = [supply.deposits, supply.bonds, supply.pending, supply.unbonding];
        if self.world.genesis.params.unbonding_epochs == 1 && self.world.genesis.params.payouts_per_block > 2
        {
            assert_eq!(waiting, [Shannons::ZERO; 4]);
        }
    }
}
