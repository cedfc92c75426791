//! A request's body, read within limits of length and time. An error names the field, shows its value, and
//! says what is allowed.

use std::{borrow::Cow, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::Request,
    http::{HeaderMap, HeaderName, StatusCode, header},
};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;

use crate::problem::{Error, shown};

/// How long a request's body may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// What is read of a body beyond its limit. A sender that is still busy sending may not see the answer.
const DISCARDED_BYTES_MAX: usize = 1 << 20;

/// What a body consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// A JSON document.
    Json,
    /// Bytes as they are.
    Octets,
}

impl Media {
    const fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Octets => "application/octet-stream",
        }
    }
}

/// What `curl --data` says unless told otherwise: it names a form without meaning one.
const FORM: &str = "application/x-www-form-urlencoded";

/// The one value of a header.
///
/// # Errors
/// 400 if it is given more than once.
pub fn header_once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<Cow<'a, str>>, Error> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(String::from_utf8_lossy(value.as_bytes()))),
        _ => Err(Error::bad_request(format!(
            "the header {name} is given more than once: give it once"
        ))),
    }
}

/// Whether a body says that it is of `media`.
///
/// # Errors
/// 400 if it says so more than once.
pub fn says(headers: &HeaderMap, media: Media) -> Result<bool, Error> {
    let given = header_once(headers, &header::CONTENT_TYPE)?;
    Ok(given.is_some_and(|given| essence(&given).eq_ignore_ascii_case(media.name())))
}

/// A media type without its parameters.
pub(crate) fn essence(given: &str) -> &str {
    given.split(';').next().unwrap_or_default().trim()
}

/// Refuses bodies that say that they are something else than `media`. One that says nothing is taken for it.
///
/// # Errors
/// 415 with what it says.
pub fn check_media(headers: &HeaderMap, media: Media) -> Result<(), Error> {
    let unsupported = |what: &str, value: &str, wanted: &str| {
        let detail = format!("the body's {what} is '{}': {wanted}", shown(value));
        Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
    };
    if let Some(encoding) = header_once(headers, &header::CONTENT_ENCODING)?
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return unsupported("Content-Encoding", &encoding, "send it as it is");
    }
    let Some(given) = header_once(headers, &header::CONTENT_TYPE)? else {
        return Ok(());
    };
    let essence = essence(&given);
    if [media.name(), FORM]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
    {
        return Ok(());
    }
    unsupported("Content-Type", &given, &format!("send {}", media.name()))
}

/// A request's body, of `media` and at most `limit_bytes`, within [`BODY_TIME_MAX`].
///
/// # Errors
/// 415, 413, 408, or 400 when it breaks off.
pub async fn body(request: Request, media: Media, limit_bytes: usize) -> Result<Bytes, Error> {
    check_media(request.headers(), media)?;
    let read = tokio::time::timeout(BODY_TIME_MAX, collect(request.into_body(), limit_bytes));
    read.await.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive within {} s", BODY_TIME_MAX.as_secs());
        Err(Error::new(StatusCode::REQUEST_TIMEOUT, detail))
    })
}

async fn collect(body: Body, limit_bytes: usize) -> Result<Bytes, Error> {
    let too_long = || {
        let detail = format!("the body has more than {limit_bytes} bytes, the most that is taken here");
        Error::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let read_bytes_max = limit_bytes.saturating_add(DISCARDED_BYTES_MAX);
    if body.size_hint().lower() > read_bytes_max as u64 {
        return Err(too_long());
    }
    let mut stream = body.into_data_stream();
    let (mut bytes, mut read_bytes) = (Vec::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Error::bad_request(format!("the body broke off: {error}")))?;
        read_bytes += chunk.len();
        if read_bytes > read_bytes_max {
            return Err(too_long());
        }
        if read_bytes <= limit_bytes {
            bytes.extend_from_slice(&chunk);
        }
    }
    if read_bytes > limit_bytes {
        return Err(too_long());
    }
    Ok(bytes.into())
}

/// Reads a body of JSON.
///
/// # Errors
/// 400 with the field and the reason.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, reason) = (error.path().to_string(), in_words(&error.inner().to_string()));
        // A dot is the whole body.
        if path == "." {
            Error::bad_request(format!("the body is not what is taken here: {reason}"))
        } else {
            Error::bad_request(format!("the body's field '{}': {reason}", shown(&path)))
        }
    })?;
    reader
        .end()
        .map_err(|error| Error::bad_request(format!("the body goes on after its end: {error}")))?;
    Ok(value)
}

/// What a reader of JSON says, with kinds of values called as JSON calls them and not as this program does.
fn in_words(reason: &str) -> String {
    let Some((found, rest)) = reason.rsplit_once(", expected ") else {
        return reason.to_owned();
    };
    let (expected, place) = rest.split_at(rest.find(" at line ").unwrap_or(rest.len()));
    let whole = |most: u64| format!("a whole number from 0 to {most}");
    let words = match expected {
        "u8" => whole(u8::MAX.into()),
        "u16" => whole(u16::MAX.into()),
        "u32" => whole(u32::MAX.into()),
        "u64" | "usize" => whole(u64::MAX),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "unit" => "null".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        named if named.starts_with("struct ") => "an object".to_owned(),
        other => other.to_owned(),
    };
    format!("{found}, expected {words}{place}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "no body here is one")]
    struct Asked {
        count: usize,
        few: u8,
        share: f64,
        more: Vec<String>,
        by_name: BTreeMap<String, bool>,
    }

    #[test]
    fn a_wrong_kind_of_value_is_named_as_json_names_it() {
        for (body, expected) in [
            ("[]", "expected an object"),
            ("7", "expected an object"),
            (
                r#"{"count":-1}"#,
                "expected a whole number from 0 to 18446744073709551615",
            ),
            (
                r#"{"count":"a, expected b"}"#,
                "expected a whole number from 0 to",
            ),
            (
                r#"{"few":256}"#,
                "`256`, expected a whole number from 0 to 255 at line 1",
            ),
            (r#"{"share":"x"}"#, "expected a number"),
            (r#"{"more":1}"#, "expected a list"),
            (r#"{"by_name":1}"#, "expected an object"),
        ] {
            let problem = json::<Asked>(body.as_bytes()).unwrap_err().into_problem();
            assert!(problem.detail.contains(expected), "{body}: {}", problem.detail);
        }
    }
}
