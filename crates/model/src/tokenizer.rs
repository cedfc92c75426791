//! The data contract (docs/scoring-spec.md, section 3): bytes to chunks of tokens and targets.
//!
//! Attention is causal and PAD comes last, so padded positions influence nothing that is reported.
//! A [`Chunk`] therefore holds only the tokens that are not PAD; [`Chunk::padded`] gives the full form.

pub use soma_types::architecture::{EOS, PAD, VOCAB};

/// Up to `max_seq_len` bytes with no context but themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    bytes: &'a [u8],
    /// Whether EOS follows: the chunk is shorter than `max_seq_len`.
    ended: bool,
}

impl<'a> Chunk<'a> {
    /// The bytes, without EOS.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Tokens that are not PAD: the bytes, and EOS where it fits.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len() + self.ended as usize
    }

    /// Never: chunks come from non-empty data.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Positions whose target is not PAD; they are the first ones.
    #[must_use]
    pub const fn predicted(&self) -> usize {
        self.len() - 1
    }

    /// The tokens that are not PAD.
    #[must_use]
    pub fn tokens(&self) -> Vec<u16> {
        let end = self.ended.then_some(EOS);
        self.bytes
            .iter()
            .map(|byte| u16::from(*byte))
            .chain(end)
            .collect()
    }

    /// Tokens and targets at their full length `max_seq_len`, for batches of equal shape.
    #[must_use]
    pub fn padded(&self, max_seq_len: usize) -> (Vec<u16>, Vec<u16>) {
        let mut tokens = self.tokens();
        tokens.resize(max_seq_len, PAD);
        let mut targets = tokens[1..].to_vec();
        targets.push(PAD);
        (tokens, targets)
    }
}

/// Cuts data into non-overlapping chunks of `max_seq_len` bytes. No data, no chunks.
pub fn chunks(data: &[u8], max_seq_len: usize) -> impl ExactSizeIterator<Item = Chunk<'_>> {
    data.chunks(max_seq_len).map(move |bytes| Chunk {
        bytes,
        ended: bytes.len() < max_seq_len,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_chunks_end_and_pad() {
        let chunk = chunks(b"ab", 4).next().unwrap();
        assert_eq!(chunk.padded(4), (vec![97, 98, EOS, PAD], vec![98, EOS, PAD, PAD]));
        assert_eq!((chunk.len(), chunk.predicted()), (3, 2));
    }

    #[test]
    fn full_chunks_have_no_end() {
        let all: Vec<_> = chunks(b"abcdefgh", 4).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].padded(4), (vec![97, 98, 99, 100], vec![98, 99, 100, PAD]));
        assert_eq!((all[1].len(), all[1].predicted()), (4, 3));
        assert_eq!(chunks(b"", 4).len(), 0);
        assert_eq!(chunks(b"abcde", 4).nth(1).unwrap().tokens(), [101, EOS]);
    }
}
