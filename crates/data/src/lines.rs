//! A stream's lines, one at a time, none longer than a limit.

use std::io::{self, BufRead, BufReader, Read};

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 1 << 16;

/// Why there is no next line.
#[derive(Debug)]
pub enum LineError {
    /// The stream fails.
    Io(io::Error),
    /// The line does not end within the limit.
    TooLong,
}

/// The lines of a stream.
pub struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    /// Bytes of the last line, as far as it was read.
    taken: u64,
    /// The first byte after the last line.
    pub byte: u64,
    /// The lines so far.
    pub count: u64,
}

impl Lines {
    /// The lines of `reader`, which has been read up to `byte`, after so many lines.
    pub fn new(reader: Box<dyn Read + Send>, byte: u64, count: u64) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, reader),
            line: Vec::new(),
            taken: 0,
            byte,
            count,
        }
    }

    /// The first bytes that are to come, some or all.
    pub fn peek(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    /// The next line, without its end; none at the end of the stream. Of one that is too long, `bytes_max`
    /// and one are read.
    pub fn next_line(&mut self, bytes_max: u64) -> Result<Option<&[u8]>, LineError> {
        self.line.clear();
        // What a long line took is not kept for short ones.
        self.line.shrink_to(BUFFER_BYTES);
        let mut within = self.reader.by_ref().take(bytes_max.saturating_add(1));
        let read = within.read_until(b'\n', &mut self.line).map_err(LineError::Io)?;
        if read == 0 {
            return Ok(None);
        }
        let is_whole = self.line.last() == Some(&b'\n');
        self.taken = read as u64;
        if !is_whole && read as u64 > bytes_max {
            return Err(LineError::TooLong);
        }
        self.byte += read as u64;
        self.count += 1;
        Ok(Some(&self.line[..read - usize::from(is_whole)]))
    }

    /// Passes over the rest of a line that was too long, if it has no more than so many bytes in all.
    pub fn skip_line(&mut self, bytes_max: u64) -> Result<(), LineError> {
        self.line = Vec::new();
        let mut length = self.taken;
        loop {
            let buffer = self.reader.fill_buf().map_err(LineError::Io)?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let (part, is_over) = (end.unwrap_or(buffer.len()), end.is_some() || buffer.is_empty());
            length += part as u64;
            if length > bytes_max {
                return Err(LineError::TooLong);
            }
            self.reader.consume(part + usize::from(end.is_some()));
            if is_over {
                self.byte += length + u64::from(end.is_some());
                self.count += 1;
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static str) -> Lines {
        Lines::new(Box::new(text.as_bytes()), 10, 2)
    }

    #[test]
    fn lines_and_their_places() {
        let mut lines = lines("ab\n\nc");
        assert_eq!(lines.peek().unwrap(), b"ab\n\nc");
        let mut found = Vec::new();
        while let Some(line) = lines.next_line(9).unwrap().map(<[u8]>::to_vec) {
            found.push((line, lines.byte, lines.count));
        }
        assert_eq!(
            found,
            [
                (b"ab".to_vec(), 13, 3),
                (Vec::new(), 14, 4),
                (b"c".to_vec(), 15, 5)
            ]
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let mut lines = lines("abcd\nef\ng");
        assert!(matches!(lines.next_line(2), Err(LineError::TooLong)));
        lines.skip_line(4).unwrap();
        assert_eq!((lines.byte, lines.count), (15, 3));
        assert_eq!(lines.next_line(2).unwrap(), Some(&b"ef"[..]));
        assert_eq!(lines.next_line(2).unwrap(), Some(&b"g"[..]));
        for (bytes_max, ends) in [(3, false), (4, true), (9, true)] {
            let mut last = Lines::new(Box::new(&b"abcd"[..]), 0, 0);
            assert!(last.next_line(1).is_err());
            assert_eq!(last.skip_line(bytes_max).is_ok(), ends, "{bytes_max}");
        }
        let mut endless = Lines::new(Box::new(io::repeat(b'a')), 0, 0);
        assert!(endless.next_line(1 << 10).is_err());
        assert!(matches!(endless.skip_line(1 << 24), Err(LineError::TooLong)));
        assert!(endless.line.capacity() == 0);
    }

    #[test]
    fn a_line_without_end_ends_at_the_limit() {
        let mut fits = lines("abc\n");
        assert_eq!(fits.next_line(3).unwrap(), Some(&b"abc"[..]));
        assert!(matches!(lines("abcd\n").next_line(3), Err(LineError::TooLong)));
        let mut endless = Lines::new(Box::new(io::repeat(b'a')), 0, 0);
        assert!(matches!(endless.next_line(1 << 20), Err(LineError::TooLong)));
        assert!(endless.line.len() <= (1 << 20) + 1);
    }
}
