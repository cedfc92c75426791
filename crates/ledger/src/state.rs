//! Where the ledger keeps what it knows: bytes under keys, with reads that may not be loaded yet.

use std::collections::BTreeMap;

/// A read of a value that is not in memory. The state that returned it knows which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing;

/// Keys and values. Reads take `&mut self` so that an implementation can note what it lacks.
pub trait State {
    /// The value under `key`, `None` when there is none.
    ///
    /// # Errors
    /// [`Missing`] when it is not known yet whether there is one.
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Missing>;

    /// Puts a value under `key`, or removes it.
    fn set(&mut self, key: &[u8], value: Option<Vec<u8>>);

    /// Says which keys will be read, so that they can be loaded together.
    ///
    /// # Errors
    /// [`Missing`] when any of them is not loaded; the implementation notes all of those.
    fn prefetch(&mut self, keys: &[Vec<u8>]) -> Result<(), Missing> {
        let _ = keys;
        Ok(())
    }
}

/// Writes on top of another state, kept or dropped as a whole.
pub(crate) struct Overlay<'a> {
    base: &'a mut dyn State,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a mut dyn State) -> Self {
        Self {
            base,
            writes: BTreeMap::new(),
        }
    }

    /// Passes all writes on, in the order of their keys.
    pub(crate) fn commit(self) {
        for (key, value) in self.writes {
            self.base.set(&key, value);
        }
    }
}

impl State for Overlay<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Missing> {
        match self.writes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.base.get(key),
        }
    }

    fn set(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        self.writes.insert(key.to_vec(), value);
    }

    fn prefetch(&mut self, keys: &[Vec<u8>]) -> Result<(), Missing> {
        if self.writes.is_empty() {
            return self.base.prefetch(keys);
        }
        let below: Vec<Vec<u8>> = keys
            .iter()
            .filter(|key| !self.writes.contains_key(*key))
            .cloned()
            .collect();
        self.base.prefetch(&below)
    }
}

/// A state in memory, for tests, simulations and benchmarks. Nothing is ever missing.
///
/// Values are found by hash, in the same time however many there are. Whoever walks them gets them in the
/// order of their keys, so nothing can depend on the order of hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::disallowed_types, reason = "walked in the order of keys only")]
pub struct MemoryState {
    values: std::collections::HashMap<Vec<u8>, Vec<u8>>,
}

impl MemoryState {
    /// An empty state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every key and value, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let values = self.values.iter();
        let mut sorted: Vec<(&[u8], &[u8])> = values.map(|(key, value)| (&key[..], &value[..])).collect();
        sorted.sort_unstable();
        sorted.into_iter()
    }

    /// BLAKE3 over all keys and values: equal states have equal digests.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for (key, value) in self.iter() {
            for part in [key, value] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        *hasher.finalize().as_bytes()
    }
}

impl State for MemoryState {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Missing> {
        Ok(self.values.get(key).cloned())
    }

    fn set(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.values.insert(key.to_vec(), value),
            None => self.values.remove(key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_is_all_or_nothing() {
        let mut base = MemoryState::new();
        base.set(b"a", Some(vec![1]));
        let before = base.digest();
        let mut overlay = Overlay::new(&mut base);
        overlay.set(b"a", None);
        overlay.set(b"b", Some(vec![2]));
        assert_eq!(overlay.get(b"a"), Ok(None));
        drop(overlay);
        assert_eq!(base.digest(), before);
        let mut overlay = Overlay::new(&mut base);
        overlay.set(b"a", None);
        overlay.set(b"b", Some(vec![2]));
        overlay.commit();
        assert_eq!((base.get(b"a"), base.get(b"b")), (Ok(None), Ok(Some(vec![2]))));
    }
}
