//! A runtime on the machine's sockets and disk whose clock never steps.
//!
//! The engine keeps its deadlines and its limits of rates in times of day. Were they the wall clock's, a
//! clock that is set back an hour would hold every deadline and every peer's messages for an hour. So the
//! runtime's clock is read once, at an [`Origin`], and runs evenly from there; only what a block is dated
//! looks at the wall clock, and with doubt: see [`time`](crate::time).

use std::{
    convert::Infallible,
    fmt::Display,
    future::Future,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::{Duration, Instant, SystemTime},
};

use commonware_runtime::{
    BlobVersion, Clock, Error, Handle, Metrics, Name, Network, Resolver, SinkOf, Spawner, Storage, StreamOf,
    Supervisor,
    signal::Signal,
    telemetry::metrics::{Metric, Registered},
};
use governor::clock::{Clock as RateClock, ReasonablyRealtime};
use rand_core::{CryptoRng, TryCryptoRng, TryRng};

/// The moment from which a steady clock counts. Validators that talk to each other share one.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    wall: SystemTime,
    at: Instant,
}

impl Origin {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            at: Instant::now(),
        }
    }

    /// The time of day by the steady clock.
    #[must_use]
    pub fn current(&self) -> SystemTime {
        self.wall + self.at.elapsed()
    }

    /// How far the wall clock is ahead of the steady one, in milliseconds.
    #[must_use]
    pub fn wall_ahead_ms(&self) -> i64 {
        let signed = |elapsed: Duration| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(self.current()) {
            Ok(ahead) => signed(ahead),
            Err(behind) => -signed(behind.duration()),
        }
    }
}

/// The runtime of a node on the machine's sockets and disk.
pub type Live = Steady<commonware_runtime::tokio::Context>;

/// `inner` with a steady clock.
pub struct Steady<E> {
    inner: E,
    origin: Origin,
}

impl<E> Steady<E> {
    /// `inner`, its clock counted from `origin`.
    pub const fn new(inner: E, origin: Origin) -> Self {
        Self { inner, origin }
    }
}

impl<E: Clock> Clock for Steady<E> {
    fn current(&self) -> SystemTime {
        self.origin.current()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<E> {
        self.inner.sleep(duration)
    }

    fn sleep_until(&self, deadline: SystemTime) -> impl Future<Output = ()> + Send + 'static + use<E> {
        let left = deadline.duration_since(self.current()).unwrap_or_default();
        self.inner.sleep(left)
    }
}

impl<E: Clock> RateClock for Steady<E> {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.origin.current()
    }
}

impl<E: Clock> ReasonablyRealtime for Steady<E> {}

impl<E: Supervisor> Supervisor for Steady<E> {
    fn name(&self) -> Name {
        self.inner.name()
    }

    fn child(&self, label: &'static str) -> Self {
        Self::new(self.inner.child(label), self.origin)
    }

    fn with_attribute(self, key: &'static str, value: impl Display) -> Self {
        Self::new(self.inner.with_attribute(key, value), self.origin)
    }
}

impl<E: Spawner> Spawner for Steady<E> {
    fn shared(self, blocking: bool) -> Self {
        Self::new(self.inner.shared(blocking), self.origin)
    }

    fn dedicated(self) -> Self {
        Self::new(self.inner.dedicated(), self.origin)
    }

    fn spawn<F, Fut, T>(self, f: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let origin = self.origin;
        self.inner.spawn(move |inner| f(Self::new(inner, origin)))
    }

    fn stop(self, value: i32, timeout: Option<Duration>) -> impl Future<Output = Result<(), Error>> + Send {
        self.inner.stop(value, timeout)
    }

    fn stopped(&self) -> Signal {
        self.inner.stopped()
    }
}

impl<E: Metrics> Metrics for Steady<E> {
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

impl<E: Network> Network for Steady<E> {
    type Listener = E::Listener;

    fn bind(&self, socket: SocketAddr) -> impl Future<Output = Result<Self::Listener, Error>> + Send {
        self.inner.bind(socket)
    }

    fn dial(
        &self,
        socket: SocketAddr,
    ) -> impl Future<Output = Result<(SinkOf<Self>, StreamOf<Self>), Error>> + Send {
        self.inner.dial(socket)
    }
}

impl<E: Resolver> Resolver for Steady<E> {
    fn resolve(&self, host: &str) -> impl Future<Output = Result<Vec<IpAddr>, Error>> + Send {
        self.inner.resolve(host)
    }
}

impl<E: Storage> Storage for Steady<E> {
    type Blob = E::Blob;

    fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> impl Future<Output = Result<(Self::Blob, u64, BlobVersion), Error>> + Send {
        self.inner.open_versioned(partition, name, versions)
    }

    fn remove(&self, partition: &str, name: Option<&[u8]>) -> impl Future<Output = Result<(), Error>> + Send {
        self.inner.remove(partition, name)
    }

    fn scan(&self, partition: &str) -> impl Future<Output = Result<Vec<Vec<u8>>, Error>> + Send {
        self.inner.scan(partition)
    }
}

impl<E: CryptoRng> TryRng for Steady<E> {
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

impl<E: CryptoRng> TryCryptoRng for Steady<E> {}
