//! A network in simulated time: what goes wrong is done to it, and what came of it is read from its storage.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
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
use soma_node::{
    consensus::Identity,
    engine::{self, CHANNELS, channel_quota},
    runtime::now_ms,
};

use crate::{
    byzantine::{self, BACKFILL, BLOCKS, Noise, Rule, VOTES},
    committee::Committee,
    disk::{Condition, Disk, Full, OutOfDescriptors},
    fault::Kind,
    findings::{Findings, Stored},
    load::{Load, SENDERS},
    log::Log,
    plant::Plant,
    scenario::Scenario,
    validator::{Running, Setup},
};

/// Between two looks at the world.
const TICK: Duration = Duration::from_millis(50);
/// Between two payments.
const PAYMENT_INTERVAL_MS: u64 = 200;
/// What ended is started again so much later, as a service's manager does.
const RESTART_MS: u64 = 1_000;
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

    /// Whether a fault keeps a validator from running.
    fn is_down(&self, seat: usize, now_ms: u64) -> bool {
        if self.reading.is_some() {
            return self.scenario.byzantine().contains(&seat);
        }
        self.scenario.at(now_ms).any(|kind| match kind {
            Kind::Crash { validator } | Kind::Silent { validator } => *validator == seat,
            Kind::Outage => true,
            _ => false,
        })
    }

    fn stop(&mut self, seat: usize, why: &str) {
        let running = std::mem::take(&mut self.seats[seat].running);
        if !running.is_empty() {
            self.log.note(seat, self.now_ms(), why);
        }
        running.into_iter().for_each(Running::stop);
    }

    /// Ends what is left of a process that has ended by itself.
    fn bury(&mut self, seat: usize, now_ms: u64) {
        let running = &self.seats[seat].running;
        let torn = running.iter().any(|one| one.disk.is_halted());
        let ended = running
            .iter()
            .find_map(|one| Some((one.life.ended()?, one.disk.failures())));
        let why = match (torn, ended) {
            (true, _) => "crashed inside a storage operation".to_owned(),
            (false, Some((reason, 0))) => {
                self.ended.push((seat, reason.clone()));
                format!("stopped, with a sound disk: {reason}")
            }
            (false, Some((reason, failures))) => {
                format!("stopped after {failures} failures of its disk: {reason}")
            }
            (false, None) => return,
        };
        self.stop(seat, &why);
        self.seats[seat].due_ms = now_ms + RESTART_MS;
    }

    fn update_disk(&mut self, seat: usize, now_ms: u64) {
        let mut condition = Condition::default();
        for (place, fault) in self.scenario.faults.iter().enumerate() {
            let is_there = fault.is_there(now_ms) && self.reading.is_none();
            match &fault.kind {
                Kind::Torn {
                    validator,
                    operations,
                } if *validator == seat => {
                    for one in &self.seats[seat].running {
                        if !is_there {
                            one.disk.keep_whole();
                        } else if self.begun.insert(place) {
                            one.disk.tear_after(*operations);
                        }
                    }
                }
                Kind::FailingDisk { validator, permille } if *validator == seat && is_there => {
                    condition.failing_permille = condition.failing_permille.max(*permille);
                }
                Kind::FullDisk { validator } if *validator == seat && is_there => condition.full = Some(Full),
                Kind::NoDescriptors { validator } if *validator == seat && is_there => {
                    condition.out_of_descriptors = Some(OutOfDescriptors);
                }
                Kind::SlowDisk { validator, delay_ms } if *validator == seat && is_there => {
                    condition.delay_ms = condition.delay_ms.max(*delay_ms);
                }
                _ => {}
            }
        }
        self.seats[seat]
            .running
            .iter()
            .for_each(|one| one.disk.set(condition));
    }

    async fn update_links(&mut self, now_ms: u64) {
        let names = self.committee.identities();
        for from in 0..names.len() {
            for to in (0..names.len()).filter(|to| *to != from) {
                let link = match self.reading {
                    Some(Reading) => None,
                    None => self.scenario.link(from, to, now_ms),
                };
                let wanted = link
                    .as_ref()
                    .map(|link| (link.latency, link.jitter, format!("{:?}", link.success_rate)));
                if self.links.get(&(from, to)) == wanted.as_ref() {
                    continue;
                }
                if self.links.remove(&(from, to)).is_some() {
                    let removed = self
                        .oracle
                        .remove_link(names[from].clone(), names[to].clone())
                        .await;
                    removed.expect("the link was there");
                }
                if let (Some(link), Some(wanted)) = (link, wanted) {
                    let added = self
                        .oracle
                        .add_link(names[from].clone(), names[to].clone(), link)
                        .await;
                    added.expect("no link was there");
                    self.links.insert((from, to), wanted);
                }
            }
        }
    }

    async fn start(&mut self, seat: usize) {
        let name = self.committee.identity(seat);
        let mut channels = Vec::new();
        for id in 0..=CHANNELS {
            let registered = self
                .oracle
                .control(name.clone())
                .register(id, channel_quota())
                .await;
            channels.push(registered.expect("the network runs"));
        }
        let Seat { boots, .. } = self.seats[seat];
        self.seats[seat].boots += 1;
        self.log.note(seat, self.now_ms(), "starts");
        let context = self
            .context
            .child("validator")
            .with_attribute("index", seat)
            .with_attribute("boot", boots);
        let role = self.scenario.faults.iter().map(|fault| &fault.kind);
        let role = role.filter(|kind| kind.byzantine() == Some(seat)).next_back();
        let rule = |id: usize| match role {
            Some(Kind::Twins { .. }) => Rule::Halves(self.halves(seat)),
            Some(Kind::Withholder { .. }) if [BACKFILL, BLOCKS].contains(&id) => Rule::Mute,
            Some(_) => Rule::All,
            None => Rule::Alone,
        };
        let shared = channels.into_iter().enumerate();
        let shared = shared.map(|(id, channel)| byzantine::share(channel, context.child("ears"), &rule(id)));
        let (firsts, seconds): (Vec<_>, Vec<_>) = shared.map(|[first, second]| (first, second)).unzip();
        let seed = self.scenario.seed.wrapping_mul(1_000_003) ^ (seat as u64) << 32 ^ u64::from(boots);
        let setup = |partition: String| {
            let scenario = self.scenario.clone();
            Setup {
                index: seat,
                boot: boots,
                partition,
                committee: self.committee.clone(),
                offset: Arc::new(move |now_ms| scenario.ahead_ms(seat, now_ms)),
                load: self.load.clone(),
                log: self.log.clone(),
                plant: self.plants.get(&seat).copied(),
            }
        };
        let start = |setup: Setup, channels| {
            let context = context.child("process");
            Running::start(context, setup, Disk::new(seed), &self.oracle, channels)
        };
        let mut running = vec![start(setup(format!("validator-{seat}")), firsts)];
        match role {
            Some(Kind::Twins { .. }) => running.push(start(setup(format!("twin-{seat}")), seconds)),
            Some(Kind::Equivocator { .. }) => {
                let scheme = self
                    .committee
                    .dealt
                    .scheme(&self.committee.genesis.chain_id().0, seat);
                let votes = seconds.into_iter().nth(VOTES).expect("votes have a channel");
                byzantine::equivocate(&context, seed, scheme, votes);
            }
            Some(kind @ (Kind::Garbage { .. } | Kind::Stale { .. })) => {
                let noise = match kind {
                    Kind::Garbage { .. } => Noise::Garbage,
                    _ => Noise::Stale,
                };
                for (id, channel) in seconds.into_iter().enumerate() {
                    byzantine::make_noise(&context, seed ^ id as u64, noise, channel);
                }
            }
            _ => {}
        }
        self.seats[seat].running = running;
    }

    /// The others in two halves, which the seed chooses.
    fn halves(&self, seat: usize) -> [BTreeSet<Identity>; 2] {
        let others = (0..self.scenario.validators).filter(|one| *one != seat);
        let (first, second): (Vec<usize>, Vec<usize>) =
            others.partition(|one| (self.scenario.seed >> one) & 1 == 0);
        [first, second].map(|half| half.into_iter().map(|one| self.committee.identity(one)).collect())
    }
}
