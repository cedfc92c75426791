//! Telling others what an account does, as it does it.

use std::{fmt, sync::Arc};

use soma_types::{Receipt, SignedTransaction};

use crate::error::ClientError;

/// What an account does, as it does it.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// The transaction is on disk and about to be handed in.
    Sending(&'a SignedTransaction),
    /// The transaction was left behind with its end unknown, and is followed instead of a new one.
    Resumed(&'a SignedTransaction),
    /// It was included.
    Included(&'a SignedTransaction, &'a Receipt),
    /// It never happens.
    Void(&'a SignedTransaction),
    /// It is waited for, and the node does not answer: told each time.
    Unanswered(&'a SignedTransaction, &'a ClientError),
}

type Watcher = Arc<dyn Fn(Notice<'_>) + Send + Sync>;

/// Whoever is told of notices.
#[derive(Clone, Default)]
pub(super) struct Watchers(Vec<Watcher>);

impl Watchers {
    /// Tells `watcher` too.
    pub fn add(&mut self, watcher: Watcher) {
        self.0.push(watcher);
    }

    /// Tells everyone.
    pub fn tell(&self, notice: Notice<'_>) {
        for watcher in &self.0 {
            watcher(notice);
        }
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} watchers", self.0.len())
    }
}
