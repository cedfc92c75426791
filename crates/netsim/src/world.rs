//! A network in simulated time: what goes wrong is done to it, and what came of it is read from its storage.

mod seats;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    time::Duration,
};

use commonware_p2p::{
    Manager as _,
    simulated::{self, Network, Oracle},
};
use commonware_runtime::{Clock as _, Supervisor as _, deterministic::Context};
use commonware_utils::{NZUsize, TryCollect as _, ordered::Set};
use futures::future::{Either, select};
use soma_ledger::view;
use soma_node::{consensus::Identity, engine, runtime::now_ms};

use crate::{
    committee::Committee,
    findings::{Findings, Stored},
    load::{Load, SENDERS},
    log::Log,
    plant::Plant,
    scenario::Scenario,
    validator::Running,
};

/// Between two looks at the world.
const TICK: Duration = Duration::from_millis(50);
/// Between two payments.
const PAYMENT_INTERVAL_MS: u64 = 200;
/// Blocks that every honest validator must finalize after healing, above the highest before.
const BLOCKS_AFTER: u64 = 5;
/// How long that may take after healing, in simulated milliseconds. A clock that was believed to be wrong
/// takes half of it.
pub const RECOVERY_MS_MAX: u64 = 60_000;
/// How long a validator may take to read its own storage, in simulated milliseconds.
const READING_MS_MAX: u64 = 20_000;
/// How long a validator may take to answer. One whose process is over never does.
const ANSWER: Duration = Duration::from_secs(4);

/// A place in the committee.
#[derive(Default)]
struct Seat {
    running: Vec<Running>,
    boots: u32,
    /// When it is to be started.
    due_ms: u64,
}

/// Which ledgers are broken.
pub type Plants = BTreeMap<usize, Plant>;

/// A network.
pub struct World<'a> {
    context: Context,
    oracle: Oracle<Identity, Context>,
    scenario: &'a Scenario,
    plants: &'a Plants,
    committee: Committee,
    load: Load,
    log: Log,
    seats: Vec<Seat>,
    /// Links as they are.
    links: BTreeMap<(usize, usize), (Duration, Duration, String)>,
    /// Faults that need to begin once, and have.
    begun: BTreeSet<usize>,
    ended: Vec<(usize, String)>,
    /// Whether the end has come, and validators only read what they hold.
    reading: Option<Reading>,
}

/// Validators are alone, to read what they hold.
struct Reading;

impl<'a> World<'a> {
    /// A network of nobody yet.
    pub fn new(context: Context, scenario: &'a Scenario, plants: &'a Plants, log: Log) -> Self {
        let committee = Committee::new(scenario.validators);
        let count = u32::try_from(scenario.validators).expect("few validators are simulated");
        let (network, oracle) = Network::new(
            context.child("network"),
            simulated::Config {
                max_size: engine::message_bytes_max(count),
                max_peers_per_set: NZUsize!(scenario.validators),
                disconnect_on_block: true,
                tracked_peer_sets: NZUsize!(1),
            },
        );
        network.start();
        let all: Set<Identity> = committee
            .identities()
            .into_iter()
            .try_collect()
            .expect("names are distinct");
        let mut manager = oracle.manager();
        manager.track(0, all);
        Self {
            context,
            oracle,
            scenario,
            plants,
            load: Load::new(committee.genesis.clone(), scenario.traffic),
            committee,
            log,
            seats: (0..scenario.validators).map(|_| Seat::default()).collect(),
            links: BTreeMap::new(),
            begun: BTreeSet::new(),
            ended: Vec::new(),
            reading: None,
        }
    }

    fn now_ms(&self) -> u64 {
        now_ms(&self.context)
    }

    /// Lives through the scenario, and tells what came of it.
    pub async fn live(mut self) -> Findings {
        let recovery = self.suffer_and_recover().await;
        let mut findings = Findings {
            byzantine: self.scenario.byzantine(),
            payments: self.load.hashes(),
            expected: self.load.expected().to_vec(),
            recovery: Some(recovery),
            blocked: self.blocked().await,
            ..Findings::default()
        };
        findings.stored = self.read_storage().await;
        findings.told = self.log.told();
        findings.replaced = self.log.replaced();
        findings.ended = std::mem::take(&mut self.ended);
        for seat in 0..self.seats.len() {
            self.stop(seat, "the end");
        }
        // Tasks that were ended let go of the world before it goes.
        self.context.sleep(TICK).await;
        findings
    }

