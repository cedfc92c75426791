//! JSONL: one document for each line, as other programs write it.
//!
//! Taken beyond the standard: a byte order mark at the start of a line, and `NaN` or `Infinity`, which stand
//! for nothing (Python's `json` writes them). What other fields hold does not matter.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use soma_types::text::printable;

/// Fields that hold a line's text, the first that is there.
const FIELDS: [&str; 2] = ["text", "content"];
/// Names of other fields that an error gives.
const NAMES_MAX: usize = 6;
/// Characters of each.
const NAME_LENGTH_MAX: usize = 40;
const MARK: &[u8] = b"\xef\xbb\xbf";
const WANTED: &str = "each line must be a JSON string, or an object with a string `text`";

/// One line's text; none if it is null, `NaN` or blank.
///
/// # Errors
/// What is wrong with it and what to do, fit to be shown.
pub fn text(line: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let line = line.strip_prefix(MARK).unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    match parse(line) {
        Err(problem) => match without_nan(line) {
            Some(line) => parse(&line),
            None => Err(problem),
        },
        text => text,
    }
}

fn parse(line: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let text = match line[0] {
        b'{' => field(line)?,
        b'"' | b'n' => whole(line, Text)?,
        _ => return Err(format!("neither a string nor an object; {WANTED}")),
    };
    if let Some(text) = &text
        && let Err(error) = std::str::from_utf8(text)
    {
        let at = error.valid_up_to();
        return Err(match text[at..] {
            [0xed, 0xa0..=0xbf, ..] => format!(
                "its text has half of a surrogate pair at byte {at}, which is no character: write both halves, or \\ufffd \
                 in its place"
            ),
            _ => format!(
                "its text is not UTF-8 at byte {at}: convert the file with `iconv -f ENCODING -t UTF-8 FILE > NEW.jsonl`"
            ),
        });
    }
    Ok(text)
}

/// The text of an object.
fn field(line: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut names = Vec::new();
    for name in FIELDS {
        let mut field = Field {
            name,
            others: Vec::new(),
        };
        if let Some(text) = whole(line, &mut field)? {
            return Ok(text);
        }
        names = field.others;
    }
    Err(if names.is_empty() {
        format!("the object is empty; {WANTED}")
    } else {
        let names = names.join("`, `");
        format!(
            "no field `text`, but `{names}`: say which it is with `jq -c '{{text: .NAME}}' FILE > NEW.jsonl`"
        )
    })
}

/// Deserializes all of `line`.
fn whole<'de, S: DeserializeSeed<'de>>(line: &'de [u8], seed: S) -> Result<S::Value, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let value = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        let remedy = if error.is_eof() {
            "one value must be on one line: `jq -c . FILE > NEW.jsonl`"
        } else {
            WANTED
        };
        let problem = error.to_string();
        // The line that it names is the only one it saw.
        let problem = problem.split(" at line ").next().unwrap_or_default();
        format!("column {}: {}; {remedy}", error.column(), printable(problem))
    })
}

/// A string as bytes, so that half a surrogate pair is found here and not refused for another reason; none
/// for null.
struct Text;

struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct String;
        impl Visitor<'_> for String {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_owned()))
            }
        }
        deserializer.deserialize_bytes(String)
    }
}

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<Vec<u8>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let text = Option::<Bytes>::deserialize(deserializer)?;
        Ok(text.map(|bytes| bytes.0))
    }
}

/// Looks for one field; passes over the others, whatever they hold.
struct Field {
    name: &'static str,
    /// Their names, fit to be shown.
    others: Vec<String>,
}

impl<'de> DeserializeSeed<'de> for &mut Field {
    /// None without such a field, an inner none if it is null.
    type Value = Option<Option<Vec<u8>>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Field {
    type Value = Option<Option<Vec<u8>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut text = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == self.name {
                text = Some(map.next_value_seed(Text)?);
            } else {
                map.next_value::<IgnoredAny>()?;
                if self.others.len() < NAMES_MAX {
                    let name: String = name.chars().take(NAME_LENGTH_MAX).collect();
                    self.others.push(printable(&name).into_owned());
                }
            }
        }
        Ok(text)
    }
}

