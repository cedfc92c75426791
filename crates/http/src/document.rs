//! What the border adds to a server's OpenAPI document: the problems that it answers itself, at every
//! operation, and that a problem is `application/problem+json`. Operations name only what is their own.

use axum::http::{Method, StatusCode};
use soma_types::api::Problem;
use utoipa::{
    Modify, PartialSchema as _, ToSchema as _,
    openapi::{
        ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, path::Operation, schema::Schema,
    },
};

/// The media type of a problem.
pub(crate) const PROBLEM_MEDIA: &str = "application/problem+json";
/// That of other answers.
pub(crate) const JSON_MEDIA: &str = "application/json";

/// What any request may be answered with.
const ANY: &[(StatusCode, &str)] = &[
    (StatusCode::BAD_REQUEST, "The request is not understood"),
    (StatusCode::INTERNAL_SERVER_ERROR, "The server is unsound"),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "The server cannot answer yet, or has too many clients",
    ),
];
/// What one may be that writes.
const WRITING: &[(StatusCode, &str)] = &[(StatusCode::FORBIDDEN, "A page of another origin asks")];
/// What one may be that has a body.
const WITH_BODY: &[(StatusCode, &str)] = &[
    (StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time"),
    (
        StatusCode::PAYLOAD_TOO_LARGE,
        "The body is longer than what is taken here",
    ),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is something else"),
];

/// Completes a server's document: `#[openapi(modifiers(&Border))]`.
#[derive(Clone, Copy, Debug)]
pub struct Border;

impl Modify for Border {
    fn modify(&self, document: &mut OpenApi) {
        for item in document.paths.paths.values_mut() {
            for (method, operation) in [
                (Method::GET, &mut item.get),
                (Method::PUT, &mut item.put),
                (Method::POST, &mut item.post),
            ] {
                if let Some(operation) = operation {
                    complete(&method, operation);
                }
            }
        }
        let components = document.components.get_or_insert_default();
        components
            .schemas
            .insert(Problem::name().into_owned(), Problem::schema());
    }
}

fn complete(method: &Method, operation: &mut Operation) {
    let writing = if *method == Method::GET { &[][..] } else { WRITING };
    let with_body = operation.request_body.as_ref().map_or(&[][..], |_| WITH_BODY);
    let responses = &mut operation.responses.responses;
    for (status, why) in ANY.iter().chain(writing).chain(with_body) {
        responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| problem(why).into());
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response {
            name(status, response);
        }
    }
}

/// A problem, which happens because of `why`.
fn problem(why: &str) -> Response {
    let schema = RefOr::<Schema>::Ref(Ref::from_schema_name(Problem::name()));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(why)
        .content(PROBLEM_MEDIA, content)
        .build()
}

/// Calls a problem what it is sent as, and says in words what has only a number.
fn name(status: &str, response: &mut Response) {
    if response.description.is_empty() {
        let status = status.parse::<StatusCode>().ok();
        let reason = status.and_then(|status| status.canonical_reason());
        reason.unwrap_or_default().clone_into(&mut response.description);
    }
    let is_problem = response.content.get(JSON_MEDIA).is_some_and(|content| {
        let RefOr::T(content) = content else { return false };
        let Some(RefOr::Ref(schema)) = &content.schema else {
            return false;
        };
        schema.ref_location == Ref::from_schema_name(Problem::name()).ref_location
    });
    if is_problem && let Some(content) = response.content.shift_remove(JSON_MEDIA) {
        response.content.insert(PROBLEM_MEDIA.to_owned(), content);
    }
}
