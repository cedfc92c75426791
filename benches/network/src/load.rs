//! Payments at a steady rate, and what became of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use soma_client::NodeClient;
use soma_types::{
    ChainId, Epoch, Height, Keypair, Shannons, SignedTransaction, Transaction, TransactionHash,
    TransactionKind,
    amount::SHANNONS_PER_SOMA,
    list::List,
    transaction::{PAYMENTS_MAX, Payment},
};
use tokio::{sync::Mutex, task::JoinSet, time::sleep_until};

/// A sender hands in so often.
const TICK: Duration = Duration::from_millis(100);
/// Of so many batches of all senders, one payment's time is taken.
const BATCHES_PER_SAMPLE: u64 = 64;
/// Between two questions for it lies so much at least, and a twentieth of what it has waited: asking must not
/// become the load.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSES: u32 = 20;
/// Far enough ahead for any load.
const EXPIRY_EPOCHS: u64 = 30;
/// What the faucet gives, all senders together.
const MONEY: Shannons = Shannons(100_000 * SHANNONS_PER_SOMA);
/// What was offered is final within this, or lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sender number `sender`.
fn keys(sender: u64) -> Keypair {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&(sender + 1).to_le_bytes());
    Keypair::from_secret_bytes(secret)
}

/// Who pays, and through whom.
struct Sender {
    keys: Keypair,
    node: NodeClient,
    nonce: u64,
}

/// All senders.
pub struct Load {
    chain: ChainId,
    senders: Vec<Arc<Mutex<Sender>>>,
    node: NodeClient,
}

/// What became of a load.
pub struct Seen {
    /// While it was offered.
    pub final_per_second: f64,
    /// Of all that was taken up; nothing of it was lost.
    pub final_total: u64,
    pub refused: u64,
    pub blocks_per_second: f64,
    pub fullest_block: usize,
    /// In the order of handing in, in milliseconds.
    times_ms: Vec<u64>,
}

impl Seen {
    /// Of the times from handing in to final, in milliseconds.
    pub fn percentile(&self, share: f64) -> u64 {
        percentile(self.times_ms.clone(), share)
    }

    /// Whether it grew longer: the same of the last third.
    pub fn last_third_p95(&self) -> u64 {
        percentile(self.times_ms[self.times_ms.len() * 2 / 3..].to_vec(), 0.95)
    }
}

fn percentile(mut times: Vec<u64>, share: f64) -> u64 {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get((last as f64 * share) as usize).copied().unwrap_or(0)
}

impl Load {
    /// `senders` of them, each with money, shared out between the validators that serve at `apis`.
    pub async fn new(apis: &[String], senders: u64) -> Self {
        assert!(
            (1..=PAYMENTS_MAX as u64).contains(&senders),
            "1 to {PAYMENTS_MAX} senders"
        );
        let nodes: Vec<NodeClient> = apis
            .iter()
            .map(|api| NodeClient::new(api).expect("it is an address"))
            .collect();
        let sender = |index: u64| Sender {
            keys: keys(index),
            node: nodes[index as usize % nodes.len()].clone(),
            nonce: 0,
        };
        let load = Self {
            chain: nodes[0].status().await.expect("it answers").chain,
            senders: (0..senders)
                .map(|index| Arc::new(Mutex::new(sender(index))))
                .collect(),
            node: nodes[0].clone(),
        };
        load.share_out().await;
        load
    }

    /// The faucet pays the first sender, and they the others.
    async fn share_out(&self) {
        let mut first = self.senders[0].lock().await;
        let given = self
            .node
            .faucet(&first.keys.address(), Some(MONEY))
            .await
            .expect("there is a faucet");
        wait(&self.node, &given, Instant::now()).await;
        let amount = Shannons(MONEY.0 / (self.senders.len() as u64 + 1));
        let others = 1..self.senders.len() as u64;
        let payments = others.map(|other| Payment {
            to: keys(other).address(),
            amount,
        });
        let transaction = Transaction {
            chain: self.chain,
            sender: first.keys.public_key(),
            nonce: 0,
            expires: Epoch(EXPIRY_EPOCHS),
            max_fee: Shannons(10 * SHANNONS_PER_SOMA),
            kind: TransactionKind::Transfer {
                payments: List::new(payments.collect()).expect("they are no more than fit"),
            },
        };
        let paid = self
            .node
            .submit(&transaction.sign(&first.keys))
            .await
            .expect("it is taken up");
        wait(&self.node, &paid, Instant::now()).await;
        first.nonce = 1;
    }

    async fn height(&self) -> Option<Height> {
        self.node.status().await.ok().map(|status| status.height)
    }

