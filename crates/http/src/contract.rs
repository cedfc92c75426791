//! What the interface takes, read off its OpenAPI document, and the border that every request crosses first.
//!
//! Upon a request:
//! - its path is unknown: on to the router's fallback;
//! - its method, a query parameter or a body is none that the document names there: refused, since what is
//!   not known would otherwise be ignored in silence;
//! - it writes for a page of another origin: refused. Such pages may read, without credentials (there are
//!   none).
//!
//! A route that the document does not name is closed, so none can be forgotten there. Nor can an answer: one
//! that the document does not name fails every test that meets it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use axum::{
    body::{Body, HttpBody as _},
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation as Described, ParameterIn},
};

use crate::{
    body::essence,
    document::JSON_MEDIA,
    problem::{Error, shown},
};

/// Where the document itself is.
pub const DOCUMENT_PATH: &str = "/openapi.json";
/// How long a browser may remember what other origins may do.
const PREFLIGHT_SECONDS: &str = "600";

/// What one method does at one path.
#[derive(Debug)]
struct Operation {
    method: Method,
    /// Names of its query parameters.
    parameters: Vec<String>,
    takes_body: bool,
    /// The media types of its answers, by their status.
    answers: HashMap<StatusCode, Vec<String>>,
}

impl Operation {
    /// Whether the document names an answer with this status and, if it has a body, of its kind.
    fn names(&self, answer: &Response) -> bool {
        let media = answer.headers().get(header::CONTENT_TYPE);
        let media = media.and_then(|media| media.to_str().ok()).map(essence);
        self.answers
            .get(&answer.status())
            .is_some_and(|named| media.is_none_or(|media| named.iter().any(|named| named == media)))
    }
}

/// The operations at each path, by its template.
#[derive(Debug)]
pub struct Contract(HashMap<String, Vec<Operation>>);

/// What becomes of a request.
enum Verdict<'a> {
    /// It goes to its handler, if there is one.
    Pass(Option<&'a Operation>),
    /// It asks what may be done at its path: these methods.
    Question { allowed: String },
    /// Its method is not among these.
    WrongMethod { allowed: String, detail: String },
}

/// Whether a method only reads.
fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

impl Contract {
    /// What `document` describes, and the document itself.
    #[must_use]
    pub fn new(document: &OpenApi) -> Self {
        let operation = |method: Method, described: &Option<Described>| {
            let described = described.as_ref()?;
            let parameters = described
                .parameters
                .iter()
                .flatten()
                .filter_map(|parameter| match parameter {
                    RefOr::T(parameter) => Some(parameter),
                    RefOr::Ref(_) => None,
                });
            Some(Operation {
                method,
                parameters: parameters
                    .filter(|parameter| matches!(parameter.parameter_in, ParameterIn::Query))
                    .map(|parameter| parameter.name.clone())
                    .collect(),
                takes_body: described.request_body.is_some(),
                answers: answers(described),
            })
        };
        let paths = document.paths.paths.iter().map(|(path, item)| {
            let operations = [
                operation(Method::GET, &item.get),
                operation(Method::PUT, &item.put),
                operation(Method::POST, &item.post),
            ];
            (path.clone(), operations.into_iter().flatten().collect())
        });
        let mut paths: HashMap<String, Vec<Operation>> = paths.collect();
        let itself = Operation {
            method: Method::GET,
            parameters: Vec::new(),
            takes_body: false,
            answers: HashMap::from([(StatusCode::OK, vec![JSON_MEDIA.to_owned()])]),
        };
        paths.insert(DOCUMENT_PATH.to_owned(), vec![itself]);
        Self(paths)
    }

    fn judge(&self, request: &Request) -> Result<Verdict<'_>, Error> {
        let Some(path) = request.extensions().get::<MatchedPath>() else {
            return Ok(Verdict::Pass(None));
        };
        let operations = self.0.get(path.as_str()).map_or(&[][..], Vec::as_slice);
        let (method, headers) = (request.method(), request.headers());
        let allowed = methods(operations);
        if method == Method::OPTIONS {
            check_preflight(headers)?;
            return Ok(Verdict::Question { allowed });
        }
        let wanted = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let Some(operation) = operations.iter().find(|operation| operation.method == *wanted) else {
            let detail = format!(
                "{} does not take {}: use {allowed}",
                shown(request.uri().path()),
                shown(method.as_str())
            );
            return Ok(Verdict::WrongMethod { allowed, detail });
        };
        check_origin(method, headers)?;
        check_query(operation, request.uri().query().unwrap_or_default())?;
        check_body(operation, request.body())?;
        Ok(Verdict::Pass(Some(operation)))
    }
}

