//! What an answer means that is not a good one, and what it means that none came.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use soma_types::{api::Problem, text::printable};

use super::{NodeClient, request::Request};
use crate::error::ClientError;

/// An error answer is read up to this length.
const PROBLEM_LENGTH_BYTES_MAX: u64 = 64 << 10;
/// Of words that are no problem document, so many characters are repeated.
const WORDS_CHARACTERS_MAX: usize = 200;

impl NodeClient {
    /// The error that an answer carries; a plain one where it carries none.
    pub(super) async fn problem(&self, request: &Request, response: Response) -> ClientError {
        let status = response.status();
        let location = response
            .headers()
            .get("location")
            .filter(|_| status.is_redirection());
        if let Some(location) = location {
            let location = String::from_utf8_lossy(location.as_bytes());
            let text = format!("it points to {}: give that address", printable(&location));
            return ClientError::Problem(Box::new(plain(request, status, &text)));
        }
        let body = match self.body(request, response, PROBLEM_LENGTH_BYTES_MAX).await {
            Ok(body) => body,
            Err(ClientError::AnswerTooLarge { .. }) => Vec::new(),
            Err(error) => return error,
        };
        let problem = match serde_json::from_slice(&body) {
            Ok(problem) => problem,
            Err(_) => {
                let text = String::from_utf8_lossy(&body);
                let line = text.lines().next().unwrap_or_default();
                let text: String = line.chars().take(WORDS_CHARACTERS_MAX).collect();
                let text = text.trim().to_owned();
                // A node gives its reasons; gateways do not.
                if matches!(status.as_u16(), 502..=504) {
                    return ClientError::Hop {
                        request: request.name(),
                        status: status.to_string(),
                        text,
                    };
                }
                plain(request, status, &text)
            }
        };
        ClientError::Problem(Box::new(Problem {
            status: status.as_u16(),
            ..problem
        }))
    }

    /// The error of a request whose answer did not come, or not whole.
    pub(super) fn failed(&self, error: &reqwest::Error, timeout: Duration) -> ClientError {
        let node = self.address().to_owned();
        let reason = reason(error);
        if error.is_connect() {
            ClientError::Unreachable { node, reason }
        } else if error.is_timeout() {
            ClientError::TimedOut { node, timeout }
        } else {
            ClientError::Broken { node, reason }
        }
    }
}

fn plain(request: &Request, status: StatusCode, text: &str) -> Problem {
    let mut detail = format!("the node answered {status} to {}", request.name());
    if !text.is_empty() {
        detail.push_str(": ");
        detail.push_str(text);
    }
    Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("error").to_owned(),
        status: status.as_u16(),
        detail,
        code: None,
        name: None,
    }
}

/// The useful end of a transport error: its innermost cause.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