    async fn suffer_and_recover(&mut self) -> Result<u64, String> {
        let healed_ms = self.scenario.healed_ms;
        let mut paid_ms = 0;
        let mut goal = None;
        loop {
            self.tick().await;
            let now_ms = self.now_ms();
            let mut ended = self.ended.iter();
            if let Some((one, _)) = ended.find(|(one, _)| !self.scenario.byzantine().contains(one)) {
                return Err(format!(
                    "validator {one} stopped, and nothing was wrong with its disk"
                ));
            }
            if now_ms < healed_ms {
                if now_ms >= paid_ms + PAYMENT_INTERVAL_MS {
                    self.load.want();
                    paid_ms = now_ms;
                }
            } else {
                let heights = || self.honest().map(|one| self.log.height(one));
                let goal = *goal.get_or_insert_with(|| heights().max().unwrap_or(0) + BLOCKS_AFTER);
                let behind = self.honest().find(|one| self.log.height(*one) < goal);
                let unpaid = self.unpaid().await;
                if behind.is_none() && unpaid.is_none() {
                    return Ok(now_ms - healed_ms);
                }
                if now_ms > healed_ms + RECOVERY_MS_MAX {
                    let late = format!("{} s after healing", RECOVERY_MS_MAX / 1_000);
                    return Err(match (behind, unpaid) {
                        (Some(one), _) => {
                            let height = self.log.height(one);
                            format!("{late} validator {one} is at block {height}, and was to be at {goal}")
                        }
                        (None, reason) => format!("{late} {}", reason.unwrap_or_default()),
                    });
                }
            }
            self.context.sleep(TICK).await;
        }
    }

    /// What `question` comes to, if it is answered.
    async fn ask<T>(&self, question: impl Future<Output = T>) -> Option<T> {
        match select(pin!(question), pin!(self.context.sleep(ANSWER))).await {
            Either::Left((answer, _)) => Some(answer),
            Either::Right(_) => None,
        }
    }

    fn honest(&self) -> impl Iterator<Item = usize> {
        let byzantine = self.scenario.byzantine();
        (0..self.scenario.validators).filter(move |one| !byzantine.contains(one))
    }

    /// What was not paid yet at some honest validator.
    async fn unpaid(&self) -> Option<String> {
        let wanted = self.load.wanted();
        for one in self.honest() {
            let Some(query) = self.seats[one].running.first().and_then(Running::query) else {
                return Some(format!("validator {one} does not run"));
            };
            for (index, wanted) in wanted.iter().enumerate().take(SENDERS) {
                let address = crate::load::sender(index).address();
                let read = self.ask(query.view(|state| view::account(state, address))).await;
                let made = read.and_then(Result::ok).map_or(0, |account| account.nonce);
                if made < *wanted {
                    return Some(format!(
                        "sender {index} has made {made} of {wanted} payments by the state of validator {one}"
                    ));
                }
            }
        }
        None
    }

    async fn blocked(&self) -> Vec<(usize, usize)> {
        let names = self.committee.identities();
        let place = |name: &Identity| names.iter().position(|one| one == name);
        let blocked = self.oracle.blocked().await.unwrap_or_default();
        blocked
            .iter()
            .filter_map(|(one, other)| Some((place(one)?, place(other)?)))
            .collect()
    }

    /// Ends everybody at once, and starts the honest again, where nobody hears them.
    async fn read_storage(&mut self) -> BTreeMap<usize, Result<Stored, String>> {
        for seat in 0..self.seats.len() {
            self.stop(seat, "ended, to read its storage");
        }
        self.reading = Some(Reading);
        let end_ms = self.now_ms() + READING_MS_MAX;
        let mut stored: BTreeMap<usize, Result<Stored, String>> = self
            .honest()
            .map(|one| (one, Err("it did not start".to_owned())))
            .collect();
        let told: Vec<u64> = (0..self.seats.len()).map(|one| self.log.height(one)).collect();
        while self.now_ms() < end_ms && stored.values().any(Result::is_err) {
            self.tick().await;
            self.context.sleep(TICK).await;
            for one in self.honest().collect::<Vec<_>>() {
                if stored[&one].is_ok() {
                    continue;
                }
                let Some(query) = self.seats[one].running.first().and_then(Running::query) else {
                    continue;
                };
                let read = self.ask(Stored::read(&query, self.scenario.validators)).await;
                let read = read.unwrap_or_else(|| Err("it does not answer".into()));
                let read = read.and_then(|read| {
                    if read.height < told[one] {
                        return Err(format!(
                            "its state is of block {}, and {} was final",
                            read.height, told[one]
                        ));
                    }
                    Ok(read)
                });
                stored.insert(one, read);
            }
        }
        stored
    }

    /// Brings the world up to date: links, disks, who runs.
    async fn tick(&mut self) {
        let now_ms = self.now_ms();
        self.update_links(now_ms).await;
        for seat in 0..self.seats.len() {
            self.bury(seat, now_ms);
            if self.is_down(seat, now_ms) {
                self.stop(seat, "crashed");
                self.seats[seat].due_ms = now_ms;
            } else if self.seats[seat].running.is_empty() && now_ms >= self.seats[seat].due_ms {
                self.start(seat).await;
            }
            self.update_disk(seat, now_ms);
        }
    }
}