/// The media types of an operation's answers, by their status.
fn answers(described: &Described) -> HashMap<StatusCode, Vec<String>> {
    let answers = described.responses.responses.iter();
    answers
        .filter_map(|(status, response)| match response {
            RefOr::T(response) => Some((status.parse().ok()?, response.content.keys().cloned().collect())),
            RefOr::Ref(_) => None,
        })
        .collect()
}

/// The methods at a path, as the `Allow` header lists them.
fn methods(operations: &[Operation]) -> String {
    let mut names = Vec::new();
    for operation in operations {
        names.push(operation.method.as_str());
        if operation.method == Method::GET {
            names.push("HEAD");
        }
    }
    names.push("OPTIONS");
    names.join(", ")
}

/// Refuses parameters that the operation does not have, and those that come twice: one of them would be
/// ignored.
fn check_query(operation: &Operation, query: &str) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        if !operation.parameters.iter().any(|known| *known == name) {
            let known = if operation.parameters.is_empty() {
                "it takes none".to_owned()
            } else {
                format!("use {}", operation.parameters.join(", "))
            };
            return Err(Error::bad_request(format!(
                "there is no query parameter '{}' here: {known}",
                shown(&name)
            )));
        }
        if !seen.insert(name.clone()) {
            return Err(Error::bad_request(format!(
                "the query parameter '{name}' is given more than once: give it once"
            )));
        }
    }
    Ok(())
}

/// Refuses a body where none is taken.
fn check_body(operation: &Operation, body: &Body) -> Result<(), Error> {
    if operation.takes_body || body.is_end_stream() {
        return Ok(());
    }
    let detail = "a body is given where none is taken: put what you ask for into the query, or send none";
    Err(Error::bad_request(detail))
}

/// Refuses what a page of another origin would write. Browsers say on every such request whose page it is.
fn check_origin(method: &Method, headers: &HeaderMap) -> Result<(), Error> {
    let Some(origin) = headers.get(header::ORIGIN).filter(|_| !reads(method)) else {
        return Ok(());
    };
    let origin = String::from_utf8_lossy(origin.as_bytes());
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_same = origin
        .split_once("://")
        .zip(host)
        .is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host));
    if is_same {
        return Ok(());
    }
    let detail = format!(
        "pages of other origins may read only, not {method}: '{}' is one",
        shown(&origin)
    );
    Err(Error::new(StatusCode::FORBIDDEN, detail))
}

/// Refuses a browser that asks whether a page of another origin may write.
fn check_preflight(headers: &HeaderMap) -> Result<(), Error> {
    let Some(wanted) = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD) else {
        return Ok(());
    };
    if matches!(wanted.as_bytes(), b"GET" | b"HEAD") {
        return Ok(());
    }
    let wanted = String::from_utf8_lossy(wanted.as_bytes());
    let detail = format!(
        "pages of other origins may only GET and HEAD, not '{}'",
        shown(&wanted)
    );
    Err(Error::new(StatusCode::FORBIDDEN, detail))
}

/// The answer to OPTIONS, and to the question that a browser asks for a page of another origin.
fn allowing(methods: &str) -> Response {
    let headers = [
        (header::ALLOW, methods),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// The border: a layer around all routes.
pub async fn admit(State(contract): State<Arc<Contract>>, request: Request, next: Next) -> Response {
    let is_readable = reads(request.method());
    let mut answer = match contract.judge(&request) {
        Ok(Verdict::Pass(operation)) => {
            let asked = format!("{} {}", request.method(), request.uri().path());
            let answer = next.run(request).await;
            debug_assert!(
                operation.is_none_or(|operation| operation.names(&answer)),
                "the document names no such answer of {asked}: {answer:?}"
            );
            answer
        }
        Ok(Verdict::Question { allowed }) => allowing(&allowed),
        Ok(Verdict::WrongMethod { allowed, detail }) => {
            let error = Error::new(StatusCode::METHOD_NOT_ALLOWED, detail);
            ([(header::ALLOW, allowed)], error).into_response()
        }
        Err(error) => error.into_response(),
    };
    let may_read = is_readable && answer.status() != StatusCode::FORBIDDEN;
    if may_read {
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("*"),
        );
    }
    answer
}

/// Answers requests for what does not exist.
pub async fn no_such_path(request: Request) -> Error {
    let detail = format!(
        "there is nothing at {}: see {DOCUMENT_PATH}",
        shown(request.uri().path())
    );
    Error::new(StatusCode::NOT_FOUND, detail)
}
