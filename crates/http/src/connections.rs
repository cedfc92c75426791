//! How clients' connections are taken: a bounded number, each for a bounded time without progress.
//!
//! A descriptor that a client holds is one that storage cannot have, so
//!
//! * at most [`Bounds::connections`] are served at once. Who comes then is told so (503) and let go, and who
//!   comes while many are being told so is let go without a word. At the same time all who keep a connection
//!   between two requests lose it, so that there are places soon;
//! * a request's head must come within [`HEAD_TIME_MAX`] of the connection, or of the answer before it: that
//!   bounds silent, half-sent and kept-alive connections alike;
//! * its body must keep up a pace of [`BODY_BYTES_PER_SECOND_MIN`], after [`BODY_GRACE`];
//! * an answer must find a reader: if nothing of it can be written for [`WRITE_TIME_MAX`], the connection
//!   ends. A stream of events goes on for as long as its reader takes something from time to time;
//! * once the server stops, what is in hand has [`GRACE`], and its answer [`LAST_WORDS`] more.

use std::{
    convert::Infallible,
    error::Error as StdError,
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::{Request, StatusCode, header},
    middleware::map_request,
    response::{IntoResponse as _, Response},
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{Notify, Semaphore, watch},
    time::{Instant, Sleep, sleep, sleep_until},
};
use tracing::debug;

use crate::problem::Error;

/// How long a request's head may take, and how long a connection may wait for one.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a body may take before its pace counts.
const BODY_GRACE: Duration = Duration::from_secs(30);
/// How fast a body must come on the whole.
const BODY_BYTES_PER_SECOND_MIN: u64 = 16 * 1024;
/// How long an answer may find nobody who reads it.
const WRITE_TIME_MAX: Duration = Duration::from_secs(60);
/// How long what is in hand may take when the server is told to stop.
pub const GRACE: Duration = Duration::from_secs(10);
/// How long after [`GRACE`] an answer may still be on its way.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Connections that are being refused at once.
const REFUSALS: usize = 16;
/// How long refusing one may take.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(2);
/// After the system could not hand over a connection.
const PAUSE: Duration = Duration::from_millis(500);

/// Where a request comes from: an extension of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// What a server's clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// How long a request's head may take.
    pub head_time: Duration,
    /// How long a body may take before its pace counts.
    pub body_grace: Duration,
    /// How long an answer may find nobody who reads it.
    pub write_time: Duration,
    /// How long a connection may go on once the server stops.
    pub stop_time: Duration,
}

impl Bounds {
    /// At most `connections` at once, each with the usual patience.
    #[must_use]
    pub const fn of(connections: usize) -> Self {
        Self {
            connections,
            head_time: HEAD_TIME_MAX,
            body_grace: BODY_GRACE,
            write_time: WRITE_TIME_MAX,
            stop_time: GRACE.saturating_add(LAST_WORDS),
        }
    }
}

/// Serves `router` on `listener` until `stopped` ends; then waits until requests in hand are answered, for as
/// long as `bounds` allow.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = router.layer(map_request(move |request: Request<Body>| async move {
        request.map(|body| Body::new(Paced::new(body, bounds.body_grace)))
    }));
    let places = Arc::new(Semaphore::new(bounds.connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    // Connections hold receivers, so that the sender knows when all have ended.
    let (stop, stopping) = watch::channel(false);
    let crowded = Arc::new(Notify::new());
    let mut stopped = pin!(stopped);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The client's fault is over with the client; the system's may pass.
                    if !is_clients(&error) {
                        debug!(%error, "cannot accept a connection");
                        sleep(PAUSE).await;
                    }
                    continue;
                }
            },
            () = &mut stopped => break,
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let (router, stopping, crowded) = (router.clone(), stopping.clone(), Arc::clone(&crowded));
            tokio::spawn(async move {
                connection((stream, peer), router, bounds, stopping, &crowded).await;
                drop(place);
            });
            continue;
        }
        crowded.notify_waiters();
        if let Ok(place) = Arc::clone(&refusals).try_acquire_owned() {
            tokio::spawn(async move {
                refuse(stream, bounds.connections).await;
                drop(place);
            });
        }
    }
    drop((listener, stopping));
    stop.send_replace(true);
    stop.closed().await;
    Ok(())
}

fn is_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Serves one connection, until its client, its time, or the server's need ends it.
async fn connection(
    (stream, peer): (TcpStream, SocketAddr),
    router: Router,
    bounds: Bounds,
    mut stopping: watch::Receiver<bool>,
    crowded: &Notify,
) {
    let io = TokioIo::new(Watched::new(stream, bounds.write_time));
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        service.call(request)
    });
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.head_time)
            .serve_connection(io, service)
    );
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        // An error means that the server is gone.
        _ = stopping.wait_for(|stop| *stop) => None,
        () = crowded.notified() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        // What is being answered is answered; a stream of events goes on until its server stops.
        None => {
            serving.as_mut().graceful_shutdown();
            let cut_off = async {
                let _ = stopping.wait_for(|stop| *stop).await;
                sleep(bounds.stop_time).await;
            };
            tokio::select! {
                ended = serving.as_mut() => ended,
                () = cut_off => return debug!("a connection is cut off, since the server stops"),
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

/// Says that there is no place, to whoever asks quickly.
async fn refuse(stream: TcpStream, connections: usize) {
    let service =
        service_fn(move |_: Request<Incoming>| async move { Ok::<_, Infallible>(full(connections)) });
    let io = TokioIo::new(stream);
    let answering = http1::Builder::new()
        .keep_alive(false)
        .serve_connection(io, service);
    // Whom it does not reach finds the connection closed.
    let _ = tokio::time::timeout(REFUSAL_TIME_MAX, answering).await;
}

fn full(connections: usize) -> Response {
    let detail =
        format!("{connections} clients are connected, the most that are served at once: try again soon");
    let retry_after = [(header::RETRY_AFTER, "1")];
    (retry_after, Error::new(StatusCode::SERVICE_UNAVAILABLE, detail)).into_response()
}

/// A body that must keep up its pace.
struct Paced {
    body: Body,
    deadline: Pin<Box<Sleep>>,
}

/// It did not.
#[derive(Debug)]
struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the request's body came too slowly: less than {BODY_BYTES_PER_SECOND_MIN} bytes a second"
        )
    }
}

impl StdError for TooSlow {}

impl Paced {
    fn new(body: Body, grace: Duration) -> Self {
        Self {
            body,
            deadline: Box::pin(sleep(grace)),
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                let earned =
                    Duration::from_micros(bytes.saturating_mul(1_000_000) / BODY_BYTES_PER_SECOND_MIN);
                let deadline = self.deadline.deadline() + earned;
                self.deadline.as_mut().reset(deadline);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(other) => Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => {
                ready!(self.deadline.as_mut().poll(context));
                Poll::Ready(Some(Err(TooSlow.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that is given up when nothing can be written to it for too long.
struct Watched {
    stream: TcpStream,
    patience: Duration,
    /// While a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    const fn new(stream: TcpStream, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            waiting: None,
        }
    }

    /// Passes on a write's `progress`, or gives up on it.
    fn watch<T>(&mut self, context: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.waiting = None;
            return progress;
        }
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + patience)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.watch(context, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
