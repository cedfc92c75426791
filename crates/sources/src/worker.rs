//! The bridge between a synchronous reader and asynchronous transfers: one thread on which they run.
//!
//! A caller waits on a channel and never on the runtime itself, so that it may be a plain thread, a blocking
//! task or a task of another runtime. What it does not take stays on the wire: the channel holds a few
//! pieces.

use std::{future::Future, io, sync::mpsc::sync_channel};

use bytes::Bytes;
use futures::{StreamExt as _, executor::block_on, stream::BoxStream};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
};

use crate::fault::Fault;

/// Pieces of a body that wait for their reader.
const PIECES_MAX: usize = 4;

/// Runs transfers.
#[derive(Debug)]
pub struct Worker {
    /// Always there, but while it is dropped.
    runtime: Option<Runtime>,
}

/// A body's pieces, as they come.
pub type Pieces = BoxStream<'static, Result<Bytes, Fault>>;

/// A body that is being transferred. Dropped, the transfer ends.
#[derive(Debug)]
pub struct Inflow(mpsc::Receiver<Result<Bytes, Fault>>);

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the operating system has none.
    pub fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder
            .worker_threads(1)
            .thread_name("sources")
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// What `future` comes to.
    ///
    /// # Errors
    /// As the future; if it panics.
    pub fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        let (sender, receiver) = sync_channel(1);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                // Whoever waited may be gone.
                let _ = sender.send(future.await);
            });
        }
        receiver
            .recv()
            .unwrap_or_else(|_| Err(Fault::Setting("the transfer has ended without a word".into())))
    }

    /// Lets `pieces` flow to whoever reads them.
    pub fn pour(&self, mut pieces: Pieces) -> Inflow {
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                loop {
                    let piece = tokio::select! {
                        piece = pieces.next() => piece,
                        () = sender.closed() => return,
                    };
                    let Some(piece) = piece else { return };
                    if sender.send(piece).await.is_err() {
                        return;
                    }
                }
            });
        }
        Inflow(receiver)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waited for, so that it may be dropped anywhere.
            runtime.shutdown_background();
        }
    }
}

impl Inflow {
    /// The next piece; none at the end.
    pub fn next_piece(&mut self) -> Option<Result<Bytes, Fault>> {
        block_on(self.0.recv())
    }
}
