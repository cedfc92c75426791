//! JSONL: one document for each line, as other programs write it.
//!
//! Taken beyond the standard: a byte order mark at the start of a line, and `NaN` or `Infinity`, which stand
//! for nothing (Python's `json` writes them). What other fields hold does not matter.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use soma_types::text::printable;

use crate::{
    Provenance, Want,
    want::{ID_FIELDS, LICENCE_FIELDS, Scalar, URL_FIELDS},
};

/// Names of other fields that an error gives.
const NAMES_MAX: usize = 6;
/// Characters of each.
const NAME_LENGTH_MAX: usize = 40;
/// The longest licence, address or name of a record that is kept.
const KEPT_BYTES_MAX: usize = 4096;
const MARK: &[u8] = b"\xef\xbb\xbf";
const WANTED: &str = "each line must be a JSON string, or an object with a string `text`";

/// A record of JSONL or Parquet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Its text, and what it says of it.
    Text(Vec<u8>, Provenance),
    /// Its text is null.
    NoText,
    /// A filter does not hold of it.
    Filtered,
    /// It is longer than a record may be, and was not looked at.
    TooLong,
    /// Its text lies elsewhere and cannot be had, or is in no encoding that is read.
    Unfit,
}

/// What one line holds; none if it is blank.
///
/// # Errors
/// What is wrong with it and what to do, fit to be shown.
pub fn record(line: &[u8], want: &Want) -> Result<Option<Record>, String> {
    let line = line.strip_prefix(MARK).unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let record = match parse(line, want) {
        Err(problem) => match without_nan(line) {
            Some(line) => parse(&line, want),
            None => Err(problem),
        },
        record => record,
    };
    record.map(Some)
}

fn parse(line: &[u8], want: &Want) -> Result<Record, String> {
    let (text, extras) = match line[0] {
        b'{' => field(line, want)?,
        b'"' | b'n' if want.column.is_none() => (whole(line, Text)?, Extras::default()),
        b'"' | b'n' => return Err("a string without fields, but --column names one".into()),
        _ => return Err(format!("neither a string nor an object; {WANTED}")),
    };
    if !want.admits(|name| extras.0.get(name).and_then(Value::scalar)) {
        return Ok(Record::Filtered);
    }
    let Some(text) = text else {
        return Ok(Record::NoText);
    };
    if let Err(error) = std::str::from_utf8(&text) {
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
    Ok(Record::Text(text, extras.provenance()))
}

/// The text of an object, and the other fields that matter.
fn field(line: &[u8], want: &Want) -> Result<(Option<Vec<u8>>, Extras), String> {
    let (fields, mut names) = (want.text_fields(), Vec::new());
    for name in &fields {
        let mut field = Field::new(name, Some(want));
        let text = match whole(line, &mut field) {
            Ok(text) => text,
            // What other fields hold does not matter: it is looked at only as long as it can be.
            Err(_) => {
                field = Field::new(name, None);
                whole(line, &mut field)?
            }
        };
        if let Some(text) = text {
            return Ok((text, field.extras));
        }
        names = field.others;
    }
    Err(if names.is_empty() {
        format!("the object is empty; {WANTED}")
    } else {
        let (wanted, names) = (printable(fields[0]), names.join("`, `"));
        format!(
            "no field `{wanted}`, but `{names}`: say which holds the text with `--column NAME`, or \
             `jq -c '{{text: .NAME}}' FILE > NEW.jsonl`"
        )
    })
}

/// Fields beside the text: those that filters ask for, and those that tell where it comes from.
#[derive(Debug, Default)]
struct Extras(BTreeMap<String, Value>);

impl Extras {
    fn provenance(mut self) -> Provenance {
        let mut first = |names: &[&str]| names.iter().find_map(|name| self.0.remove(*name)?.kept());
        Provenance {
            source: None,
            licence: first(&LICENCE_FIELDS),
            url: first(&URL_FIELDS),
            id: first(&ID_FIELDS),
        }
    }
}

/// One field's value, if it is a scalar.
#[derive(Debug)]
enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Other,
}

