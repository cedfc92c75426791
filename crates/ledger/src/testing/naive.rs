//! The economy a second time, written from docs/protocol.md for clarity: plain maps, everything in `u128`,
//! everything recomputed, no overlays, no queues, no running totals. A failed transaction is undone by
//! putting the old copy of the whole economy back. It shares the public vocabulary (`soma_types`) with the
//! ledger and none of its rules, and runs in lockstep with it (`compare`).
//!
//! Taken from the ledger as given: the fixed-point logarithm, whose method is its definition, and the
//! derivation of ids and seeds. Where the text leaves a choice open, a comment that starts with "Choice:"
//! says what the ledger chose.

mod act;
mod audits;
mod compare;
mod epochs;
mod equivocation;
mod models;
mod pools;
mod races;
mod stakes;
mod upgrades;
mod validators;

use std::collections::{BTreeMap, BTreeSet};

use soma_types::{
    Address, ChainId, Commitment, ContentHash, Embedding, ModelId, PublicKey, Seed, Shannons, SubmissionId,
    TargetId,
    genesis::Genesis,
    objects::{
        AuditFinding, AuditOutcome, AuditStage, CommittedWeights, EpochRecord, Inactivity, ModelStatus, Seat,
        Submission, Target, Weights,
    },
    params::Params,
    transaction::{BasisPoints, PoolId},
    upgrade::Proposal,
};

use crate::BlockInfo;

/// Everything that exists.
#[derive(Clone, Debug)]
pub struct Economy {
    /// The rules in force.
    pub params: Params,
    chain: ChainId,
    /// What the whole emission was at genesis, and what of it is left.
    emission_total: u128,
    emission_left: u128,

    height: u64,
    now: Now,
    accounts: BTreeMap<Address, Account>,
    pools: BTreeMap<PoolId, Pool>,
    validators: BTreeMap<Address, Validator>,
    committees: BTreeMap<u64, Vec<Seat>>,
    /// By epoch and validator.
    duties: BTreeMap<(u64, Address), Duty>,
    /// Withdrawn stake, in order.
    unbonding: Vec<Unbonding>,
    withdrawals: u64,
    models: BTreeMap<ModelId, Model>,
    /// Who reported which weights of which model in which epoch.
    reports: BTreeSet<(ModelId, u64, u64, Address)>,
    targets: BTreeMap<TargetId, Target>,
    /// In which order the races for targets began.
    races: Vec<TargetId>,
    submissions: BTreeMap<SubmissionId, Submission>,
    /// The last height at which a commit may be revealed.
    deadlines: BTreeMap<SubmissionId, u64>,
    proposals: Vec<Proposal>,
    /// Whose data it is.
    claims: BTreeMap<ContentHash, SubmissionId>,
    votes: BTreeMap<(SubmissionId, AuditStage, Address), (Commitment, Option<AuditFinding>)>,
    outcomes: BTreeMap<SubmissionId, AuditOutcome>,
    /// Commits of weights and data so far.
    sequence: u64,
    reward_pool: u128,
    burned: u128,
    /// Closed epochs.
    closed: Vec<EpochRecord>,
    /// The closed epoch whose turn to be paid it is, and how many of its winners and seats are paid.
    paying: usize,
    paid_winners: u64,
    paid_seats: usize,
}

