//! From a network, which must not be kept waiting, to a disk, which blocks.

use std::future;

use soma_files::FileError;

use crate::{BlobWriter, StoreError, store::StoreWriter};

/// Bytes collected before they are handed on.
const PIECE_BYTES: usize = 1 << 20;

/// Takes bytes in their order, and may block.
pub trait Sink: Send + Sized + 'static {
    /// Why it takes no more.
    type Error: Send + 'static;

    /// Takes more bytes.
    ///
    /// # Errors
    /// If it cannot.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl Sink for BlobWriter {
    type Error = FileError;

    fn take(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.push(bytes)
    }
}

impl Sink for StoreWriter {
    type Error = StoreError;

    fn take(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(bytes)
    }
}

/// Hands bytes to a sink, a piece at a time, on threads that may block.
#[derive(Debug)]
pub struct Pouring<S> {
    sink: S,
    piece: Vec<u8>,
}

impl<S: Sink> Pouring<S> {
    /// Into `sink`.
    pub const fn into(sink: S) -> Self {
        Self {
            sink,
            piece: Vec::new(),
        }
    }

    /// Pours `bytes`.
    ///
    /// # Errors
    /// If the sink takes no more.
    pub async fn push(mut self, bytes: &[u8]) -> Result<Self, S::Error> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() < PIECE_BYTES {
            return Ok(self);
        }
        blocking(move || {
            self.sink.take(&self.piece)?;
            self.piece.clear();
            Ok(self)
        })
        .await
    }

    /// Pours what is left; what `finish` makes of the sink.
    ///
    /// # Errors
    /// If the sink takes no more, or `finish` fails.
    pub async fn finish<T: Send + 'static, E: From<S::Error> + Send + 'static>(
        mut self,
        finish: impl FnOnce(S) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        blocking(move || {
            self.sink.take(&self.piece)?;
            finish(self.sink)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down, and whoever waits here with it.
            Err(_) => future::pending().await,
        },
    }
}
