//! A node's models, for the scoring service.

use axum::http::StatusCode;
use soma_blobs::{Decrypting, DecryptionKey, Expected};
use soma_http::{Error, problem::shown};
use soma_ledger::view;
use soma_model::{Model, residency::memory_bytes_max};
use soma_scoring::{
    Library,
    score::Content,
    service::{Entry, Found, LoadError},
};
use soma_types::{Architecture, ContentHash, ModelId, Seed};

use super::{Shared, blobs, problem::not_started};

/// Why a file is no weights of the architecture.
fn unsound(error: &impl ToString) -> LoadError {
    LoadError::Unsound(error.to_string())
}

/// Revealed models by their ids, stored content, the current epoch's seed.
impl Library for Shared {
    fn architecture(&self) -> Architecture {
        self.query.genesis().params.architecture
    }

    async fn seed(&self) -> Result<Seed, Error> {
        let epoch = self.query.view(view::epoch).await?;
        Ok(epoch.ok_or_else(not_started)?.seed)
    }

    async fn entry(&self, name: &str) -> Result<Entry, Error> {
        // What is no id names no model.
        let id: ModelId = name
            .parse()
            .map_err(|reason| Error::new(StatusCode::NOT_FOUND, format!("'{}': {reason}", shown(name))))?;
        let model = self.query.view(|state| view::model(state, id)).await?;
        let model = model.ok_or_else(|| Error::not_found("model", id))?;
        let weights = model.weights.or(model.revealed).ok_or_else(|| {
            let detail =
                format!("model {id} has not revealed its weights: nobody else can score with it yet");
            Error::new(StatusCode::CONFLICT, detail)
        })?;
        let (committed, architecture) = (weights.committed, model.architecture);
        let expected = Expected {
            hash: committed.hash,
            size_bytes: committed.size_bytes,
        };
        blobs::ensure(self, &committed.url, expected).await?;
        let (store, key) = (self.services.blobs.clone(), DecryptionKey::from(weights.key));
        // From the disk through the cipher: loading takes the model's memory and that of one tensor.
        let load = move || {
            let model = store.read(&committed.hash, |container, size_bytes| {
                let plaintext =
                    Decrypting::new(container, size_bytes, &key).map_err(|error| unsound(&error))?;
                let size_bytes = plaintext.plaintext_bytes();
                Model::read(plaintext, size_bytes, &architecture).map_err(|error| unsound(&error))
            });
            model
                .map_err(|error| LoadError::Unavailable(error.to_string()))?
                .ok_or_else(|| {
                    let reason = "its weights have just left the content store: try again";
                    LoadError::Unavailable(reason.to_owned())
                })?
        };
        let found = Found {
            weights: committed.hash,
            size_bytes_max: memory_bytes_max(&architecture, committed.size_bytes),
            load: Box::new(load),
        };
        Ok(Entry {
            name: name.to_owned(),
            find: Box::new(|| Ok(found)),
        })
    }

    async fn content(&self, hash: ContentHash, size_bytes_max: u64) -> Result<Content, Error> {
        blobs::stored(self, hash, size_bytes_max).await
    }
}
