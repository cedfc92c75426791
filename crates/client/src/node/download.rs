//! Bytes that need not fit into memory: to a file as they come, hashed on the way.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use reqwest::Method;
use soma_files::At as _;
use soma_types::ContentHash;
use tokio::sync::mpsc;

use super::{
    NodeClient,
    backoff::Backoff,
    request::{Load, Request},
};
use crate::{blocking::blocking, error::ClientError};

/// Chunks that may wait for the disk.
const CHUNKS_WAITING_MAX: usize = 16;

impl NodeClient {
    /// What the node serves at `path`, written over `file` in `folder`. What is there after an error is
    /// worthless.
    ///
    /// # Errors
    /// When the node does not have it, or sends anything but `expected` ([`ClientError::WrongHash`]); when
    /// the disk refuses.
    pub(crate) async fn download(
        &self,
        path: &str,
        expected: ContentHash,
        file: &Arc<File>,
        folder: &Path,
    ) -> Result<(), ClientError> {
        let request = Request::repeatable(Method::GET, path).moving(Load::Blob);
        let mut backoff = Backoff::new(self.options().retry_window);
        loop {
            let error = match self.download_once(&request, file, folder).await {
                Ok(found) if found == expected => return Ok(()),
                Ok(found) => return Err(ClientError::WrongHash { expected, found }),
                Err(error) => error,
            };
            if !error.is_passing() || !backoff.is_open() {
                return Err(error);
            }
            backoff.pause().await;
        }
    }

    async fn download_once(
        &self,
        request: &Request,
        file: &Arc<File>,
        folder: &Path,
    ) -> Result<ContentHash, ClientError> {
        let (mut response, timeout) = self.respond(request, &|builder| builder).await?;
        let limit_bytes = self.options().blob_bytes_max;
        let (chunks, inbox) = mpsc::channel(CHUNKS_WAITING_MAX);
        let file = Arc::clone(file);
        let written = tokio::spawn(blocking(move || write(&file, inbox)));
        let mut length_bytes = 0;
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.failed(&error, timeout))?
        {
            length_bytes += chunk.len() as u64;
            if length_bytes > limit_bytes {
                return Err(ClientError::AnswerTooLarge {
                    request: request.name(),
                    limit_bytes,
                });
            }
            if chunks.send(chunk).await.is_err() {
                // The disk refused; whoever writes says why.
                break;
            }
        }
        drop(chunks);
        let written = match written.await {
            Ok(written) => written?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        Ok(written.at("write in", folder)?)
    }
}

/// Writes chunks over a file until there are no more; the hash of all.
fn write(mut file: &File, mut chunks: mpsc::Receiver<Bytes>) -> io::Result<ContentHash> {
    file.seek(SeekFrom::Start(0))?;
    file.set_len(0)?;
    let mut hasher = blake3::Hasher::new();
    while let Some(chunk) = chunks.blocking_recv() {
        hasher.update(&chunk);
        file.write_all(&chunk)?;
    }
    Ok(ContentHash(*hasher.finalize().as_bytes()))
}
