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

/// A whole number in digits. A sign is none, though the standard library takes a plus.
#[must_use]
pub fn digits(text: &str) -> Option<u64> {
    let all = text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// `text` that a stranger wrote, fit for one line of a terminal, a log or an error: what could move the
/// cursor, forge a line or hide what is there appears as its escape.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_unseen, |character, line| {
        line.extend(character.escape_default());
    })
}

/// [`printable`] for text of several lines: newlines and tabs stay. For what was put together from printable
/// parts, as the last look before it is shown.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    let acts = |character| is_unseen(character) && !matches!(character, '\n' | '\t');
    escaped(text, acts, |character, lines| {
        lines.extend(character.escape_default());
    })
}

/// JSON that is fit for a terminal, and means the same: JSON itself escapes only the oldest of the characters
/// that act.
#[must_use]
pub fn printable_json(json: &str) -> Cow<'_, str> {
    // Outside of strings there are none but newlines.
    let acts = |character| is_unseen(character) && character != '\n';
    escaped(json, acts, |character, json| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            json.push_str(&format!("\\u{unit:04x}"));
        }
    })
}

/// The beginning of a stranger's `text`, [`printable`]: at most `characters_max` of it, then how much there
/// is.
#[must_use]
pub fn excerpt(text: &str, characters_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters_max) {
        None => printable(text),
        Some((end, _)) => format!("{}.. ({} bytes)", printable(&text[..end]), text.len()).into(),
    }
}

fn escaped(text: &str, acts: impl Fn(char) -> bool, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.chars().any(&acts) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if acts(character) {
            escape(character, &mut shown);
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// Whether a character does something to its neighbours instead of being seen: controls, line separators,
/// marks of direction, joiners, blank letters, tags and other formatting.
#[must_use]
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
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
        assert_eq!(printable_lines("a\r\n\tb\u{1b}"), "a\\r\n\tb\\u{1b}");
    }

    #[test]
    fn json_says_the_same_without_what_acts() {
        let text = "a\u{1b}\u{9b}31m\u{202e}\u{e0041}\n\"Ω\"";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let shown = printable_json(&json);
        assert!(
            shown
                .chars()
                .all(|character| character == '\n' || !is_unseen(character))
        );
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [text]);
    }

    #[test]
    fn long_text_is_cut_where_it_is_counted() {
        assert_eq!(excerpt("naïve", 5), "naïve");
        assert_eq!(excerpt("naïve\n", 3), "naï.. (7 bytes)");
        let bomb = "\u{1b}".repeat(1 << 20);
        assert!(excerpt(&bomb, 100).len() < 1000);
    }
}
