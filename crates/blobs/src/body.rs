//! Blobs as bodies of HTTP messages, which are never in memory as a whole.

use std::{
    fmt,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::Blob;

/// Bytes read from a file at a time.
const PIECE_BYTES: u64 = 1 << 18;

/// The body of a request or an answer: its length is known, and a file is read where it may block.
pub struct Body {
    source: Source,
    /// How much was sent.
    at: u64,
    size_bytes: u64,
}

enum Source {
    Memory(Bytes),
    Disk {
        file: Arc<File>,
        reading: Option<JoinHandle<io::Result<Bytes>>>,
    },
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} of {} bytes sent)", self.at, self.size_bytes)
    }
}

impl From<&Blob> for Body {
    fn from(blob: &Blob) -> Self {
        let size_bytes = blob.size_bytes();
        match blob.content() {
            Ok(bytes) => Self {
                source: Source::Memory(bytes.clone()),
                at: 0,
                size_bytes,
            },
            Err(file) => Self::of_file(Arc::clone(file), size_bytes),
        }
    }
}

impl Body {
    /// The first `size_bytes` of a file. Should it be shorter, the message breaks off.
    #[must_use]
    pub const fn of_file(file: Arc<File>, size_bytes: u64) -> Self {
        Self {
            source: Source::Disk { file, reading: None },
            at: 0,
            size_bytes,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self {
            source,
            at,
            size_bytes,
        } = self.get_mut();
        if at == size_bytes {
            return Poll::Ready(None);
        }
        let piece = match source {
            Source::Memory(bytes) => Ok(bytes.clone()),
            Source::Disk { file, reading } => {
                let begun = reading.get_or_insert_with(|| {
                    let (file, at) = (Arc::clone(file), *at);
                    let length = PIECE_BYTES.min(*size_bytes - at) as usize;
                    tokio::task::spawn_blocking(move || {
                        let mut piece = vec![0; length];
                        file.read_exact_at(&mut piece, at)?;
                        Ok(piece.into())
                    })
                });
                let read = ready!(Pin::new(begun).poll(context));
                *reading = None;
                read.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
            }
        };
        Poll::Ready(Some(piece.map(|piece| {
            *at += piece.len() as u64;
            Frame::data(piece)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.size_bytes
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size_bytes - self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body::Body as _;

    use super::*;
    use crate::blob::MEMORY_BYTES_MAX;

    async fn sent(mut body: Body) -> io::Result<Vec<u8>> {
        let mut sent = Vec::new();
        let whole = body.size_hint().exact().unwrap();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            sent.extend_from_slice(&frame?.into_data().unwrap());
            assert_eq!(body.size_hint().exact(), Some(whole - sent.len() as u64));
        }
        assert!(body.is_end_stream());
        Ok(sent)
    }

    #[tokio::test]
    async fn bodies_are_the_bytes_from_memory_and_from_disk() {
        for size in [0, 1, MEMORY_BYTES_MAX, MEMORY_BYTES_MAX + 1, 3 * MEMORY_BYTES_MAX] {
            let bytes: Vec<u8> = (0..size).map(|at| (at * at % 251) as u8).collect();
            let blob = Blob::copy(&mut &bytes[..]).unwrap();
            assert!(sent(Body::from(&blob)).await.unwrap() == bytes, "{size}");
        }
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_breaks_the_message_off() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.set_len(1_000_000).unwrap();
        assert!(sent(Body::of_file(Arc::clone(&file), 1_000_000)).await.is_ok());
        let error = sent(Body::of_file(file, 1_000_001)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
