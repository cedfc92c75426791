//! Texts that came before, by the hash of their bytes, in bounded memory.

use std::collections::{HashSet, VecDeque};

/// So many texts are remembered: some 60 MiB.
pub const SEEN_MAX: usize = 1 << 21;

/// Remembers the last [`SEEN_MAX`] different texts. 64 bits of a cryptographic hash stand for one: of that
/// many, a text is taken for another once in ten million million times.
#[derive(Debug)]
pub struct Seen {
    hashes: HashSet<u64>,
    /// The same, the oldest first.
    order: VecDeque<u64>,
    limit: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self::of(SEEN_MAX)
    }
}

impl Seen {
    fn of(limit: usize) -> Self {
        Self {
            hashes: HashSet::new(),
            order: VecDeque::new(),
            limit,
        }
    }

    /// Whether `text` is none of those that are remembered; it is from now on.
    pub fn is_new(&mut self, text: &[u8]) -> bool {
        let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(text).as_bytes();
        let hash = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        if !self.hashes.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_texts_are_remembered_and_no_more() {
        let mut seen = Seen::of(3);
        let new: Vec<bool> = [b"a", b"b", b"a", b"c", b"b", b"d", b"a", b"d"]
            .iter()
            .map(|text| seen.is_new(*text))
            .collect();
        // `d` pushes out `a`, the oldest, which is new again.
        assert_eq!(new, [true, true, false, true, false, true, true, false]);
        assert_eq!((seen.hashes.len(), seen.order.len()), (3, 3));
    }
}
