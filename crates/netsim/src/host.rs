//! A validator's machine: the simulated runtime with a disk of its own, and a process that ends when a task
//! panics.
//!
//! In production a panic of any task ends the process, and with it the validator alone. Here all validators
//! share a process, so a panic is caught where it begins and noted, and whoever runs the world ends the rest.

use std::{
    any::Any,
    convert::Infallible,
    fmt::Display,
    future::{Future, pending, poll_fn},
    ops::RangeInclusive,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Poll, ready},
    time::{Duration, SystemTime},
};

use commonware_runtime::{
    Blob, BlobVersion, Clock, Error, Handle, IoBufs, IoBufsMut, Metrics, Name, ReadOptions, Spawner, Storage,
    Supervisor, WriteOptions,
    deterministic::{self, Context},
    signal::Signal,
    telemetry::metrics::{Metric, Registered},
};
use commonware_utils::sync::Mutex;
use futures::FutureExt as _;
use governor::clock::{Clock as RateClock, ReasonablyRealtime};
use rand_core::{CryptoRng, TryCryptoRng, TryRng};

use crate::{
    disk::{Disk, Fate, Operation},
    quiet,
};

/// Why a process ended by itself, once it has. Clones share.
#[derive(Clone, Default)]
pub struct Life(Arc<Mutex<Option<String>>>);

impl Life {
    /// The process ends, if it has not yet.
    pub fn end(&self, reason: String) {
        self.0.lock().get_or_insert(reason);
    }

    /// Why it ended.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

/// A machine.
pub struct Host {
    inner: Context,
    disk: Disk,
    life: Life,
}

impl Host {
    /// A machine with `disk`, whose process notes its end in `life`.
    #[must_use]
    pub const fn new(inner: Context, disk: Disk, life: Life) -> Self {
        Self { inner, disk, life }
    }

    fn with(&self, inner: Context) -> Self {
        Self::new(inner, self.disk.clone(), self.life.clone())
    }
}

/// What a panic says.
#[must_use]
pub fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it says nothing");
    match quiet::place() {
        Some(place) => format!("{text} ({place})"),
        None => text.to_owned(),
    }
}

impl Clock for Host {
    fn current(&self) -> SystemTime {
        self.inner.current()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.inner.sleep(duration)
    }

    fn sleep_until(&self, deadline: SystemTime) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.inner.sleep_until(deadline)
    }
}

impl RateClock for Host {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.inner.now()
    }
}

impl ReasonablyRealtime for Host {}

impl Supervisor for Host {
    fn name(&self) -> Name {
        self.inner.name()
    }

    fn child(&self, label: &'static str) -> Self {
        self.with(self.inner.child(label))
    }

    fn with_attribute(self, key: &'static str, value: impl Display) -> Self {
        Self {
            inner: self.inner.with_attribute(key, value),
            ..self
        }
    }
}

impl Spawner for Host {
    fn shared(self, blocking: bool) -> Self {
        Self {
            inner: self.inner.shared(blocking),
            ..self
        }
    }

    fn dedicated(self) -> Self {
        Self {
            inner: self.inner.dedicated(),
            ..self
        }
    }

    fn spawn<F, Fut, T>(self, f: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let Self { inner, disk, life } = self;
        inner.spawn(move |inner| {
            let mut task =
                Box::pin(AssertUnwindSafe(f(Self::new(inner, disk.clone(), life.clone()))).catch_unwind());
            // Once the process is over, none of its tasks takes another step.
            poll_fn(move |context| {
                if life.ended().is_some() || disk.is_halted() {
                    return Poll::Pending;
                }
                match ready!(task.as_mut().poll(context)) {
                    Ok(result) => Poll::Ready(result),
                    Err(panic) => {
                        life.end(message(panic.as_ref()));
                        Poll::Pending
                    }
                }
            })
        })
    }

    fn stop(self, value: i32, timeout: Option<Duration>) -> impl Future<Output = Result<(), Error>> + Send {
        self.inner.stop(value, timeout)
    }