    /// Offers `rate` payments a second for `time`, waits until what was taken up is final, and says what
    /// became of them.
    pub async fn offer(&mut self, rate: u64, time: Duration) -> Seen {
        let refused = Arc::new(AtomicU64::new(0));
        let samples = Arc::new(Mutex::new(Vec::new()));
        let epoch = self.node.status().await.expect("it answers").epoch;
        let from = self.height().await.expect("it answers");
        let nonces = self.final_nonces().await;
        let start = Instant::now();
        let mut senders = JoinSet::new();
        for (index, sender) in self.senders.iter().enumerate() {
            let offer = Offer {
                chain: self.chain,
                expires: epoch.plus(EXPIRY_EPOCHS),
                index: index as u64,
                senders: self.senders.len() as u64,
                rate,
                start,
                time,
                refused: refused.clone(),
                samples: samples.clone(),
            };
            let sender = sender.clone();
            senders.spawn(async move { offer.run(&mut *sender.lock().await).await });
        }
        let watched = self.node.clone();
        let end = tokio::spawn(async move {
            sleep_until((start + time).into()).await;
            watched.status().await.expect("it answers").height
        });
        while senders
            .join_next()
            .await
            .transpose()
            .expect("no sender panics")
            .is_some()
        {}
        let to = end.await.expect("it does not panic");
        let blocks = self.blocks(from, to).await;
        let final_total = self.settled().await - nonces;
        let mut samples = std::mem::take(&mut *samples.lock().await);
        samples.sort_unstable();
        Seen {
            final_per_second: blocks.iter().sum::<usize>() as f64 / time.as_secs_f64(),
            final_total,
            refused: refused.load(Relaxed),
            blocks_per_second: blocks.len() as f64 / time.as_secs_f64(),
            fullest_block: blocks.into_iter().max().unwrap_or(0),
            times_ms: samples.into_iter().map(|(_, waited_ms)| waited_ms).collect(),
        }
    }

    /// How many transactions each block after `from` and up to `to` holds.
    async fn blocks(&self, from: Height, to: Height) -> Vec<usize> {
        let mut blocks = Vec::new();
        for height in from.0 + 1..=to.0 {
            let block = self.node.block(Some(Height(height))).await.expect("it is final");
            blocks.push(block.transactions.len());
        }
        blocks
    }

    /// How many payments the ledger holds of all senders.
    async fn final_nonces(&self) -> u64 {
        let mut sum = 0;
        for sender in &self.senders {
            let address = sender.lock().await.keys.address();
            sum += self.node.account(&address).await.expect("it answers").nonce;
        }
        sum
    }

    /// [`Self::final_nonces`], once all that was taken up is final.
    async fn settled(&self) -> u64 {
        let mut taken = 0;
        for sender in &self.senders {
            taken += sender.lock().await.nonce;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let held = self.final_nonces().await;
            if held == taken {
                return held;
            }
            assert!(
                Instant::now() < deadline,
                "lost: {taken} were taken up, {held} are final"
            );
            tokio::time::sleep(TICK).await;
        }
    }
}

/// One sender's part of a load.
struct Offer {
    chain: ChainId,
    expires: Epoch,
    index: u64,
    senders: u64,
    rate: u64,
    start: Instant,
    time: Duration,
    refused: Arc<AtomicU64>,
    samples: Arc<Mutex<Vec<(Instant, u64)>>>,
}

impl Offer {
    async fn run(self, sender: &mut Sender) {
        // Senders do not come all at once.
        let first = self.start + TICK * self.index as u32 / self.senders as u32;
        let ticks = (self.time.as_millis() / TICK.as_millis()) as u64;
        let mut watches = JoinSet::new();
        for tick in 0..ticks {
            sleep_until((first + TICK * tick as u32).into()).await;
            let batch = self.batch(sender, tick);
            if batch.is_empty() {
                continue;
            }
            let before = Instant::now();
            let answers = sender.node.submit_all(&batch).await.expect("it answers");
            let taken = answers.iter().take_while(|answer| answer.is_ok()).count();
            // What follows a refused one has no nonce to follow.
            sender.nonce += taken as u64;
            self.refused.fetch_add((batch.len() - taken) as u64, Relaxed);
            let sampled = (tick * self.senders + self.index).is_multiple_of(BATCHES_PER_SAMPLE);
            if let (true, Some(Ok(hash))) = (sampled, answers[..taken].last()) {
                let (node, samples) = (sender.node.clone(), self.samples.clone());
                let hash = *hash;
                watches.spawn(async move {
                    let waited_ms = wait(&node, &hash, before).await;
                    samples.lock().await.push((before, waited_ms));
                });
            }
        }
        while watches
            .join_next()
            .await
            .transpose()
            .expect("no watch panics")
            .is_some()
        {}
    }

    /// What `sender` hands in with its tick number `tick`.
    fn batch(&self, sender: &Sender, tick: u64) -> Vec<SignedTransaction> {
        // What all senders have to have offered before this turn and after it.
        let per_tick = self.rate as f64 * TICK.as_secs_f64() / self.senders as f64;
        let due = |turns: u64| (per_tick * turns as f64 + self.index as f64 / self.senders as f64) as u64;
        (0..due(tick + 1) - due(tick))
            .map(|offset| {
                let payment = Payment {
                    to: keys((self.index + 1) % self.senders).address(),
                    amount: Shannons(1),
                };
                let transaction = Transaction {
                    chain: self.chain,
                    sender: sender.keys.public_key(),
                    nonce: sender.nonce + offset,
                    expires: self.expires,
                    max_fee: Shannons(SHANNONS_PER_SOMA),
                    kind: TransactionKind::Transfer {
                        payments: List::new(vec![payment]).expect("one is not too many"),
                    },
                };
                transaction.sign(&sender.keys)
            })
            .collect()
    }
}

/// Milliseconds from `since` until `node` says that the transaction is in a final block.
async fn wait(node: &NodeClient, hash: &TransactionHash, since: Instant) -> u64 {
    loop {
        let seen = node.transaction(hash).await.expect("it answers");
        if seen.is_some_and(|seen| seen.receipt.is_some()) {
            return since.elapsed().as_millis() as u64;
        }
        assert!(since.elapsed() < PATIENCE, "{hash} was taken up and is not final");
        tokio::time::sleep(PAUSE.max(since.elapsed() / PAUSES)).await;
    }
}
