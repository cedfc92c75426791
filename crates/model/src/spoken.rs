//! A text as it may be told while it is written: nothing that may yet turn out to begin what stops it, and
//! characters whole.

use std::ops::ControlFlow;

/// What is written, and how much of it was told.
#[derive(Clone, Debug, Default)]
pub struct Spoken {
    stops: Vec<Vec<u8>>,
    text: Vec<u8>,
    told: usize,
}

impl Spoken {
    /// Nothing yet. Any of `stops`, none of which is empty, ends it.
    ///
    /// # Panics
    /// When one is empty: the first byte would be the last.
    #[must_use]
    pub fn new(stops: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let stops: Vec<Vec<u8>> = stops.into_iter().collect();
        assert!(!stops.iter().any(Vec::is_empty), "a stop has bytes");
        Self {
            stops,
            ..Self::default()
        }
    }

    /// Adds a byte. Breaks where that completes a stop, which is taken off again.
    pub fn push(&mut self, byte: u8) -> ControlFlow<()> {
        self.text.push(byte);
        let stop = self.stops.iter().find(|stop| self.text.ends_with(stop));
        match stop.map(Vec::len) {
            Some(length) => {
                self.text.truncate(self.text.len() - length);
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        }
    }

    /// What may be told now, and was not yet.
    pub fn take_ready(&mut self) -> &[u8] {
        let held = self.stops.iter().map(|stop| begun(&self.text, stop));
        let end = self.text.len() - held.max().unwrap_or(0);
        let end = end - unfinished(&self.text[..end]);
        self.take(end)
    }

    /// The rest, once nothing follows.
    pub fn take_rest(&mut self) -> &[u8] {
        let end = self.text.len();
        self.take(end)
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    fn take(&mut self, end: usize) -> &[u8] {
        let end = end.max(self.told);
        let told = std::mem::replace(&mut self.told, end);
        &self.text[told..end]
    }
}

/// Bytes at the end of `text` that may be the beginning of a character.
fn unfinished(text: &[u8]) -> usize {
    let tail = &text[text.len() - text.len().min(3)..];
    let start = (0..tail.len()).rev().find(|at| tail[*at] & 0xc0 != 0x80);
    start.map_or(0, |at| match std::str::from_utf8(&tail[at..]) {
        Err(error) if error.error_len().is_none() => tail.len() - at,
        _ => 0,
    })
}

/// Bytes at the end of `text` that begin `stop`.
fn begun(text: &[u8], stop: &[u8]) -> usize {
    let longest = text.len().min(stop.len() - 1);
    (1..=longest)
        .rev()
        .find(|length| text.ends_with(&stop[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_told_whole() {
        for (text, expected) in [
            (&b"a"[..], 0),
            (b"\xc3", 1),
            ("ä".as_bytes(), 0),
            (b"a\xe2\x82", 2),
            (b"\xf0\x9f\x98", 3),
            (b"\x80\x80\x80", 0),
            (b"\xff", 0),
            (b"", 0),
        ] {
            assert_eq!(unfinished(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_may_become_a_stop_is_held_back() {
        assert_eq!(begun(b"ab\n", b"\n\n"), 1);
        assert_eq!(begun(b"ab", b"\n\n"), 0);
        assert_eq!(begun(b"xaba", b"abac"), 3);
        assert_eq!(begun(b"a", b"a"), 0);
        let mut spoken = Spoken::new([b"END".to_vec(), b"\n\n".to_vec()]);
        let mut told = Vec::new();
        for (byte, ready) in b"an EN".iter().zip(["a", "n", " ", "", ""]) {
            assert!(spoken.push(*byte).is_continue());
            told.extend(spoken.take_ready());
            assert!(told.ends_with(ready.as_bytes()));
        }
        assert_eq!(told, b"an ");
        assert!(spoken.push(b'D').is_break());
        assert!(spoken.take_rest().is_empty());
        assert_eq!(spoken.text(), b"an ");
    }
}
