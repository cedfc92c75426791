//! One network, through one node: its connections, its journal, and what is read from it.

use std::{
    collections::HashMap,
    fmt::Display,
    future::Future,
    io::Read as _,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use pyo3::prelude::*;
use serde::Serialize;
use soma_blobs::{Blob, ContainerError};
use soma_client::{
    Account, ClientError, Journal, ModelFilter, NodeClient, SubmissionFilter, TargetFilter, Wallets,
};
use soma_files::Output;
use soma_types::{
    Address, ChainId, ContentHash, Epoch, ModelId, Shannons, TransactionHash,
    amount::SHANNONS_PER_SOMA,
    api::{ModelView, Status},
    phase::Phase,
};
use tokio::sync::Mutex as Turn;

use crate::{
    failure::Failure,
    keys::Keypair,
    operation::{Answer, Operation, Outcome, blocking, here},
};

/// For how long a wait for an epoch bears a node that does not answer.
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The most that a model is staked with by the network's word alone.
const STAKE_MAX: Shannons = Shannons(100 * SHANNONS_PER_SOMA);
/// Waits without a limit of their own.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// What the operations of a client share.
pub struct Connection {
    /// The node, with the one pool of connections.
    pub node: NodeClient,
    journal: Journal,
    /// The network that it was on when first asked, or that it has to be on.
    chain: OnceLock<ChainId>,
    max_fee: Option<Shannons>,
    max_stake: Shannons,
    accounts: Mutex<HashMap<Address, Known>>,
    /// The epoch of the last commit of weights that waits for its reveal.
    committed: Mutex<Option<(ModelId, Epoch)>>,
}

/// An account, and the turn of who publishes with it.
#[derive(Clone)]
pub struct Known {
    /// The account.
    pub account: Account,
    /// Held from looking for a model until weights are committed to it.
    pub publishing: Arc<Turn<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// How the node stands; an error if it is on another network than before.
    pub async fn status(&self) -> Result<Status, Failure> {
        let status = self.node.status().await?;
        let expected = *self.chain.get_or_init(|| status.chain);
        if status.chain != expected {
            let found = status.chain;
            return Err(ClientError::OtherChain { expected, found }.into());
        }
        Ok(status)
    }

    /// The account of a key, one for all operations: it gives out nonces in order.
    pub async fn account(&self, keys: &soma_types::Keypair) -> Result<Known, Failure> {
        let chain = self.status().await?.chain;
        let mut accounts = lock(&self.accounts);
        let known = accounts.entry(keys.address()).or_insert_with(|| {
            let account = Account::new(self.node.clone(), keys.clone(), self.journal.clone())
                .on_chain(chain)
                .rehearsing();
            Known {
                account: match self.max_fee {
                    Some(max_fee) => account.with_max_fee(max_fee),
                    None => account,
                },
                publishing: Arc::default(),
            }
        });
        Ok(known.clone())
    }

    /// The least stake of a model, as the node tells it: for it comes out of the account of whoever asks.
    pub async fn least_stake(&self) -> Result<Shannons, Failure> {
        let (least, most) = (self.node.params().await?.model_stake_min, self.max_stake);
        if least > most {
            return Err(Failure::Stake { least, most });
        }
        Ok(least)
    }

    /// Notes a commit that waits for its reveal.
    pub fn note_commit(&self, model: ModelId, epoch: Epoch) {
        *lock(&self.committed) = Some((model, epoch));
    }

    /// Notes that no reveal of a model is due: it was made, or the model is given up.
    pub fn settle_commit(&self, model: ModelId) {
        let mut committed = lock(&self.committed);
        if committed.is_some_and(|(waiting, _)| waiting == model) {
            *committed = None;
        }
    }

    /// Waits until `epoch` is in progress or over; bears a node that restarts.
    async fn wait_for_epoch(&self, epoch: Option<Epoch>, timeout: Duration) -> Result<Epoch, Failure> {
        let (start, mut wanted, mut silent_since) = (Instant::now(), epoch, None);
        loop {
            let pause = match self.status().await {
                Ok(status) => {
                    silent_since = None;
                    let next = *wanted.get_or_insert(status.epoch.next());
                    if status.epoch >= next {
                        return Ok(status.epoch);
                    }
                    let end = status.epoch_first_height.plus(status.epoch_length_blocks);
                    let blocks = end.0.saturating_sub(status.height.0);
                    Duration::from_millis(blocks.saturating_mul(status.block_ms.p50) / 2)
                }
                Err(Failure::Client(error))
                    if error.is_passing() || matches!(error, ClientError::TimedOut { .. }) =>
                {
                    if silent_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                        return Err(error.into());
                    }
                    PAUSE_MAX
                }
                Err(error) => return Err(error),
            };
            let waited = start.elapsed();
            if waited >= timeout {
                let what =
                    wanted.map_or_else(|| "the next epoch".to_owned(), |epoch| format!("epoch {epoch}"));
                return Err(ClientError::GaveUp { what, waited }.into());
            }
            tokio::time::sleep(pause.clamp(PAUSE_MIN, PAUSE_MAX).min(timeout - waited)).await;
        }
    }

    /// The receipt of a transaction that someone else signed, once it has one.
    async fn receipt_of(&self, hash: TransactionHash, timeout: Duration) -> Outcome {
        let start = Instant::now();
        loop {
            let view = self.node.transaction(&hash).await?;
            if let Some(receipt) = view.and_then(|view| view.receipt) {
                return Answer::json(&receipt);
            }
            let waited = start.elapsed();
            if waited >= timeout {
                let what = format!("transaction {hash}");
                return Err(ClientError::GaveUp { what, waited }.into());
            }
            tokio::time::sleep(PAUSE_MIN).await;
        }
    }
}

