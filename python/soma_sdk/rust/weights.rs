//! Encrypted containers of weights, and the keys that this process made for them.
//!
//! `encrypt_weights` gives the key to its caller, and a commit is told the container alone. So keys are
//! remembered by their container: a commit can then write the key to the journal before it is sent, and a
//! crash loses no stake.

use std::{
    collections::VecDeque,
    io::Read as _,
    sync::{Mutex, PoisonError},
};

use pyo3::{prelude::*, pybacked::PyBackedBytes, types::PyBytes};
use soma_blobs::{
    Decrypting,
    container::{self, HEADER_LENGTH_BYTES},
};
use soma_client::ClientError;
use soma_types::ContentHash;

use crate::{
    failure::{Failure, detached},
    keys::DecryptionKey,
};

/// Keys that are remembered; the oldest goes first.
const REMEMBERED_MAX: usize = 64;

/// A container that this process made.
#[derive(Clone)]
pub struct Sealed {
    /// Its BLAKE3.
    pub container: ContentHash,
    /// BLAKE3 of what is in it.
    pub weights: ContentHash,
    /// Opens it.
    pub key: soma_blobs::DecryptionKey,
}

static SEALED: Mutex<VecDeque<Sealed>> = Mutex::new(VecDeque::new());

/// What is known of a container that this process made.
pub fn sealed(hash: &ContentHash) -> Option<Sealed> {
    let all = SEALED.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().find(|sealed| sealed.container == *hash).cloned()
}

fn remember(fresh: Sealed) {
    let mut all = SEALED.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() == REMEMBERED_MAX {
        all.pop_front();
    }
    all.push_back(fresh);
}

fn contained(error: container::ContainerError) -> Failure {
    ClientError::from(error).into()
}

/// Encrypts weights with AES-256 in counter mode under a fresh key: the container and its key.
#[pyfunction]
pub fn encrypt_weights<'py>(
    py: Python<'py>,
    weights: PyBackedBytes,
) -> PyResult<(Bound<'py, PyBytes>, DecryptionKey)> {
    let mut made = None;
    let length = HEADER_LENGTH_BYTES + weights.len();
    let container = PyBytes::new_with(py, length, |buffer| {
        let work = || {
            let whole = buffer;
            let mut rest = &mut *whole;
            let key = container::encrypt_stream(&mut &weights[..], weights.len() as u64, &mut rest)
                .map_err(contained)?;
            Ok(Sealed {
                container: ContentHash::of(whole),
                weights: ContentHash::of(&weights),
                key,
            })
        };
        made = Some(detached(py, work)?);
        Ok(())
    })?;
    let made = made.ok_or(Failure::Ending)?;
    let key = DecryptionKey::of(made.key.clone());
    remember(made);
    Ok((container, key))
}

/// The weights in a container.
#[pyfunction]
pub fn decrypt_weights<'py>(
    py: Python<'py>,
    encrypted_weights: PyBackedBytes,
    decryption_key: &DecryptionKey,
) -> PyResult<Bound<'py, PyBytes>> {
    let length = encrypted_weights.len().saturating_sub(HEADER_LENGTH_BYTES);
    PyBytes::new_with(py, length, |buffer| {
        let work = || {
            let (container, length) = (&encrypted_weights[..], encrypted_weights.len() as u64);
            let opened = Decrypting::new(container, length, decryption_key.key());
            let read = opened.map_err(contained)?.read_exact(buffer);
            read.map_err(|error| contained(error.into()))
        };
        Ok(detached(py, work)?)
    })
}

/// What a commit says of a container: its BLAKE3.
#[pyfunction]
pub fn commitment(py: Python<'_>, encrypted_weights: PyBackedBytes) -> Result<String, Failure> {
    detached(py, || Ok(ContentHash::of(&encrypted_weights).to_string()))
}
