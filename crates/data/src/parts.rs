//! A text in parts, each of them whole pieces: however long it is, one part is in memory.

use std::io::{self, Read};

use crate::{Place, pieces::settled};

/// Bytes of text that are read before they are cut.
const PART_BYTES: usize = 1 << 20;

/// The parts of a text.
pub struct Parts {
    reader: Box<dyn Read + Send>,
    /// What is read and not given yet; its first byte is the text's `byte`.
    rest: Vec<u8>,
    byte: u64,
}

/// A part.
pub struct Part {
    pub data: Vec<u8>,
    /// Its first byte; none where it is all of the text.
    pub offset: Option<u64>,
    /// The place behind it.
    pub next: Place,
}

impl Parts {
    /// The parts of what `reader` gives, which has been read up to `byte`.
    pub fn new(reader: Box<dyn Read + Send>, byte: u64) -> Self {
        Self {
            reader,
            rest: Vec::new(),
            byte,
        }
    }

    /// The first byte that was not given yet.
    pub const fn byte(&self) -> u64 {
        self.byte
    }

    /// The next part; none at the end.
    pub fn next_part(&mut self) -> io::Result<Option<Part>> {
        let mut data = std::mem::take(&mut self.rest);
        let wanted = PART_BYTES - data.len();
        let read = self.reader.by_ref().take(wanted as u64).read_to_end(&mut data)?;
        if data.is_empty() {
            return Ok(None);
        }
        let offset = self.byte;
        let is_last = read < wanted;
        if !is_last {
            self.rest = data.split_off(settled(&data));
        }
        self.byte += data.len() as u64;
        Ok(Some(Part {
            data,
            offset: (offset > 0 || !is_last).then_some(offset),
            next: match is_last {
                true => Place::End,
                false => Place::Part { byte: self.byte },
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pieces;

    fn text(bytes: usize) -> Vec<u8> {
        let lines = (0..).flat_map(|line| format!("line {line} of this text\n").into_bytes());
        lines.take(bytes).collect()
    }

    fn parts(text: &[u8], from: usize) -> Vec<Part> {
        let mut parts = Parts::new(Box::new(io::Cursor::new(text[from..].to_vec())), from as u64);
        std::iter::from_fn(|| parts.next_part().unwrap()).collect()
    }

    #[test]
    fn the_pieces_of_parts_are_those_of_the_text_from_any_part_on() {
        for bytes in [1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES] {
            let text = text(bytes);
            let all = parts(&text, 0);
            let cut: Vec<_> = all.iter().flat_map(|part| pieces(&part.data)).collect();
            assert_eq!(cut, pieces(&text).collect::<Vec<_>>());
            assert!(all.iter().all(|part| part.data.len() <= PART_BYTES));
            assert_eq!(all.iter().filter(|part| part.next == Place::End).count(), 1);
            assert_eq!(all[0].offset, (bytes >= PART_BYTES).then_some(0));
            for part in &all[1..] {
                let from = part.offset.unwrap() as usize;
                let rest: Vec<_> = parts(&text, from).into_iter().map(|part| part.data).collect();
                assert_eq!(rest.concat(), text[from..]);
            }
        }
        assert!(parts(b"", 0).is_empty());
    }
}
