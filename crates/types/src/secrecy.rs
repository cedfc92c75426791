//! What a person typed, fit to be repeated to them: in a wrong place it may be a secret.

use std::borrow::Cow;

use crate::text::excerpt;

/// Most characters that are repeated.
const CHARACTERS_MAX: usize = 80;
/// Fewest hex digits in a row that may be a key, with some lost in copying.
const KEY_DIGITS_MIN: usize = 32;
/// Digits of it that are shown at either end: as many as tables show of an id.
const KEY_DIGITS_SHOWN: (usize, usize) = (6, 4);
/// Fewest words that may be part of a mnemonic.
const WORDS_MIN: usize = 6;

/// `text` as an error may repeat it: keys shortened, recovery words and what opens a door in a URL left out,
/// bounded and printable.
#[must_use]
pub fn repeatable(text: &str) -> String {
    let words = text.split_whitespace().count();
    if words >= WORDS_MIN {
        return format!("({words} words)");
    }
    let door = text.contains("//") || text.contains('@');
    let text = if door {
        without_credentials(text)
    } else {
        text.into()
    };
    excerpt(&without_keys(&text), CHARACTERS_MAX).into_owned()
}

/// A URL, or what was meant for one, without user name, password, query and fragment.
#[must_use]
pub fn without_credentials(url: &str) -> Cow<'_, str> {
    let authority = url.find("//").map_or(0, |at| at + 2);
    // Up to the last, since a password that was not encoded may hold any character.
    let shown = match url.rfind('@') {
        Some(at) if at >= authority => Cow::Owned(format!("{}***{}", &url[..authority], &url[at..])),
        _ => Cow::Borrowed(url),
    };
    if authority == 0 {
        return shown;
    }
    match shown.find(['?', '#']) {
        Some(at) => format!("{}***", &shown[..=at]).into(),
        None => shown,
    }
}

/// `text` with the ends alone of each long run of hex digits.
#[must_use]
pub fn without_keys(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut changed = false;
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| character.is_ascii_hexdigit()) {
        let run = &rest[start..];
        let length = run
            .find(|character: char| !character.is_ascii_hexdigit())
            .unwrap_or(run.len());
        shown.push_str(&rest[..start]);
        if length >= KEY_DIGITS_MIN {
            let (head, tail) = KEY_DIGITS_SHOWN;
            shown.push_str(&format!("{}..{}", &run[..head], &run[length - tail..length]));
            changed = true;
        } else {
            shown.push_str(&run[..length]);
        }
        rest = &run[length..];
    }
    if changed {
        shown.push_str(rest);
        shown.into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_repeated() {
        let key = "7a".repeat(32);
        for text in [
            key.clone(),
            format!("0x{key}"),
            format!("0X{}", key.to_uppercase()),
            format!("model:{key}"),
            format!("--{key}"),
            key[1..].to_owned(),
            "abandon ".repeat(11) + "about",
            format!("http://user:{key}@host"),
            "http://user:hunter2@host:9000/v1".into(),
            "http://user:hun/ter2@host".into(),
            "user:hunter2@host".into(),
            "https://host/?token=hunter2".into(),
            "https://host/#hunter2".into(),
        ] {
            let shown = repeatable(&text).to_lowercase();
            for secret in [&key[..12], "abandon", "hunter", "ter2", "user"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
        assert_eq!(repeatable(&format!("0x{key}")), "0x7a7a7a..7a7a");
        assert_eq!(repeatable("http://u:p@host:9000"), "http://***@host:9000");
    }

    #[test]
    fn the_rest_is() {
        for text in [
            "",
            "bank:1",
            "0x12",
            "a lot",
            "0xd2c8b2..7e16",
            "http://host:9000/v1",
            "what?",
        ] {
            assert_eq!(repeatable(text), text);
        }
        assert_eq!(repeatable("a\nb"), "a\\nb");
        assert!(repeatable(&"x".repeat(1000)).len() < 120);
    }
}