/// Models, and the epoch in which they stand so: a change of commission counts from the next.
#[derive(Serialize)]
struct InEpoch {
    epoch: Epoch,
    models: Vec<ModelView>,
}

/// A network, as Python has it. `soma_sdk.SomaClient` is the public face.
#[pyclass(frozen, module = "soma_sdk._soma_sdk")]
pub struct Client {
    connection: Arc<Connection>,
    process: u32,
}

/// Reads a value that a caller gave as text.
pub fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, Failure> {
    text.trim().parse().map_err(Failure::argument)
}

/// A time limit in seconds; none for ever.
fn limit(seconds: Option<f64>) -> Result<Duration, Failure> {
    match seconds {
        None => Ok(FOREVER),
        Some(seconds) => Duration::try_from_secs_f64(seconds)
            .map(|limit| limit.min(FOREVER))
            .map_err(|_| Failure::argument(format!("{seconds} is no time in seconds"))),
    }
}

impl Client {
    /// An operation on this network.
    pub fn operation<F: Future<Output = Outcome> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Connection>) -> F,
    ) -> Result<Operation, Failure> {
        here(self.process)?;
        Operation::new(self.process, work(Arc::clone(&self.connection)))
    }

    /// An operation whose answer is a value.
    fn ask<T: Serialize, F>(&self, question: impl FnOnce(Arc<Connection>) -> F) -> Result<Operation, Failure>
    where
        F: Future<Output = Result<T, ClientError>> + Send + 'static,
    {
        self.operation(|connection| {
            let asked = question(connection);
            async move { Answer::json(&asked.await?) }
        })
    }
}

#[pymethods]
impl Client {
    /// A client of the node at `address`, whose journal is in the folder `home`. Asks nothing yet.
    #[new]
    #[pyo3(signature = (address, home=None, chain=None, max_fee=None, max_stake=None))]
    fn new(
        address: &str,
        home: Option<PathBuf>,
        chain: Option<&str>,
        max_fee: Option<u64>,
        max_stake: Option<u64>,
    ) -> Result<Self, Failure> {
        let home = match home {
            Some(home) => home,
            None => Wallets::default_directory().map_err(Failure::argument)?,
        };
        let pinned = OnceLock::new();
        if let Some(chain) = chain {
            let _ = pinned.set(parse(chain)?);
        }
        Ok(Self {
            connection: Arc::new(Connection {
                node: NodeClient::new(address)?,
                journal: Wallets::new(home).journal(),
                chain: pinned,
                max_fee: max_fee.map(Shannons),
                max_stake: max_stake.map_or(STAKE_MAX, Shannons),
                accounts: Mutex::default(),
                committed: Mutex::default(),
            }),
            process: std::process::id(),
        })
    }

