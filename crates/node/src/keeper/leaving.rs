//! Content on its way out of the store.

use std::{
    collections::{BTreeSet, HashSet},
    time::SystemTime,
};

use soma_blobs::Store;
use soma_types::{ContentHash, Height};
use tracing::warn;

use super::needed::Needed;

/// Content that is aside, until every block is heard of that was final when it was set aside.
pub(super) struct Leaving {
    hashes: Vec<ContentHash>,
    after: u64,
}

impl Leaving {
    pub const fn new(hashes: Vec<ContentHash>, after: u64) -> Self {
        Self { hashes, after }
    }

    /// Whether the block at `height`, and all before it, having been heard of, it can go.
    pub const fn is_due(&self, height: Height) -> bool {
        height.0 >= self.after
    }

    /// Removes what is still aside; how many.
    pub async fn remove(self, store: &Store) -> usize {
        let store = store.clone();
        let removed = tokio::task::spawn_blocking(move || {
            let removed = self.hashes.iter().filter(|hash| {
                store.remove_aside(hash).unwrap_or_else(|error| {
                    warn!(%error, "content was not removed");
                    false
                })
            });
            removed.count()
        });
        removed.await.unwrap_or(0)
    }
}

/// Marks what is `needed`, and sets aside what is not: of what is `public` those `leaving`, and of the rest
/// what was not used since `old`. Which those are; `None` if it did not come to an end.
pub(super) async fn set_aside(
    store: &Store,
    needed: Needed,
    public: Vec<ContentHash>,
    leaving: BTreeSet<ContentHash>,
    old: SystemTime,
) -> Option<Vec<ContentHash>> {
    let store = store.clone();
    let aside = tokio::task::spawn_blocking(move || {
        let public: HashSet<_> = public.into_iter().collect();
        let mut hashes = store.hashes();
        hashes.retain(|hash| {
            let aside = if needed.contains_key(hash) {
                store.need(hash).map(|_| false)
            } else if leaving.contains(hash) {
                store.set_aside(hash, None)
            } else if public.contains(hash) {
                Ok(false)
            } else {
                store.set_aside(hash, Some(old))
            };
            aside.unwrap_or_else(|error| {
                warn!(%error, "content was neither kept nor set aside");
                false
            })
        });
        hashes
    });
    aside.await.ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Content that is named after it was looked through, and before it goes, stays: whatever the views said.
    #[tokio::test]
    async fn what_is_named_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 1_000).unwrap();
        let [named, junk, again] = [b"named", b"junk!", b"again"].map(|bytes| store.put(bytes).unwrap());
        // Uploaded long ago, and named by nothing that the views saw.
        let later = SystemTime::now() + Duration::from_secs(3_600);
        let aside = set_aside(&store, Needed::new(), vec![], BTreeSet::new(), later).await;
        let leaving = Leaving::new(aside.unwrap(), 7);
        assert!(store.hashes().is_empty());
        // A block commits to it, and it is heard of; somebody uploads what was there.
        assert!(!leaving.is_due(Height(6)));
        assert!(store.touch(&named).unwrap());
        store.put(b"again").unwrap();
        assert!(leaving.is_due(Height(7)));
        assert_eq!(leaving.remove(&store).await, 1);
        assert!(store.contains(&named) && store.contains(&again) && !store.contains(&junk));
    }

    #[tokio::test]
    async fn public_content_leaves_when_it_is_told_to_and_not_by_its_age() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 1_000).unwrap();
        let [stays, leaves] = [b"stays", b"leave"].map(|bytes| store.put(bytes).unwrap());
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3_600));
        for (old, gone) in [
            (now - hour, vec![]),
            (now + hour, vec![]),
            (now - hour, vec![leaves]),
        ] {
            let leaving = gone.iter().copied().collect();
            let aside = set_aside(&store, Needed::new(), vec![stays, leaves], leaving, old).await;
            assert_eq!(aside.unwrap(), gone);
        }
    }
}