/// `line` with null for each `NaN` and `Infinity` outside of strings; none if there is none.
fn without_nan(line: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut rest, mut found) = (Vec::with_capacity(line.len()), line, false);
    let (mut in_string, mut escaped) = (false, false);
    while let Some(byte) = rest.first() {
        let word = [&b"NaN"[..], b"-Infinity", b"Infinity"]
            .into_iter()
            .find(|word| !in_string && rest.starts_with(word));
        if let Some(word) = word {
            out.extend(b"null");
            rest = &rest[word.len()..];
            found = true;
            continue;
        }
        in_string ^= *byte == b'"' && !escaped;
        escaped = in_string && *byte == b'\\' && !escaped;
        out.push(*byte);
        rest = &rest[1..];
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_programs_are_read() {
        for (line, expected) in [
            (&br#"{"text":"one","id":1}"#[..], Some(&b"one"[..])),
            (br#"  "two" "#, Some(b"two")),
            (br#"{"content":"three"}"#, Some(b"three")),
            (br#"{"content":[1],"text":"four"}"#, Some(b"four")),
            (b"\xef\xbb\xbf{\"text\":\"mark\"}\r", Some(b"mark")),
            (
                br#"{"text":"NaN \" -Infinity","score":NaN,"x":[-Infinity,Infinity]}"#,
                Some(b"NaN \" -Infinity"),
            ),
            (br#"{"text":"a","other":"half \ud83d"}"#, Some(b"a")),
            (br#"{"text":"a","other":1e999}"#, Some(b"a")),
            (b"{\"text\":\"a\",\"other\":\"\xff\"}", Some(b"a")),
            (br#"{"text":"\ud83d\ude42"}"#, Some("🙂".as_bytes())),
            (br#"{"text":""}"#, Some(b"")),
            (br#"{"text":null,"content":"x"}"#, None),
            (br#"{"text":NaN}"#, None),
            (b"null", None),
            (b" \t", None),
        ] {
            let found = text(line);
            assert_eq!(
                found.as_ref().map(|text| text.as_deref()),
                Ok(expected),
                "{line:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_to_do() {
        for (line, says) in [
            (
                &br#"{"text":"cut \ud83d here"}"#[..],
                "half of a surrogate pair at byte 4",
            ),
            (
                br#"{"text":"cut \ude42 here"}"#,
                "half of a surrogate pair at byte 4",
            ),
            (
                b"{\"text\":\"caf\xe9\"}",
                "not UTF-8 at byte 3: convert the file with `iconv",
            ),
            (
                br#"{"text":3}"#,
                "column 9: invalid type: integer `3`, expected a string",
            ),
            (br#"{"text":["a"]}"#, "invalid type: sequence, expected a string"),
            (
                br#"{"document":"a","summary":"b"}"#,
                "no field `text`, but `document`, `summary`: say which it is with `jq",
            ),
            (b"{\"\\u001b]0;x\\u0007\":1}", "but `\\u{1b}]0;x\\u{7}`"),
            (b"{}", "the object is empty"),
            (b"{", "jq -c . FILE"),
            (b"[", "neither a string nor an object"),
            (b"{\"text\":\"a\"} x", "trailing characters"),
            (b"plain text", "neither a string nor an object"),
        ] {
            let problem = text(line).unwrap_err();
            assert!(problem.contains(says), "{problem}");
        }
        let many: String = (0..100)
            .map(|i| format!("\"{}\":1,", "k".repeat(1000 + i)))
            .collect();
        let problem = text(format!("{{{many}\"last\":1}}").as_bytes()).unwrap_err();
        assert!(problem.len() < 500, "{}", problem.len());
    }

    proptest::proptest! {
        #[test]
        fn every_string_comes_back(expected in ".{0,60}", other in ".{0,30}") {
            let line = serde_json::json!({ "other": other, "text": expected }).to_string();
            proptest::prop_assert_eq!(text(line.as_bytes()), Ok(Some(expected.clone().into_bytes())));
            let with_nan = format!(r#"{{"a":NaN,{}"#, &line[1..]);
            proptest::prop_assert_eq!(text(with_nan.as_bytes()), Ok(Some(expected.into_bytes())));
        }

        #[test]
        fn no_line_panics(line in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = text(&line);
        }
    }
}