    /// The node's address, without user name and password.
    #[getter]
    fn address(&self) -> String {
        self.connection.node.address().to_owned()
    }

    /// The network's id, once it is known.
    #[getter]
    fn chain(&self) -> Option<String> {
        self.connection.chain.get().map(ToString::to_string)
    }

    fn status(&self) -> Result<Operation, Failure> {
        self.operation(|connection| async move { Answer::json(&connection.status().await?) })
    }

    fn params(&self) -> Result<Operation, Failure> {
        self.ask(|connection| async move { connection.node.params().await })
    }

    /// The least stake of a model, in shannons.
    fn least_stake(&self) -> Result<Operation, Failure> {
        self.operation(|connection| async move { Answer::json(&connection.least_stake().await?) })
    }

    #[pyo3(signature = (epoch=None))]
    fn epoch(&self, epoch: Option<u64>) -> Result<Operation, Failure> {
        self.ask(move |connection| async move { connection.node.epoch(epoch.map(Epoch)).await })
    }

    fn account(&self, address: &str) -> Result<Operation, Failure> {
        let address = parse(address)?;
        self.ask(move |connection| async move { connection.node.account(&address).await })
    }

    #[pyo3(signature = (status=None, owner=None))]
    fn models(&self, status: Option<&str>, owner: Option<&str>) -> Result<Operation, Failure> {
        let filter = ModelFilter {
            status: status.map(|text| phase("model", text)).transpose()?,
            owner: owner.map(parse).transpose()?,
        };
        self.operation(move |connection| async move {
            let epoch = connection.status().await?.epoch;
            let models = connection.node.models(&filter).await?;
            Answer::json(&InEpoch { epoch, models })
        })
    }

    fn model(&self, model: &str) -> Result<Operation, Failure> {
        let model = parse(model)?;
        self.operation(move |connection| async move {
            let epoch = connection.status().await?.epoch;
            let models = vec![connection.node.model(&model).await?];
            Answer::json(&InEpoch { epoch, models })
        })
    }

    /// The latest targets that stand so, at most `limit`: of an epoch, or of all those that are filled.
    #[pyo3(signature = (limit, status=None, epoch=None))]
    fn targets(&self, limit: usize, status: Option<&str>, epoch: Option<u64>) -> Result<Operation, Failure> {
        let phase = status.map(|text| phase("target", text)).transpose()?;
        let epoch = epoch.map(Epoch);
        self.ask(move |connection| async move {
            connection
                .node
                .latest_targets(&TargetFilter { phase, epoch }, limit)
                .await
        })
    }

    fn target(&self, target: &str) -> Result<Operation, Failure> {
        let target = parse(target)?;
        self.ask(move |connection| async move { connection.node.target(&target).await })
    }

    /// The latest submissions, at most `limit`; of a model those that it predicts best.
    #[pyo3(signature = (limit, submitter=None, target=None, status=None, model=None))]
    fn submissions(
        &self,
        limit: usize,
        submitter: Option<&str>,
        target: Option<&str>,
        status: Option<&str>,
        model: Option<&str>,
    ) -> Result<Operation, Failure> {
        let filter = SubmissionFilter {
            submitter: submitter.map(parse).transpose()?,
            target: target.map(parse).transpose()?,
            model: model.map(parse).transpose()?,
            phase: status.map(|text| phase("submission", text)).transpose()?,
        };
        self.ask(move |connection| async move { connection.node.latest_submissions(&filter, limit).await })
    }

    fn submission(&self, submission: &str) -> Result<Operation, Failure> {
        let submission = parse(submission)?;
        self.ask(move |connection| async move { connection.node.submission(&submission).await })
    }

