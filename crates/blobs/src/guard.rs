//! Which addresses a stranger may send this machine to: those on the public Internet, and no others.
//!
//! Held where an address is named, after every redirect, and in what names resolve to: the check sits in the
//! resolver, so a name cannot change its mind between check and connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Refusals made inside `reqwest`, found again in its error's sources.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Where it leads is not on the public Internet.
    #[error("`{0}` is not a public address")]
    PrivateAddress(String),
    /// Where it leads is not fetched over HTTP.
    #[error("scheme `{0}`")]
    Scheme(String),
    /// It leads on and on.
    #[error("too many redirects")]
    Redirects,
}

/// Whether `url` may be asked at all. Names are judged by whoever resolves them: [`PublicResolver`].
///
/// # Errors
/// With the reason why not.
pub fn admit(url: &Url, private_addresses: bool) -> Result<(), Refusal> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refusal::Scheme(url.scheme().to_owned()));
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        // Names are judged by what they resolve to.
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(Refusal::PrivateAddress(String::new())),
    };
    if private_addresses || is_public(address) {
        return Ok(());
    }
    Err(Refusal::PrivateAddress(address.to_string()))
}

/// Resolves names to public addresses only.
#[derive(Clone, Copy, Debug)]
pub struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Refusal::PrivateAddress(name.as_str().to_owned()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is on the public Internet (IANA special-purpose registries, RFC 6890 and successors).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0 // this network
        || a >= 240 // reserved, broadcast
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 198 && (18..20).contains(&b)); // benchmarks
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Forms that carry an IPv4 address are judged by it.
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    // Of NAT64, the well-known prefix; the one for local use (64:ff9b:1::/48) is private whatever it carries.
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() {
        let [c, d] = high.to_be_bytes();
        let [e, f] = low.to_be_bytes();
        return is_public_v4(Ipv4Addr::new(c, d, e, f));
    }
    // Only 2000::/3 is global unicast; of it, not 2001::/23 (Teredo and other protocols), documentation
    // (2001:db8::/32, 3fff::/20) or 6to4.
    let global = a & 0xe000 == 0x2000;
    let special = (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || (a == 0x3fff && b < 0x1000) || a == 0x2002;
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "198.20.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::808:808",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn odd_spellings_of_loopback_are_seen_through() {
        // The URL standard normalises these to 127.0.0.1 before the check sees them.
        for text in [
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
        ] {
            let url = Url::parse(text).unwrap();
            assert!(
                matches!(admit(&url, false), Err(Refusal::PrivateAddress(_))),
                "{text}"
            );
            assert!(admit(&url, true).is_ok());
        }
    }
}
