//! Who runs: starts and ends of processes.

use std::{collections::BTreeSet, sync::Arc};

use commonware_runtime::Supervisor as _;
use soma_node::{
    consensus::Identity,
    engine::{CHANNELS, channel_quota},
};

use crate::{
    byzantine::{self, BACKFILL, BLOCKS, Noise, Rule, VOTES},
    disk::Disk,
    fault::Kind,
    validator::{Running, Setup},
    world::World,
};

/// What ended is started again so much later, as a service's manager does.
const RESTART_MS: u64 = 1_000;

impl World<'_> {
    pub(super) fn stop(&mut self, seat: usize, why: &str) {
        let running = std::mem::take(&mut self.seats[seat].running);
        if !running.is_empty() {
            self.log.note(seat, self.now_ms(), why);
        }
        running.into_iter().for_each(Running::stop);
    }

    /// Ends what is left of a process that has ended by itself.
    pub(super) fn bury(&mut self, seat: usize, now_ms: u64) {
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

    pub(super) async fn start(&mut self, seat: usize) {
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
        let boots = self.seats[seat].boots;
        self.seats[seat].boots += 1;
        self.log.note(seat, self.now_ms(), "starts");
        let context = self
            .context
            .child("validator")
            .with_attribute("index", seat)
            .with_attribute("boot", boots);
        let mut kinds = self.scenario.faults.iter().map(|fault| &fault.kind);
        let role = kinds.rfind(|kind| kind.byzantine() == Some(seat));
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
