//! Why a source elsewhere gives nothing, and what its reader can do. A fault travels as the inner part of an
//! [`io::Error`], whose reader adds the name of the file.

use std::{io, time::Duration};

use bytesize::ByteSize;
use soma_types::text::printable;

/// Why a source elsewhere gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Whoever asks is not known, or may not read it.
    #[error("access is refused ({status}): {remedy}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What to do.
        remedy: String,
    },
    /// There is no such thing.
    #[error("there is nothing there ({status}): check the address{}", hint(.remedy))]
    Absent {
        /// The HTTP status.
        status: u16,
        /// What else it may be; empty if nothing.
        remedy: String,
    },
    /// Another answer than data.
    #[error("the server answers {status}{}", words(.reason))]
    Status {
        /// The HTTP status.
        status: u16,
        /// Its words; may be empty.
        reason: String,
    },
    /// Too much asked of it.
    #[error("{}: try again later", busy(.status))]
    Busy {
        /// The HTTP status.
        status: u16,
        /// When to come back, if it says so.
        after: Option<Duration>,
    },
    /// Nothing came.
    #[error("{}: the server hangs or the connection is too slow; try again later", timed_out(.waited))]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
    /// No connection.
    #[error("{}; check the address and this machine's network", unreachable(.reason))]
    Unreachable {
        /// The transport's words.
        reason: String,
    },
    /// The connection ended before the data.
    #[error("{}: try again", cut(.found_bytes, .expected_bytes))]
    Cut {
        /// What came.
        found_bytes: u64,
        /// What there is.
        expected_bytes: Option<u64>,
    },
    /// The file is not what it was.
    #[error("it has changed while it was read: begin anew")]
    Changed,
    /// The host keeps pointing elsewhere.
    #[error("the server redirects more than {limit} times: check the address")]
    Redirects {
        /// The limit.
        limit: usize,
    },
    /// A public server points into a private network.
    #[error("the server redirects to `{}`, which is no public address: that is followed only from a private one", printable(.host))]
    Private {
        /// Where to.
        host: String,
    },
    /// Another scheme.
    #[error("the server redirects to `{}:`, which is not fetched", printable(.scheme))]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// Other bytes than asked for.
    #[error("the server sends another part than it was asked for: {problem}")]
    WrongPart {
        /// What it does.
        problem: String,
    },
    /// A page where data was expected.
    #[error("the server sends a web page ({}), not data: open the address in a browser, it may ask for a login", printable(.kind))]
    Page {
        /// Its type.
        kind: String,
    },
    /// An answer of the hub that is not understood.
    #[error("the hub's answer is not understood: {}", printable(.problem))]
    Answer {
        /// What is wrong.
        problem: String,
    },
    /// The source cannot be read at any place, and a copy found no room.
    #[error("the server cannot send a part of it, and a copy of {} in {} failed: {problem}; set TMPDIR to a folder with more room", size(.size_bytes), printable(.folder))]
    NoRoom {
        /// Its size, if known.
        size_bytes: Option<u64>,
        /// Where the copy was to be.
        folder: String,
        /// The system's words.
        problem: String,
    },
    /// Settings that make no sense.
    #[error("{0}")]
    Setting(String),
}

impl Fault {
    /// Whether trying again may help.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. } | Self::TimedOut { .. } | Self::Unreachable { .. } | Self::Cut { .. }
        )
    }

    /// What has happened, without what to do about it.
    pub(crate) fn happened(&self) -> String {
        match self {
            Self::Busy { status, .. } => busy(status),
            Self::TimedOut { waited } => timed_out(waited),
            Self::Unreachable { reason } => unreachable(reason),
            Self::Cut {
                found_bytes,
                expected_bytes,
            } => cut(found_bytes, expected_bytes),
            lasting => lasting.to_string(),
        }
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Changed => Self::other(soma_data::Changed),
            // Not the kind of a local file that is gone, which may be left out: this one was listed.
            fault => Self::other(fault),
        }
    }
}

fn hint(remedy: &str) -> String {
    if remedy.is_empty() {
        String::new()
    } else {
        format!("; {remedy}")
    }
}

fn words(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {}", soma_types::text::excerpt(reason, 300))
    }
}

fn busy(status: &u16) -> String {
    format!("the server cannot answer now ({status})")
}

fn timed_out(waited: &Duration) -> String {
    format!("nothing came for {} s", waited.as_secs_f32())
}

fn unreachable(reason: &str) -> String {
    format!("the server cannot be reached: {}", printable(reason))
}

fn cut(found_bytes: &u64, expected_bytes: &Option<u64>) -> String {
    let of = expected_bytes.map_or_else(String::new, |bytes| format!(" of {bytes}"));
    format!("the connection ended after {found_bytes} bytes{of}")
}

fn size(size_bytes: &Option<u64>) -> String {
    size_bytes.map_or_else(|| "it".into(), |bytes| ByteSize(bytes).to_string())
}
