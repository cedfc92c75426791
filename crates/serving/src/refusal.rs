//! How errors are told: as every server here tells them (RFC 9457), and beside that as OpenAI's clients look
//! for it.

use axum::{
    body::Body,
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use soma_http::Error;
use soma_types::api::Problem;
use utoipa::{
    Modify, PartialSchema as _, ToSchema as _,
    openapi::{OpenApi, RefOr, schema::Schema},
};

/// Where OpenAI's clients look for what is wrong.
const FIELD: &str = "error";

/// An error, in the words of either.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    #[serde(flatten)]
    problem: Problem,
    error: Trouble,
}

/// An error as OpenAI's interface tells it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Trouble {
    /// What happened and what to do: the problem's detail.
    pub message: String,
    /// `invalid_request_error`, or `server_error` where another time may do.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The field; null, for the message names it.
    pub param: Option<String>,
    /// A name of the error; null, for there are none.
    pub code: Option<String>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let kind = if problem.status >= StatusCode::INTERNAL_SERVER_ERROR.as_u16() {
            "server_error"
        } else {
            "invalid_request_error"
        };
        let error = Trouble {
            message: problem.detail.clone(),
            kind,
            param: None,
            code: None,
        };
        Self { problem, error }
    }
}

/// A refusal, which says when to come again where that helps.
pub fn refused(error: Error) -> Response {
    if error.status() == StatusCode::SERVICE_UNAVAILABLE {
        return ([(header::RETRY_AFTER, "2")], error).into_response();
    }
    error.into_response()
}

/// A layer around the border: whoever refuses, it is told in the words of either.
pub async fn in_either(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    if let Some(problem) = answer.extensions_mut().remove::<Problem>() {
        let body = serde_json::to_vec(&Refusal::from(problem)).expect("plain data is JSON");
        // It was the other body's.
        answer.headers_mut().remove(header::CONTENT_LENGTH);
        *answer.body_mut() = Body::from(body);
    }
    answer
}

/// Says it in a server's document, once the border has said its part.
#[derive(Clone, Copy, Debug)]
pub struct InEither;

impl Modify for InEither {
    fn modify(&self, document: &mut OpenApi) {
        let schemas = &mut document.components.get_or_insert_default().schemas;
        if let Some(RefOr::T(Schema::Object(problem))) = schemas.get_mut(&*Problem::name()) {
            problem.properties.insert(FIELD.to_owned(), Trouble::schema());
            problem.required.push(FIELD.to_owned());
        }
    }
}
