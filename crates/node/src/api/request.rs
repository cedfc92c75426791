//! What a request says, read once and carried in types. An error names the parameter or field, shows its value, and
//! says what is allowed. That nothing unknown is said, the [contract](super::contract) has checked before.

use std::{fmt, str::FromStr, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::{HeaderMap, HeaderName, StatusCode, header, request::Parts},
};
use futures::StreamExt as _;
use serde::{Deserialize, de::DeserializeOwned};
use soma_types::{api::PAGE_ITEMS_MAX, transaction::TRANSACTION_BYTES_MAX};

use super::problem::{Error, shown};

/// How long a request's body may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// Longest body of all but content and scoring: what is a little too long for a transaction gets its code.
const BODY_BYTES_MAX: usize = 2 * TRANSACTION_BYTES_MAX;

/// What is read of a body beyond its limit. A sender that is still busy sending may not see the answer.
const DISCARDED_BYTES_MAX: usize = 1 << 20;

/// What a body consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// JSON.
    Json,
    /// Bytes.
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
pub fn header_once<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<std::borrow::Cow<'a, str>>, Error> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(String::from_utf8_lossy(value.as_bytes()))),
        _ => Err(Error::bad_request(format!(
            "the header {name} is given more than once: give it once"
        ))),
    }
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
    let essence = given.split(';').next().unwrap_or_default().trim();
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
        let (path, reason) = (error.path().to_string(), error.inner());
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

/// A body of bytes.
#[derive(Debug)]
pub struct Octets(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Octets {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        body(request, Media::Octets, BODY_BYTES_MAX).await.map(Self)
    }
}

/// A body of JSON.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let bytes = body(request, Media::Json, BODY_BYTES_MAX).await?;
        json(&bytes).map(Self)
    }
}

/// A request's query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query));
        let value = serde_path_to_error::deserialize(reader).map_err(|error| {
            let name = error.path().to_string();
            let given = form_urlencoded::parse(query).find(|(given, _)| *given == name);
            let value = given.map(|(_, value)| value).unwrap_or_default();
            bad_parameter(&name, &value, error.inner())
        })?;
        Ok(Self(value))
    }
}

/// A query parameter whose value is none.
pub fn bad_parameter(name: &str, value: &str, reason: impl fmt::Display) -> Error {
    Error::bad_request(format!(
        "the query parameter '{name}' is '{}': {reason}",
        shown(value)
    ))
}

/// The name in a request's path.
#[derive(Debug)]
pub struct InPath<T>(pub T);

impl<S: Send + Sync, T: FromStr<Err: fmt::Display>> FromRequestParts<S> for InPath<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let names = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|error| Error::bad_request(format!("the path is not UTF-8: {error}")))?;
        let (name, value) = names.iter().next().expect("its route has a name in its path");
        let parsed = value.parse().map(Self);
        parsed.map_err(|reason| {
            Error::bad_request(format!("the path's '{name}' is '{}': {reason}", shown(value)))
        })
    }
}

/// No whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give a whole number, at most {}", u64::MAX)]
pub struct NotANumber;

/// A whole number in digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Number(pub u64);

impl FromStr for Number {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        // A sign is no digit, though the standard library takes a plus.
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotANumber);
        }
        text.parse().map(Self).map_err(|_| NotANumber)
    }
}

impl TryFrom<String> for Number {
    type Error = NotANumber;

    fn try_from(text: String) -> Result<Self, NotANumber> {
        text.parse()
    }
}

/// No length of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give a whole number from 1 to {PAGE_ITEMS_MAX}")]
pub struct NoLimit;

/// Most items of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Limit(pub usize);

impl TryFrom<String> for Limit {
    type Error = NoLimit;

    fn try_from(text: String) -> Result<Self, NoLimit> {
        let Number(number) = text.parse().map_err(|_| NoLimit)?;
        let number = usize::try_from(number).map_err(|_| NoLimit)?;
        (1..=PAGE_ITEMS_MAX)
            .contains(&number)
            .then_some(Self(number))
            .ok_or(NoLimit)
    }
}

/// Neither a whole number nor `latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give latest, or a whole number, at most {}", u64::MAX)]
pub struct NoPlace;

/// A number, or the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The latest.
    Latest,
    /// This.
    Number(u64),
}

impl FromStr for Which {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        match text {
            "latest" => Ok(Self::Latest),
            number => number
                .parse()
                .map(|Number(number)| Self::Number(number))
                .map_err(|NotANumber| NoPlace),
        }
    }
}
