//! The seam between what asks for bytes and what has them: one request for a part of a file.
//!
//! What is tried again is told as a warning (`tracing`), for whoever runs this to show: a server that hangs
//! is waited for in minutes.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;

use crate::{fault::Fault, worker::Pieces};

/// Requests for one part, all tries together.
const TRIES_MAX: u32 = 5;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until the next byte comes.
    pub idle: Duration,
    /// Before the second try; twice as long before each that follows.
    pub pause: Duration,
}

impl Default for Patience {
    /// 10 s to connect, 30 s without a byte, half a second before the second of five tries.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            pause: Duration::from_millis(500),
        }
    }
}

/// What an answer says of the whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its size as it is stored, if that is known.
    pub size_bytes: Option<u64>,
    /// What changes when its bytes do.
    pub tag: Option<String>,
    /// Whether parts of it can be had.
    pub has_parts: bool,
    /// Whether it is sent packed with gzip, beyond what its name says.
    pub is_packed: bool,
}

impl Facts {
    /// Whether `later` is an answer about the same bytes. What one of them does not say is not held against
    /// it.
    pub fn agree(&self, later: &Self) -> bool {
        let size = self.size_bytes.zip(later.size_bytes).is_none_or(|(a, b)| a == b);
        let tag = self
            .tag
            .as_ref()
            .zip(later.tag.as_ref())
            .is_none_or(|(a, b)| a == b);
        size && tag && self.is_packed == later.is_packed
    }
}

/// A part of a file, as it is sent.
pub struct Answer {
    /// Of the whole file.
    pub facts: Facts,
    /// Its first byte: what was asked for, or 0 from who cannot send parts.
    pub from: u64,
    /// Its bytes.
    pub pieces: Pieces,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("facts", &self.facts)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// Something that has a file.
pub trait Fetch: fmt::Debug + Send + Sync {
    /// What it is called, for people: without what is secret.
    fn name(&self) -> String;

    /// The bytes from `from` on, up to `until` or to the end.
    fn get(&self, from: u64, until: Option<u64>) -> BoxFuture<'static, Result<Answer, Fault>>;
}

/// An answer, after as many tries as are worth it.
pub async fn persistently(
    fetch: Arc<dyn Fetch>,
    from: u64,
    until: Option<u64>,
    patience: Patience,
) -> Result<Answer, Fault> {
    retried(patience, &fetch.name(), || fetch.get(from, until)).await
}

/// What `attempt` comes to, after as many tries of what is called `name` as are worth it.
pub async fn retried<T, F>(patience: Patience, name: &str, mut attempt: impl FnMut() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut tries = 0;
    loop {
        match attempt().await {
            Err(fault) if fault.is_passing() => match pause(patience, name, &mut tries, &fault) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(fault),
            },
            result => return result,
        }
    }
}

/// How long to wait before the next try of what is called `name`, which is told; none if there was the last.
pub fn pause(patience: Patience, name: &str, tries: &mut u32, fault: &Fault) -> Option<Duration> {
    *tries += 1;
    let wait = patience.pause.saturating_mul(1 << (*tries - 1).min(8));
    let asked = match fault {
        // A server that asks for more than a person would wait is told so.
        Fault::Busy {
            after: Some(after), ..
        } if *after > patience.idle => return None,
        Fault::Busy {
            after: Some(after), ..
        } => *after,
        _ => Duration::ZERO,
    };
    if *tries == TRIES_MAX {
        return None;
    }
    let happened = fault.happened();
    tracing::warn!("{name}: {happened}; trying again ({tries} of {})", TRIES_MAX - 1);
    Some(wait.max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_end() {
        let patience = Patience::default();
        let mut tries = 0;
        let cut = Fault::Cut {
            found_bytes: 0,
            expected_bytes: None,
        };
        let pauses: Vec<_> = std::iter::from_fn(|| pause(patience, "a", &mut tries, &cut)).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000].map(Duration::from_millis));
        let busy = |seconds| Fault::Busy {
            status: 429,
            after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(
            pause(patience, "a", &mut 0, &busy(3)),
            Some(Duration::from_secs(3))
        );
        assert_eq!(pause(patience, "a", &mut 0, &busy(3600)), None);
    }

    #[test]
    fn answers_about_other_bytes_are_told() {
        let facts = |size_bytes, tag: Option<&str>| Facts {
            size_bytes,
            tag: tag.map(str::to_owned),
            ..Facts::default()
        };
        assert!(facts(Some(1), Some("a")).agree(&facts(None, Some("a"))));
        assert!(!facts(Some(1), None).agree(&facts(Some(2), None)));
        assert!(!facts(Some(1), Some("a")).agree(&facts(Some(1), Some("b"))));
    }
}
