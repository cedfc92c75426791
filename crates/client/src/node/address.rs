//! A node's address as it is written.

use soma_types::secrecy::without_credentials;
use url::{Host, Url};

/// What stands before `/v1` in a node's address, or why the text is none.
pub(super) fn base_of(text: &str) -> Result<Url, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if !text.contains("://") {
        return Err(format!(
            "it has no scheme: try http://{}",
            without_credentials(text)
        ));
    }
    let mut base = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(format!("its scheme is {}, not http or https", base.scheme()));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err("it has a query or a fragment: give only what stands before /v1".to_owned());
    }
    let path = base.path().trim_end_matches('/');
    let path = path
        .strip_suffix("/v1")
        .unwrap_or(path)
        .trim_end_matches('/')
        .to_owned();
    base.set_path(&path);
    Ok(base)
}

/// Whether a URL names this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
