//! What a request to a node says, read once and carried in types. An error names the parameter or field,
//! shows its value, and says what is allowed. That nothing unknown is said, the
//! [contract](soma_http::contract) has checked before.

use std::{fmt, str::FromStr};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::request::Parts,
};
use serde::{Deserialize, de::DeserializeOwned};
use soma_http::{
    Error,
    body::{Media, body, json, says},
    problem::shown,
};
use soma_types::{
    api::{BATCH_BYTES_MAX, PAGE_ITEMS_MAX, TransactionBatch},
    phase::Phase,
    schema::whole_number,
    text::digits,
    transaction::TRANSACTION_BYTES_MAX,
};
use utoipa::{
    PartialSchema,
    openapi::{
        OneOfBuilder, RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

/// Longest body of all but content and scoring: what is a little too long for a transaction gets its code.
const BODY_BYTES_MAX: usize = 2 * TRANSACTION_BYTES_MAX;

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

/// What is handed in: one transaction, or many.
#[derive(Debug)]
pub enum HandedIn {
    /// The bytes of one.
    One(Bytes),
    /// A batch, in JSON.
    Many(TransactionBatch),
}

impl<S: Send + Sync> FromRequest<S> for HandedIn {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        if says(request.headers(), Media::Json)? {
            let bytes = body(request, Media::Json, BATCH_BYTES_MAX).await?;
            json(&bytes).map(Self::Many)
        } else {
            let bytes = body(request, Media::Octets, BODY_BYTES_MAX).await?;
            Ok(Self::One(bytes))
        }
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
        digits(text).map(Self).ok_or(NotANumber)
    }
}

impl TryFrom<String> for Number {
    type Error = NotANumber;

    fn try_from(text: String) -> Result<Self, NotANumber> {
        text.parse()
    }
}

impl PartialSchema for Number {
    fn schema() -> RefOr<Schema> {
        whole_number().into()
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

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        whole_number()
            .minimum(Some(1_u64))
            .maximum(Some(PAGE_ITEMS_MAX))
            .into()
    }
}

/// No name of a status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give one of {}", .0.join(", "))]
pub struct NoName(Vec<&'static str>);

/// A status, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String", bound = "")]
pub struct Named<P: Phase>(pub P);

impl<P: Phase> TryFrom<String> for Named<P> {
    type Error = NoName;

    fn try_from(text: String) -> Result<Self, NoName> {
        let names = || P::ALL.iter().map(|phase| phase.name()).collect();
        P::named(&text).map(Self).ok_or_else(|| NoName(names()))
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
    /// The one with this number.
    Number(u64),
}

impl PartialSchema for Which {
    fn schema() -> RefOr<Schema> {
        let latest = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["latest"]));
        OneOfBuilder::new().item(whole_number()).item(latest).into()
    }
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
