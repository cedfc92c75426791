//! One simulated validator, from its start to its end: the production validator, a client, and who watches.

use std::{sync::Arc, time::Duration};

use commonware_actor::Feedback;
use commonware_consensus::{Reporter, marshal::Update};
use commonware_cryptography::Digestible as _;
use commonware_p2p::{
    Sender,
    simulated::{self, Oracle},
};
use commonware_runtime::{Clock as _, Handle, Spawner as _, Supervisor as _, deterministic::Context};
use commonware_utils::sync::Mutex;
use futures::future::pending;
use soma_ledger::view;
use soma_node::{
    block::Block,
    consensus::Identity,
    engine::{Channel, Channels, Timeouts},
    query::Query,
    runtime::now_ms,
    time::{Offset, Time},
    validator::{self, Config},
};

use crate::{
    committee::Committee,
    disk::Disk,
    host::{Host, Life},
    load::{Load, SENDERS, sender},
    log::Log,
    plant::{Plant, Planted},
};

/// Between two times that a client hands in what is not included.
const CLIENT_INTERVAL: Duration = Duration::from_millis(350);
/// Most payments of a sender that a client hands in at a time.
const PAYMENTS_AT_ONCE: u64 = 64;

/// A way to look into a running validator; empty before it runs. Whoever stops the validator empties it, for
/// it holds its storage open.
pub type Window = Arc<Mutex<Option<Query<Host>>>>;

/// What a validator is started with.
pub struct Setup {
    /// Which one of the committee it is.
    pub index: usize,
    /// How often it was started before.
    pub boot: u32,
    /// Its storage is kept under this name.
    pub partition: String,
    /// The committee.
    pub committee: Committee,
    /// How far its clock is ahead of everybody's.
    pub offset: Offset,
    /// What its clients want to pay.
    pub load: Load,
    /// Where it is noted what it does.
    pub log: Log,
    /// What is wrong with its ledger.
    pub plant: Option<Plant>,
}

/// A validator that was started.
pub struct Running {
    handle: Handle<()>,
    window: Window,
    /// Its disk.
    pub disk: Disk,
    /// Whether its process has ended.
    pub life: Life,
}

impl Running {
    /// Starts it on `disk`.
    pub fn start(
        context: Context,
        setup: Setup,
        disk: Disk,
        oracle: &Oracle<Identity, Context>,
        channels: Vec<Channel<impl Sender<PublicKey = Identity>, simulated::Receiver<Identity>>>,
    ) -> Self {
        let (life, window) = (Life::default(), Window::default());
        let (peers, blocker) = (
            oracle.manager(),
            oracle.control(setup.committee.identity(setup.index)),
        );
        let (ending, opening) = (life.clone(), window.clone());
        let host = Host::new(context, disk.clone(), life.clone());
        let handle = host.spawn(move |host| async move {
            let mut channels = channels.into_iter();
            let mut next = || channels.next().expect("a validator is given all its channels");
            let engine = Channels::register(|_, _| next());
            let gossip = next();
            let Setup {
                index,
                boot,
                partition,
                committee,
                offset,
                load,
                log,
                plant,
            } = setup;
            let genesis = committee.genesis.clone();
            let config = Config {
                identity: committee.dealt.members[index].identity.clone(),
                scheme: committee.dealt.scheme(&genesis.chain_id().0, index),
                genesis,
                partition,
                peers,
                blocker,
                time: Time::new(offset),
                timeouts: Timeouts::default(),
                // Whatever was final can be looked at in the end.
                retained_blocks: 1 << 20,
            };
            let clock = host.child("clock");
            let validator = validator::start(
                host.child("validator"),
                config,
                engine,
                gossip,
                |ledger| Planted { ledger, plant },
                |inner| Watched {
                    inner,
                    index,
                    log,
                    clock: Arc::new(clock),
                },
            )
            .await;
            let query = validator.query.clone();
            host.child("client")
                .spawn(move |context| hand_in(context, query, load, index + boot as usize));
            *opening.lock() = Some(validator.query);
            let ended = validator.handle.await;
            ending.end(format!("its engine stopped: {ended:?}"));
            pending::<()>().await;
        });
        Self {
            handle,
            window,
            disk,
            life,
        }
    }

    /// Looks into it.
    #[must_use]
    pub fn query(&self) -> Option<Query<Host>> {
        self.window.lock().clone()
    }

    /// Its process ends at once.
    pub fn stop(self) {
        self.handle.abort();
        drop(self.window.lock().take());
    }
}

/// A client of one validator: it hands in what its senders want to pay and what the validator's state does
/// not hold. Each sender comes to all validators in turn.
async fn hand_in(context: Host, query: Query<Host>, load: Load, first: usize) {
    let validators = load.validators();
    for round in first.. {
        context.sleep(CLIENT_INTERVAL).await;
        let wanted = load.wanted();
        for (index, wanted) in wanted.iter().enumerate().take(SENDERS) {
            if (round + index) % validators != 0 {
                continue;
            }
            let address = sender(index).address();
            let Ok(account) = query.view(|state| view::account(state, address)).await else {
                continue;
            };
            let until = (*wanted).min(account.nonce + PAYMENTS_AT_ONCE);
            let payments: Vec<_> = (account.nonce..until)
                .map(|nonce| load.encoded(index, nonce))
                .collect();
            // What another was given before is known, and what was included meanwhile is refused.
            let _ = query.submit_all(payments).await;
        }
    }
}

/// Notes every block that becomes final.
#[derive(Clone)]
struct Watched<R> {
    inner: R,
    index: usize,
    log: Log,
    clock: Arc<Host>,
}

impl<R: Reporter<Activity = Update<Block>>> Reporter for Watched<R> {
    type Activity = Update<Block>;

    fn report(&mut self, update: Update<Block>) -> Feedback {
        if let Update::Block(block, _) = &update {
            let height = block.inner().header().height.get();
            self.log
                .tell(self.index, now_ms(&*self.clock), height, block.inner().digest());
        }
        self.inner.report(update)
    }
}
