//! How this project makes HTTP requests: one TLS set-up, with roots that are always there.
//!
//! The roots are Mozilla's, compiled in, and those of the machine where it has any, so that the same binary
//! works in an empty container and behind a company's own authority.

use std::sync::Arc;

/// What no HTTP client can be built without.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The TLS library refused its own defaults.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP library refused the configuration.
    #[error("the HTTP client could not be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// A client builder with TLS set up and a user agent; the caller adds its limits.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client_builder() -> Result<reqwest::ClientBuilder, HttpError> {
    let mut roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    // Unreadable or odd certificates of the machine are its own affair; the compiled-in roots remain.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("soma/", env!("CARGO_PKG_VERSION"))))
}

/// An error and its causes in one line; `reqwest` hides the useful half in its sources.
pub fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