impl Value {
    /// None of null, lists and objects, as if they were not there.
    fn scalar(&self) -> Option<Scalar<'_>> {
        Some(match self {
            Self::Text(text) => Scalar::Text(text),
            Self::Int(number) => Scalar::Int(*number),
            Self::Float(number) => Scalar::Float(*number),
            Self::Bool(truth) => Scalar::Bool(*truth),
            Self::Other => return None,
        })
    }

    /// As provenance keeps it.
    fn kept(self) -> Option<String> {
        match self {
            Self::Text(text) if !text.is_empty() && text.len() <= KEPT_BYTES_MAX => Some(text),
            Self::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Int(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value::Float(number))
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
                Ok(Value::Bool(truth))
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
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

/// Looks for one field; passes over the others, whatever they hold, but for those that `want` asks for.
struct Field<'a> {
    name: &'a str,
    want: Option<&'a Want>,
    extras: Extras,
    /// Their names, fit to be shown.
    others: Vec<String>,
}

impl<'a> Field<'a> {
    fn new(name: &'a str, want: Option<&'a Want>) -> Self {
        Self {
            name,
            want,
            extras: Extras::default(),
            others: Vec::new(),
        }
    }

    fn matters(&self, name: &str) -> bool {
        let known = [&LICENCE_FIELDS[..], &URL_FIELDS, &ID_FIELDS].concat();
        let asked = |want: &Want| want.filters.iter().any(|filter| filter.field == name);
        self.want.is_some_and(|want| known.contains(&name) || asked(want))
    }
}

impl<'de> DeserializeSeed<'de> for &mut Field<'_> {
    /// None without such a field, an inner none if it is null.
    type Value = Option<Option<Vec<u8>>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Field<'_> {
    type Value = Option<Option<Vec<u8>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut text = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == self.name {
                text = Some(map.next_value_seed(Text)?);
                continue;
            }
            if self.others.len() < NAMES_MAX {
                let name: String = name.chars().take(NAME_LENGTH_MAX).collect();
                self.others.push(printable(&name).into_owned());
            }
            if self.matters(&name) {
                let value = map.next_value()?;
                self.extras.0.insert(name, value);
            } else {
                map.next_value::<IgnoredAny>()?;
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

    fn text(line: &[u8]) -> Result<Option<Vec<u8>>, String> {
        Ok(match record(line, &Want::default())? {
            Some(Record::Text(text, _)) => Some(text),
            _ => None,
        })
    }

    #[test]
    fn fields_are_chosen_filtered_and_kept() {
        let want = Want {
            column: Some("body".into()),
            filters: vec!["language=en".parse().unwrap(), "score>=2".parse().unwrap()],
            ..Want::default()
        };
        let of = |line: &str| record(line.as_bytes(), &want).unwrap().unwrap();
        let line = r#"{"id":7,"text":"no","body":"yes","language":"en","score":2.5,"url":"http://a/","license":"MIT","x":[1]}"#;
        let Record::Text(text, provenance) = of(line) else {
            panic!("it is wanted");
        };
        assert_eq!(text, b"yes");
        assert_eq!(provenance.id.as_deref(), Some("7"));
        assert_eq!(provenance.url.as_deref(), Some("http://a/"));
        assert_eq!(provenance.licence.as_deref(), Some("MIT"));
        for line in [
            r#"{"body":"a","language":"de","score":3}"#,
            r#"{"body":"a","language":"en","score":1}"#,
            r#"{"body":"a","language":"en"}"#,
            r#"{"body":"a","language":["en"],"score":3}"#,
            r#"{"body":null,"language":null,"score":3}"#,
        ] {
            assert_eq!(of(line), Record::Filtered, "{line}");
        }
        let missing = record(br#"{"text":"a"}"#, &want).unwrap_err();
        assert!(missing.starts_with("no field `body`, but `text`"), "{missing}");
        assert!(record(b"\"a\"", &want).unwrap_err().contains("--column"));
        // What is said of a text that cannot be understood is dropped, and the text kept.
        let odd = record(br#"{"text":"a","url":"half \ud83d"}"#, &Want::default()).unwrap();
        assert_eq!(odd, Some(Record::Text(b"a".to_vec(), Provenance::default())));
        let long = format!(r#"{{"text":"a","url":"{}"}}"#, "u".repeat(KEPT_BYTES_MAX + 1));
        let long = record(long.as_bytes(), &Want::default()).unwrap();
        assert_eq!(long, Some(Record::Text(b"a".to_vec(), Provenance::default())));
    }

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
            assert_eq!(text(line), Ok(expected.map(<[u8]>::to_vec)), "{line:?}");
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
                "no field `text`, but `document`, `summary`: say which holds the text with `--column",
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
            let want = Want { filters: vec!["a!=b".parse().unwrap()], ..Want::default() };
            let _ = (text(&line), record(&line, &want));
        }
    }
}
