//! Texts in pieces: what is submitted, and what is held out of training.
//!
//! A text is cut, from its start on, at the first line end at or after [`PIECE_BYTES_MIN`] bytes, or, if the
//! line goes on beyond [`PIECE_BYTES_MAX`], there (at the last whole character). Where a piece ends depends
//! on nothing behind it, so a text's pieces are the same however much of it is in memory.

/// A piece is at least this long, but for the last of a text.
pub const PIECE_BYTES_MIN: usize = 1024;
/// A piece is never longer.
pub const PIECE_BYTES_MAX: usize = 2048;

/// A text's pieces, in order; none of an empty text.
pub fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (next, after) = (!rest.is_empty()).then(|| rest.split_at(piece(rest)))?;
        rest = after;
        Some(next)
    })
}

/// The bytes of all pieces that end in `text` whatever follows it.
pub(crate) fn settled(text: &[u8]) -> usize {
    let mut at = 0;
    while text.len() - at > PIECE_BYTES_MAX {
        at += piece(&text[at..]);
    }
    at
}

/// The length of the first piece of a text that is not empty.
fn piece(text: &[u8]) -> usize {
    if text.len() <= PIECE_BYTES_MIN {
        return text.len();
    }
    let limit = text.len().min(PIECE_BYTES_MAX);
    if let Some(at) = text[PIECE_BYTES_MIN - 1..limit].iter().position(|b| *b == b'\n') {
        return PIECE_BYTES_MIN + at;
    }
    if limit == text.len() {
        return limit;
    }
    // Not inside a UTF-8 character: step back over at most three continuation bytes.
    (limit - 3..=limit)
        .rev()
        .find(|at| text[*at] & 0xc0 != 0x80)
        .unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_join_to_the_text() {
        let text = "0123456789abcde\n".repeat(200).into_bytes();
        assert_eq!(
            pieces(&text).map(<[u8]>::len).collect::<Vec<_>>(),
            [1024, 1024, 1024, 128]
        );
        assert_eq!(pieces(&text).collect::<Vec<_>>().concat(), text);
        assert_eq!(pieces(b"").count(), 0);
    }

    proptest! {
        /// Whatever is in memory at a time.
        #[test]
        fn what_is_settled_is_cut_as_the_whole_is(
            lines in prop::collection::vec("[a-zäß ]{0,3000}", 1..20),
            at in 0.0..1.0,
        ) {
            let text = lines.join("\n").into_bytes();
            let held = (text.len() as f64 * at) as usize;
            let (first, rest) = text.split_at(settled(&text[..held]));
            prop_assert!(held - first.len() <= PIECE_BYTES_MAX);
            let cut: Vec<_> = pieces(first).chain(pieces(rest)).collect();
            prop_assert_eq!(cut, pieces(&text).collect::<Vec<_>>());
        }
    }
}
