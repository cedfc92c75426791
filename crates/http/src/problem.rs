//! Errors as RFC 9457 problem details.

use std::str::FromStr;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use soma_types::{Rejection, api::Problem, text::printable};

use crate::document::PROBLEM_MEDIA;

/// Characters of a stranger's value that an error shows.
const SHOWN_CHARS_MAX: usize = 80;
/// Characters of an error's text: its beginning and its end where it is longer.
const DETAIL_CHARS_MAX: usize = 1_000;

/// What a stranger wrote, fit for an error: printable, and cut where it is long.
#[must_use]
pub fn shown(value: &str) -> String {
    cut(&printable(value), SHOWN_CHARS_MAX)
}

/// At most `limit` characters of `text`, from both of its ends.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    let start: String = text.chars().take(limit / 2).collect();
    let mut end: Vec<char> = text.chars().rev().take(limit / 2 - 1).collect();
    end.reverse();
    format!("{start}…{}", String::from_iter(end))
}

/// Why a request gets no other answer: its status, and what to do.
#[derive(Debug)]
pub struct Error(Box<Problem>);

impl Error {
    /// An error with `status` that says `detail`.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: cut(&printable(&detail.into()), DETAIL_CHARS_MAX),
            code: None,
            name: None,
        }))
    }

    /// There is no `what` named `name`.
    pub fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what} {name}"))
    }

    /// The request is not understood.
    pub fn bad_request(detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail.to_string())
    }

    /// The ledger says no.
    pub fn rejection(rejection: &Rejection) -> Self {
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, rejection.to_string());
        error.0.kind = format!("urn:soma:rejection:{}", rejection.code());
        error.0.title = "The ledger refuses the transaction".to_owned();
        error.0.code = Some(rejection.code());
        error.0.name = Some(rejection.name().to_owned());
        error
    }

    /// The problem itself, to be told as a part of an answer.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        *self.0
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::to_vec(&self.0).expect("plain data is JSON");
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_MEDIA)], body).into_response();
        // A server whose clients know errors by other fields too finds here what to tell them.
        response.extensions_mut().insert(*self.0);
        response
    }
}

/// Reads a name within a body.
///
/// # Errors
/// 400 with the value and the reason.
pub fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|reason| Error::bad_request(format!("'{}': {reason}", shown(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_wrote_is_printable_and_short() {
        assert_eq!(shown("abc"), "abc");
        assert_eq!(shown("\u{1b}[2J"), "\\u{1b}[2J");
        let long = format!("{}{}", "a".repeat(1 << 20), "z".repeat(1 << 20));
        let cut = shown(&long);
        assert_eq!(cut.chars().count(), SHOWN_CHARS_MAX);
        assert!(
            cut.starts_with("aaa") && cut.contains('…') && cut.ends_with("zzz"),
            "{cut}"
        );
        let Error(problem) = Error::bad_request(format!("unknown variant `{long}`, expected one of these"));
        assert_eq!(problem.detail.chars().count(), DETAIL_CHARS_MAX);
        assert!(problem.detail.ends_with("expected one of these"));
    }
}
