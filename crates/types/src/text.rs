//! Text that crosses the program's border: the one way in from JSON, and the one way out to people.

use std::{borrow::Cow, fmt::Display, str::FromStr};

use serde::{Deserialize, Deserializer};

/// Deserializes a string and parses it.
pub(crate) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = <String as Deserialize>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// `text` that a stranger wrote, fit for one line of a terminal, a log or an error: what could move the cursor, forge a
/// line or hide what is there appears as its escape.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unseen) {
        let escaped = |character: char| {
            if is_unseen(character) {
                character.escape_default().to_string()
            } else {
                character.to_string()
            }
        };
        text.chars().map(escaped).collect::<String>().into()
    } else {
        text.into()
    }
}

/// Whether a character does something to its neighbours instead of being seen: controls, line separators, marks of
/// direction, joiners, tags and other formatting.
#[must_use]
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_stays_and_what_acts_is_escaped() {
        for plain in ["", "weights.safetensors", "naïve \"Ω\" \\ 漢字 e\u{301} 🙂"] {
            assert!(matches!(printable(plain), Cow::Borrowed(same) if same == plain));
        }
        assert_eq!(printable("\u{1b}]0;title\u{7}"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(printable("a\r\nok: verified\tb"), "a\\r\\nok: verified\\tb");
        assert_eq!(
            printable("a\u{9b}31m\u{202e}\u{200b}\u{e0041}"),
            "a\\u{9b}31m\\u{202e}\\u{200b}\\u{e0041}"
        );
    }
}