    fn stopped(&self) -> Signal {
        self.inner.stopped()
    }
}

impl Metrics for Host {
    fn register<N: Into<String>, H: Into<String>, M: Metric>(
        &self,
        name: N,
        help: H,
        metric: M,
    ) -> Registered<M> {
        self.inner.register(name, help, metric)
    }

    fn encode(&self) -> String {
        self.inner.encode()
    }
}

impl TryRng for Host {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.inner.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.inner.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.inner.try_fill_bytes(bytes)
    }
}

impl TryCryptoRng for Host {}

const _: fn() = || {
    fn random<T: CryptoRng>() {}
    random::<Host>();
};

/// What a disk makes of an operation: an error, or whether a write is durable at once.
async fn ask(context: &Context, disk: &Disk, operation: Operation) -> Result<Fate, Error> {
    disk.alive().await;
    let delay = disk.delay();
    if !delay.is_zero() {
        context.sleep(delay).await;
    }
    match disk.fate(operation) {
        Fate::Failed(error) => Err(error),
        Fate::Torn(_) if operation != Operation::Write => pending().await,
        fate => Ok(fate),
    }
}

impl Storage for Host {
    type Blob = Platter;

    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(Platter, u64, BlobVersion), Error> {
        ask(&self.inner, &self.disk, Operation::Open).await?;
        let (inner, length, version) = self.inner.open_versioned(partition, name, versions).await?;
        let platter = Platter {
            inner,
            context: self.inner.child("disk"),
            disk: self.disk.clone(),
        };
        Ok((platter, length, version))
    }

    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        ask(&self.inner, &self.disk, Operation::Remove).await?;
        self.inner.remove(partition, name).await
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        ask(&self.inner, &self.disk, Operation::Remove).await?;
        self.inner.scan(partition).await
    }
}

/// A file on a machine's disk.
pub struct Platter {
    inner: deterministic::Blob,
    context: Context,
    disk: Disk,
}

impl Blob for Platter {
    async fn read_at_buf(
        &self,
        offset: u64,
        len: usize,
        bufs: impl Into<IoBufsMut> + Send,
        options: ReadOptions,
    ) -> Result<IoBufsMut, Error> {
        ask(&self.context, &self.disk, Operation::Read).await?;
        self.inner.read_at_buf(offset, len, bufs, options).await
    }

    async fn read_at(&self, offset: u64, len: usize, options: ReadOptions) -> Result<IoBufsMut, Error> {
        ask(&self.context, &self.disk, Operation::Read).await?;
        self.inner.read_at(offset, len, options).await
    }

    async fn write_at(
        &self,
        offset: u64,
        bufs: impl Into<IoBufs> + Send,
        options: WriteOptions,
    ) -> Result<(), Error> {
        match ask(&self.context, &self.disk, Operation::Write).await? {
            Fate::Durable => {
                self.inner
                    .write_at(offset, bufs, options | WriteOptions::SYNC)
                    .await
            }
            Fate::Torn(permille) => {
                let bytes = bufs.into().coalesce();
                let kept = bytes.len() * usize::try_from(permille).unwrap_or(0) / 1_000;
                self.inner
                    .write_at(offset, bytes.slice(..kept), options | WriteOptions::SYNC)
                    .await?;
                pending().await
            }
            _ => self.inner.write_at(offset, bufs, options).await,
        }
    }

    async fn resize(&self, len: u64) -> Result<(), Error> {
        ask(&self.context, &self.disk, Operation::Sync).await?;
        self.inner.resize(len).await
    }

    async fn sync(&self) -> Result<(), Error> {
        ask(&self.context, &self.disk, Operation::Sync).await?;
        self.inner.sync().await
    }

    async fn start_sync(&self) -> Handle<()> {
        match ask(&self.context, &self.disk, Operation::Sync).await {
            Ok(_) => self.inner.start_sync().await,
            Err(error) => Handle::ready(Err(error)),
        }
    }
}