/// The epoch in progress.
#[derive(Clone, Debug, Default)]
struct Now {
    epoch: u64,
    first_height: u64,
    seed: Seed,
    started_ms: u64,
    multiplier_q16: u128,
    rent_rate: u128,
    /// The least bond of a reveal.
    bond_floor: u128,
    /// Draws the auditors of challenged winners, once nobody can challenge any more.
    challenge_seed: Option<Seed>,
    z_q16: i64,
    mean_hits_q16: u64,
    window: u64,
    window_hits: u64,
    targets_opened: u64,
    committed: u64,
    revealed: u64,
    hits: u64,
    models: u64,
    transactions: u64,
    fees: u128,
    rent: u128,
    forfeits: u128,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Account {
    balance: u128,
    nonce: u64,
}

/// A share of rewards and the epoch from which it is in force, latest last.
type Rates = Vec<(u64, BasisPoints)>;

fn rate_at(rates: &Rates, epoch: u64) -> BasisPoints {
    let (_, rate) = rates
        .iter()
        .rev()
        .find(|(since, _)| *since <= epoch)
        .unwrap_or(&rates[0]);
    *rate
}

/// A new rate counts from the next epoch; the last one set in an epoch is the one that counts.
fn set_rate(rates: &mut Rates, rate: BasisPoints, epoch: u64) {
    rates.retain(|(since, _)| *since <= epoch);
    rates.push((epoch + 1, rate));
}

#[derive(Clone, Debug, Default)]
struct Pool {
    /// What all shares are worth.
    worth: u128,
    /// All shares, with those that rounding left without an owner.
    issued: u128,
    shares: BTreeMap<Address, u128>,
    /// Stake that is not shares yet.
    lots: Vec<Lot>,
    /// Of what was added in an epoch, what a slash's rounding left without an owner.
    unowned: BTreeMap<u64, u128>,
    slash: Option<Slash>,
    /// What counts in this epoch.
    counted: u128,
}

#[derive(Clone, Debug)]
struct Lot {
    owner: Address,
    epoch: u64,
    amount: u128,
}

#[derive(Clone, Debug)]
struct Unbonding {
    owner: Address,
    amount: u128,
    release: u64,
    pool: PoolId,
    withdrawn: u64,
    /// Its place among all withdrawals.
    number: u64,
}

/// What an equivocation cost a pool.
#[derive(Clone, Copy, Debug)]
struct Slash {
    /// The epoch of the votes.
    offence: u64,
    share: BasisPoints,
    /// How many withdrawals there had been, of all pools.
    withdrawals: u64,
}

#[derive(Clone, Debug)]
struct Validator {
    network_key: PublicKey,
    commission: Rates,
    leaving: bool,
    /// Choice: one that left keeps its place, and its key, until all of its pool is shares.
    listed: bool,
    rent_vote: Option<u128>,
    /// Whether it has equivocated.
    barred: bool,
}

#[derive(Clone, Debug, Default)]
struct Duty {
    blocks: u128,
    audits: u128,
    agreed: u128,
}

#[derive(Clone, Debug)]
struct Model {
    owner: Address,
    commission: Rates,
    status: ModelStatus,
    retiring: Option<Inactivity>,
    weights: Option<(Weights, Embedding)>,
    previous: Option<Weights>,
    revealed: Option<(Weights, Embedding)>,
    committed: Option<CommittedWeights>,
    /// Which weights the committee found unusable.
    faulted: Option<u64>,
    hits: u64,
    hits_total: u64,
    rewards_total: u128,
}

impl Model {
    fn is_live(&self) -> bool {
        self.status != ModelStatus::Retired && self.retiring.is_none()
    }
}

fn shannons(amount: u128) -> Shannons {
    Shannons(u64::try_from(amount).expect("no amount exceeds the supply"))
}

fn money(amount: Shannons) -> u128 {
    u128::from(amount.0)
}

/// A share of an amount, rounded down.
fn part(amount: u128, share: BasisPoints) -> u128 {
    amount * u128::from(share.get()) / 10_000
}

impl Economy {
    /// Genesis is block 0 of epoch 0.
    pub fn new(genesis: &Genesis) -> Self {
        let params = genesis.params.clone();
        let mut pools = BTreeMap::new();
        let mut validators = BTreeMap::new();
        let mut seats = Vec::new();
        for one in &genesis.validators {
            let stake = money(one.stake);
            // Choice: a new pool has 1000 shares to the shannon.
            let pool = Pool {
                worth: stake,
                issued: 1_000 * stake,
                shares: BTreeMap::from([(one.address, 1_000 * stake)]),
                lots: Vec::new(),
                unowned: BTreeMap::new(),
                slash: None,
                counted: stake,
            };
            pools.insert(PoolId::Validator(one.address), pool);
            let validator = Validator {
                network_key: one.network_key,
                commission: vec![(0, one.commission)],
                leaving: false,
                listed: true,
                rent_vote: None,
                barred: false,
            };
            validators.insert(one.address, validator);
            seats.push(Seat {
                validator: one.address,
                network_key: one.network_key,
                stake: one.stake,
                commission: one.commission,
            });
        }
        seats.sort_by_key(|seat| (std::cmp::Reverse(seat.stake), seat.validator));
        let accounts: BTreeMap<Address, Account> = genesis
            .accounts
            .iter()
            .map(|funded| {
                let balance = money(funded.balance);
                (funded.address, Account { balance, nonce: 0 })
            })
            .collect();
        let funded: u128 = accounts.values().map(|account| account.balance).sum();
        let staked: u128 = pools.values().map(|pool| pool.worth).sum();
        let emission_total = 10_000_000 * 1_000_000_000 - funded - staked;
        let now = Now {
            multiplier_q16: 1 << 16,
            rent_rate: money(params.rent_per_mib_epoch),
            z_q16: params.difficulty_start_q16,
            mean_hits_q16: goal_q16(&params),
            ..Now::default()
        };
        let mut economy = Self {
            chain: genesis.chain_id(),
            emission_total,
            emission_left: emission_total,
            height: 0,
            now,
            accounts,
            pools,
            validators,
            committees: BTreeMap::from([(0, seats)]),
            duties: BTreeMap::new(),
            unbonding: Vec::new(),
            withdrawals: 0,
            models: BTreeMap::new(),
            reports: BTreeSet::new(),
            targets: BTreeMap::new(),
            races: Vec::new(),
            submissions: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            proposals: Vec::new(),
            claims: BTreeMap::new(),
            votes: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            sequence: 0,
            reward_pool: 0,
            burned: 0,
            closed: Vec::new(),
            paying: 0,
            paid_winners: 0,
            paid_seats: 0,
            params,
        };
        economy.now.bond_floor = economy.bond_floor(economy.emission(0), 0);
        economy
    }