    fn validators(&self) -> Result<Operation, Failure> {
        self.ask(|connection| async move { connection.node.validators().await })
    }

    fn transaction(&self, hash: &str) -> Result<Operation, Failure> {
        let hash = parse(hash)?;
        self.ask(move |connection| async move { connection.node.transaction(&hash).await })
    }

    fn fetch_model(&self, model: &str) -> Result<Operation, Failure> {
        let model = parse(model)?;
        self.operation(move |connection| async move {
            let fetched = connection.node.fetch_model(&model).await?;
            let read = blocking(move || {
                let mut weights = fetched.open()?;
                let mut bytes = Vec::with_capacity(weights.plaintext_bytes() as usize);
                weights.read_to_end(&mut bytes)?;
                Ok::<_, ContainerError>(bytes)
            });
            Ok(Answer::Bytes(read.await?.map_err(ClientError::from)?))
        })
    }

    /// A model's weights, into a file.
    fn fetch_model_to(&self, model: &str, path: PathBuf) -> Result<Operation, Failure> {
        let model = parse(model)?;
        self.operation(move |connection| async move {
            let output = Output::check(&path).map_err(ClientError::from)?;
            connection.node.fetch_model_to(&model, output).await?;
            Answer::json(&())
        })
    }

    /// The winner's data; JSON null where there is no winner.
    fn fetch_target_data(&self, target: &str) -> Result<Operation, Failure> {
        let target = parse(target)?;
        self.operation(move |connection| async move {
            Ok(match connection.node.fetch_target_data(&target).await? {
                Some(data) => Answer::Bytes(data.bytes().map_err(Failure::argument)?.to_vec()),
                None => Answer::json(&())?,
            })
        })
    }

    fn blob(&self, hash: &str) -> Result<Operation, Failure> {
        let hash: ContentHash = parse(hash)?;
        self.operation(move |connection| async move {
            let blob = connection.node.content(&hash).await?;
            Ok(Answer::Bytes(blob.bytes().map_err(Failure::argument)?.to_vec()))
        })
    }

    fn put_blob(&self, bytes: Vec<u8>) -> Result<Operation, Failure> {
        self.ask(move |connection| async move {
            let blob = Blob::from(bytes);
            connection.node.put_blob(&blob).await.map(|()| blob.hash())
        })
    }

    /// Waits for an epoch. Without one: for the epoch in which this client's last commit is to be revealed,
    /// or else the next.
    #[pyo3(signature = (epoch=None, timeout=None))]
    fn wait_for_epoch(&self, epoch: Option<u64>, timeout: Option<f64>) -> Result<Operation, Failure> {
        let timeout = limit(timeout)?;
        self.operation(move |connection| async move {
            let due = lock(&connection.committed).map(|(_, epoch)| epoch.next());
            let reached = connection
                .wait_for_epoch(epoch.map(Epoch).or(due), timeout)
                .await?;
            Answer::json(&reached)
        })
    }

    /// Asks a localnet's faucet, and waits for its payment; the receipt.
    #[pyo3(signature = (address, amount=None))]
    fn faucet(&self, address: &str, amount: Option<u64>) -> Result<Operation, Failure> {
        let address: Address = parse(address)?;
        self.operation(move |connection| async move {
            let hash = connection.node.faucet(&address, amount.map(Shannons)).await?;
            connection.receipt_of(hash, Duration::from_secs(60)).await
        })
    }

    fn __repr__(&self) -> String {
        format!("Client({})", self.connection.node.address())
    }
}

/// The account of a signer, for an operation.
pub fn keys_of(signer: &Keypair) -> soma_types::Keypair {
    signer.keys().clone()
}

/// A status by its name; what it may be otherwise is told.
fn phase<T: Phase>(what: &str, text: &str) -> Result<T, Failure> {
    T::named(text).ok_or_else(|| {
        let known: Vec<&str> = T::ALL.iter().map(|phase| phase.name()).collect();
        Failure::argument(format!(
            "'{text}' is no {what}'s status: give {}",
            known.join(", ")
        ))
    })
}
