//! The data contract (SCORING, section 3): bytes into chunks of tokens and targets.

use soma_types::architecture::{EOS, PAD};

/// Chunks of equal length, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    length: usize,
    tokens: Vec<u16>,
}

impl Batch {
    /// An empty batch of chunks of `length` tokens.
    ///
    /// # Panics
    /// If `length` is 0; a valid architecture has none such.
    #[must_use]
    pub fn new(length: usize) -> Self {
        assert!(length > 0, "chunks have at least one token");
        Self {
            length,
            tokens: Vec::new(),
        }
    }

    /// All chunks of a document: the last, if shorter, ends with EOS and is padded. Empty data adds nothing.
    #[must_use]
    pub fn of_document(data: &[u8], length: usize) -> Self {
        let mut batch = Self::new(length);
        for chunk in data.chunks(length) {
            batch.push(chunk);
        }
        batch
    }

    /// Adds one chunk: its bytes, then, if they are fewer than the chunk's length, EOS and padding.
    ///
    /// # Panics
    /// If there are more bytes than fit: a caller's bug.
    pub fn push(&mut self, bytes: &[u8]) {
        assert!(
            bytes.len() <= self.length,
            "{} bytes exceed a chunk of {}",
            bytes.len(),
            self.length
        );
        let end = self.tokens.len() + self.length;
        self.tokens.extend(bytes.iter().map(|b| u16::from(*b)));
        if self.tokens.len() < end {
            self.tokens.push(EOS);
        }
        self.tokens.resize(end, PAD);
    }

    /// The number of chunks.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.tokens.len().checked_div(self.length).unwrap_or(0)
    }

    /// The tokens, chunk after chunk.
    #[must_use]
    pub fn tokens(&self) -> &[u16] {
        &self.tokens
    }

    /// Chunks `range` of this batch.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let tokens = self.tokens[range.start * self.length..range.end * self.length].to_vec();
        Self {
            length: self.length,
            tokens,
        }
    }

    /// The next token at each position of its chunk; none where that is PAD, and at a chunk's end.
    #[must_use]
    pub fn targets(&self) -> Vec<Option<u16>> {
        let next = |chunk: &[u16], at: usize| chunk.get(at + 1).copied().filter(|t| *t != PAD);
        self.tokens
            .chunks(self.length)
            .flat_map(|chunk| (0..self.length).map(move |at| next(chunk, at)))
            .collect()
    }

    /// Which positions hold a token that is not PAD: the samples of SIGReg.
    #[must_use]
    pub fn counts(&self) -> Vec<bool> {
        self.tokens.iter().map(|t| *t != PAD).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_chunk_ends_with_eos_and_padding() {
        let batch = Batch::of_document(b"abcdef", 4);
        assert_eq!(batch.tokens(), [97, 98, 99, 100, 101, 102, EOS, PAD]);
        let targets = [
            Some(98),
            Some(99),
            Some(100),
            None,
            Some(102),
            Some(EOS),
            None,
            None,
        ];
        assert_eq!(batch.targets(), targets);
        assert_eq!(batch.counts(), [true, true, true, true, true, true, true, false]);
    }

    #[test]
    fn a_full_last_chunk_has_no_eos() {
        let batch = Batch::of_document(b"abcd", 4);
        assert_eq!(batch.tokens(), [97, 98, 99, 100]);
        assert_eq!(Batch::of_document(b"", 4).chunks(), 0);
    }
}