    /// What earlier blocks decided, in this order: races end, commits expire, the boundary, and then
    /// what is due is paid.
    pub fn begin(&mut self, block: &BlockInfo) {
        self.height = block.height.0;
        let boundary = self.height - self.now.first_height >= self.params.epoch_blocks;
        self.settle_races(block, boundary);
        self.expire_commits();
        if boundary {
            self.close_epoch(block);
        } else {
            if self.height == 1 {
                (self.now.seed, self.now.started_ms) = (block.seed, block.timestamp_ms);
            }
            let offset = self.height - self.now.first_height;
            let window = offset * u64::from(self.params.difficulty_windows) / self.params.epoch_blocks;
            if window > self.now.window {
                self.end_window();
                self.now.window = window;
            }
        }
        let offset = self.height - self.now.first_height;
        if self.now.challenge_seed.is_none() && offset >= self.params.audit_commit_blocks / 2 {
            self.now.challenge_seed = Some(block.seed);
        }
        if let Some(proposer) = block.proposer {
            self.duties.entry((self.now.epoch, proposer)).or_default().blocks += 1;
        }
        self.release_unbonded();
        for _ in 0..self.params.payouts_per_block {
            self.pay_next();
        }
    }

    fn credit(&mut self, address: Address, amount: u128) {
        // Choice: nobody gets an account by being paid nothing.
        if amount > 0 {
            self.accounts.entry(address).or_default().balance += amount;
        }
    }

    fn balance(&self, address: &Address) -> u128 {
        self.accounts.get(address).map_or(0, |account| account.balance)
    }

    /// Lost by someone: it goes to the reward pool.
    fn forfeit(&mut self, amount: u128) {
        self.reward_pool += amount;
        self.now.forfeits += amount;
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence - 1
    }

    fn seats(&self) -> &[Seat] {
        &self.committees[&self.now.epoch]
    }
}

/// The greatest root, in 1/65536, whose square is no more than `x`: bit by bit, from the highest.
fn root_q16(x: u32) -> u64 {
    let square = u64::from(x) << 32;
    (0..32).rev().map(|place| 1 << place).fold(0_u64, |root, bit| {
        let next = root | bit;
        if next * next <= square { next } else { root }
    })
}

/// Hits wanted in a window.
fn goal_q16(params: &Params) -> u64 {
    (params.hits_goal << 16) / u64::from(params.difficulty_windows)
}
