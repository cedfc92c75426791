//! A view of the finalized state as of one block.

use commonware_glue::stateful::db::ReadGuard;
use commonware_runtime::utils::reschedule;
use soma_ledger::{Error, State};

use crate::{
    execution::{Bridge, Database, DatabaseSource, Databases, WorkingSet, retry},
    runtime::Runtime,
    steady::Live,
};

/// A view of its finalized state.
pub type LiveReader<'a> = Reader<'a, Live>;

/// The node cannot read its state, which is unsound. What is not loaded yet is no error: a query loads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct ReadError(#[from] Error);

/// The finalized state as of one block.
pub struct Reader<'a, E: Runtime> {
    databases: &'a Databases<E>,
    database: Option<ReadGuard<'a, Database<E>>>,
    known: WorkingSet,
}

/// What happened while a reader let others go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Nothing: what it reads is as of the same block.
    Nothing,
    /// A block came: what it reads is as of that.
    ABlock,
}

/// What is held but while others go first.
fn held<'g, E: Runtime>(database: &'g Option<ReadGuard<'_, Database<E>>>) -> &'g Database<E> {
    database
        .as_deref()
        .expect("it is taken again before anything is read")
}

impl<'a, E: Runtime> Reader<'a, E> {
    pub(super) async fn new(databases: &'a Databases<E>) -> Self {
        Self {
            databases,
            database: Some(databases.read().await),
            known: WorkingSet::default(),
        }
    }

    /// Runs a ledger view. It is called again for every value that must be loaded first, so read a list
    /// item by item.
    ///
    /// # Errors
    /// [`ReadError`] if the state is unsound.
    pub async fn read<T>(
        &mut self,
        mut view: impl FnMut(&mut dyn State) -> Result<T, Error>,
    ) -> Result<T, ReadError> {
        let database = held(&self.database);
        let mut bridge = Bridge::resume(DatabaseSource::<E>(database), &mut self.known);
        let result = bridge.run(|state| retry(view(state))).await;
        result.map_err(ReadError)
    }

    /// The database that it reads.
    pub fn database(&self) -> &Database<E> {
        held(&self.database)
    }

    /// Lets a block be applied that waits for that.
    pub async fn let_others_go_first(&mut self) -> Since {
        let before = self.database().root();
        self.database = None;
        reschedule().await;
        self.database = Some(self.databases.read().await);
        if self.database().root() == before {
            return Since::Nothing;
        }
        self.known = WorkingSet::default();
        Since::ABlock
    }
}
