//! Whether bytes are text, and in which kind of encoding.

/// Text has at most one control character in this many bytes: compressed or random data has one in ten, an
/// older 8-bit encoding none.
const CONTROL_EVERY: usize = 32;

/// What bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text in UTF-8.
    Utf8,
    /// Text in an 8-bit encoding, or in several.
    OtherText,
    /// Two bytes for each character.
    Utf16,
    /// Anything else.
    Binary,
}

/// What `data` looks like.
pub fn kind(data: &[u8]) -> Kind {
    if is_utf16(data) {
        Kind::Utf16
    } else if data.iter().filter(|byte| is_control(**byte)).count() > data.len() / CONTROL_EVERY {
        Kind::Binary
    } else if std::str::from_utf8(data).is_ok() {
        Kind::Utf8
    } else {
        Kind::OtherText
    }
}

/// Controls that text does not have: not tab, line ends, form feed, backspace or escape.
const fn is_control(byte: u8) -> bool {
    matches!(byte, 0..=7 | 0xb | 0xe..=0x1a | 0x1c..=0x1f | 0x7f)
}

/// By its mark, or because it has zeros in every other place and nowhere else, as Latin letters have there.
fn is_utf16(data: &[u8]) -> bool {
    if data.starts_with(&[0xff, 0xfe]) || data.starts_with(&[0xfe, 0xff]) {
        return data.len().is_multiple_of(2);
    }
    let zeros = |at: usize| {
        let places = data.iter().skip(at).step_by(2);
        places.filter(|byte| **byte == 0).count()
    };
    let (even, odd, pairs) = (zeros(0), zeros(1), data.len() / 2);
    data.len().is_multiple_of(2) && pairs > 1 && even.max(odd) * 2 > pairs && even.min(odd) * 16 <= pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_known_from_binary_data_in_any_encoding() {
        let noise: Vec<u8> = (0..500_u32).map(|i| (i * i * 31 % 255 + 1) as u8).collect();
        let russian = [0xcf, 0xf0, 0xe8, 0xe2, 0xe5, 0xf2, b' '].repeat(20);
        let utf16: Vec<u8> = "Hello, world".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "Hello, world".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = [&[0xff, 0xfe][..], &utf16].concat();
        let mut one_zero = b"a line of a log file\n".repeat(40);
        one_zero[100] = 0;
        for (data, expected) in [
            (&b"plain\r\ntext\t\x1b[1mbold\x1b[0m"[..], Kind::Utf8),
            (b"", Kind::Utf8),
            ("naïve 漢字".as_bytes(), Kind::Utf8),
            (b"caf\xe9\n", Kind::OtherText),
            (&russian, Kind::OtherText),
            (&one_zero, Kind::Utf8),
            (&utf16, Kind::Utf16),
            (&big, Kind::Utf16),
            (&marked, Kind::Utf16),
            (b"\x89PNG\0", Kind::Binary),
            (b"\0\x01Bud1", Kind::Binary),
            (&[0; 4096], Kind::Binary),
            (&noise, Kind::Binary),
        ] {
            assert_eq!(kind(data), expected, "{data:?}");
        }
    }
}
