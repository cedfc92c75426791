//! Models kept in memory under a budget, so that serving loads each of them once.
//!
//! Upon a request for a model:
//! - resident: it is lent out at once;
//! - loading for someone else: wait for it;
//! - absent: models that nobody uses make room, least recently used first; if they are not enough, wait
//!   until somebody returns one; then load.
//!
//! Bounds: the sizes of all resident models together, including those being loaded, stay within the
//! budget. A model that is lent out is never dropped. Whoever holds one loan must return it before the
//! next request, or two of them could wait for each other for ever.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use soma_types::Architecture;

use crate::{layout::layout, matrix::PANEL, model::Model, score::Watch};

/// Between two looks at the watch while waiting.
const WAIT: Duration = Duration::from_millis(100);

/// Why a model is not lent out.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError<E> {
    /// It alone is larger than the budget.
    #[error("the model takes {size_bytes} bytes of memory, the budget is {budget_bytes}: raise the budget")]
    TooLarge {
        /// What it takes.
        size_bytes: u64,
        /// What all models together may take.
        budget_bytes: u64,
    },
    /// Whoever watched said stop.
    #[error("waiting for the model was stopped")]
    Cancelled,
    /// It could not be loaded.
    #[error(transparent)]
    Load(E),
}

/// Models by key `K`, within a budget of bytes. Threads share it by reference.
pub struct Shelf<K> {
    budget_bytes: u64,
    /// Least recently used first.
    slots: Mutex<Vec<Slot<K>>>,
    /// A model was returned, loaded, or failed to load.
    changed: Arc<Condvar>,
}

struct Slot<K> {
    key: K,
    size_bytes: u64,
    /// None while it is being loaded.
    model: Option<Arc<Model>>,
}

impl<K> Slot<K> {
    fn is_idle(&self) -> bool {
        self.model
            .as_ref()
            .is_some_and(|model| Arc::strong_count(model) == 1)
    }
}

impl<K> fmt::Debug for Shelf<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shelf({} of {} bytes)", self.size_bytes(), self.budget_bytes)
    }
}

/// A model in use. Dropping it returns it.
pub struct Loan {
    /// None only while dropping.
    model: Option<Arc<Model>>,
    changed: Arc<Condvar>,
}

impl Deref for Loan {
    type Target = Model;

    fn deref(&self) -> &Model {
        self.model.as_ref().expect("present until the loan is dropped")
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.model = None;
        self.changed.notify_all();
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loan({:?})", self.architecture())
    }
}

impl<K> Shelf<K> {
    /// An empty shelf for models of `budget_bytes` in all.
    #[must_use]
    pub fn new(budget_bytes: u64) -> Self {
        Self {
            budget_bytes,
            slots: Mutex::new(Vec::new()),
            changed: Arc::default(),
        }
    }

    /// What all models together may take.
    #[must_use]
    pub const fn budget_bytes(&self) -> u64 {
        self.budget_bytes
    }

    /// What the resident models take.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.slots().iter().map(|slot| slot.size_bytes).sum()
    }

    /// A panic between lock and unlock is impossible, so a poisoned lock guards sound data.
    fn slots(&self) -> MutexGuard<'_, Vec<Slot<K>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + PartialEq> Shelf<K> {
    /// Keys of the resident models, least recently used first.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        self.slots().iter().map(|slot| slot.key.clone()).collect()
    }

    /// The model of `key`: resident, or else loaded now by `load`, which may take `size_bytes_max` of
    /// memory for it. Blocks while others load it or leave no room; `watch` (told of no tokens) can end
    /// the wait.
    ///
    /// # Errors
    /// When it does not fit the budget, the watch says stop, or loading fails.
    pub fn lend<E>(
        &self,
        key: &K,
        size_bytes_max: u64,
        load: impl FnOnce() -> Result<Model, E>,
        watch: &Watch<'_>,
    ) -> Result<Loan, ShelfError<E>> {
        let loan = |model: &Arc<Model>| Loan {
            model: Some(Arc::clone(model)),
            changed: Arc::clone(&self.changed),
        };
        let mut slots = self.slots();
        loop {
            match slots.iter().position(|slot| slot.key == *key) {
                Some(index) => {
                    if let Some(model) = &slots[index].model {
                        let loan = loan(model);
                        slots[index..].rotate_left(1);
                        return Ok(loan);
                    }
                }
                None if size_bytes_max > self.budget_bytes => {
                    return Err(ShelfError::TooLarge {
                        size_bytes: size_bytes_max,
                        budget_bytes: self.budget_bytes,
                    });
                }
                None => {
                    if make_room(&mut slots, self.budget_bytes - size_bytes_max) {
                        break;
                    }
                }
            }
            if watch(0).is_break() {
                return Err(ShelfError::Cancelled);
            }
            let waited = self.changed.wait_timeout(slots, WAIT);
            slots = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        slots.push(Slot {
            key: key.clone(),
            size_bytes: size_bytes_max,
            model: None,
        });
        drop(slots);
        let abandon = Abandon { shelf: self, key };
        let model = Arc::new(load().map_err(ShelfError::Load)?);
        std::mem::forget(abandon);
        let mut slots = self.slots();
        let slot = slots
            .iter_mut()
            .find(|slot| slot.key == *key)
            .expect("only who loads a model removes its empty slot");
        slot.size_bytes = model.memory_bytes();
        slot.model = Some(Arc::clone(&model));
        self.changed.notify_all();
        Ok(loan(&model))
    }
}

/// The most memory that a model of this architecture takes, loaded from a file of `file_bytes`.
#[must_use]
pub fn memory_bytes_max(architecture: &Architecture, file_bytes: u64) -> u64 {
    let (mut matrices, mut padding, mut others) = (0, 0, 0);
    for spec in layout(architecture) {
        match spec.shape[..] {
            // Matrices are kept in whole panels of columns, each value as wide as in the file.
            [inputs, outputs] if !spec.name.starts_with("embedding") => {
                matrices += spec.len();
                padding += inputs * (outputs.next_multiple_of(PANEL) - outputs);
            }
            // All else is widened.
            _ => others += spec.len(),
        }
    }
    let rope = architecture.max_seq_len as usize * architecture.head_dim() as usize;
    let binary32 = |values: usize| (size_of::<f32>() * values) as u64;
    file_bytes.min(binary32(matrices)) + binary32(padding + others + rope)
}

/// Gives up the empty slot of a model that could not be loaded, even by a panic.
struct Abandon<'a, K: PartialEq> {
    shelf: &'a Shelf<K>,
    key: &'a K,
}

impl<K: PartialEq> Drop for Abandon<'_, K> {
    fn drop(&mut self) {
        self.shelf.slots().retain(|slot| slot.key != *self.key);
        self.shelf.changed.notify_all();
    }
}

/// Drops idle models, least recently used first, until the rest takes at most `rest_bytes`. Drops none
/// if that would not be enough.
fn make_room<K>(slots: &mut Vec<Slot<K>>, rest_bytes: u64) -> bool {
    let total: u64 = slots.iter().map(|slot| slot.size_bytes).sum();
    let idle: u64 = slots
        .iter()
        .filter(|slot| slot.is_idle())
        .map(|slot| slot.size_bytes)
        .sum();
    if total - idle > rest_bytes {
        return false;
    }
    let mut excess = total.saturating_sub(rest_bytes);
    slots.retain(|slot| {
        let drops = excess > 0 && slot.is_idle();
        if drops {
            excess = excess.saturating_sub(slot.size_bytes);
        }
        !drops
    });
    true
}
