//! The seam where state sync will go.
//!
//! A new validator replays the chain from genesis for now. The library's peer-to-peer resolver serves only
//! fixed-size operations; ours vary in size, so state sync needs a resolver of our own.

use std::{convert::Infallible, marker::PhantomData};

use commonware_glue::stateful::db::{AttachableResolver, Shared};
use commonware_storage::{
    mmr,
    qmdb::{
        any::ordered::variable,
        sync::{Request, Source, source},
    },
};

use crate::{
    consensus::Digest,
    execution::{Database, StateValue},
};

/// A source of state that never answers. It is never asked: no startup plan requests a sync.
pub struct NoStateSync<E>(PhantomData<fn() -> E>);

impl<E> Default for NoStateSync<E> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E> Clone for NoStateSync<E> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<E: crate::runtime::Runtime> AttachableResolver<Database<E>> for NoStateSync<E> {
    async fn attach_database(&self, _: Shared<Database<E>>) {}
}

impl<E: crate::runtime::Runtime> Source for NoStateSync<E> {
    type Family = mmr::Family;
    type Digest = Digest;
    type Op = variable::Operation<mmr::Family, Digest, StateValue>;
    type Error = Infallible;

    async fn serve(&self, _: Request<mmr::Family>) -> source::Result<Self> {
        std::future::pending().await
    }
}
