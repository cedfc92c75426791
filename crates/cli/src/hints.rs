//! What to do about an error, where its message alone does not say.

mod client;

use std::error::Error;

use soma_agents::{service::ServiceError, submitter::SubmitError, trainer::TrainerError};
use soma_client::ClientError;
use soma_http::CannotListen;
use soma_localnet::{FolderError, LocalnetError};

/// An error that may know a remedy.
pub trait Hint {
    /// What the person can do.
    fn hint(&self) -> Option<String>;

    /// The client's error that this is, or passes on.
    fn client(&self) -> Option<&ClientError> {
        None
    }
}

/// Errors that know no more than the client's, where they pass one on.
macro_rules! hints_of_the_client {
    ($($error:ty),*) => {
        $(
            impl Hint for $error {
                fn hint(&self) -> Option<String> {
                    self.client().and_then(Hint::hint)
                }

                fn client(&self) -> Option<&ClientError> {
                    match self {
                        Self::Client(error) => Some(error),
                        _ => None,
                    }
                }
            }
        )*
    };
}

hints_of_the_client!(SubmitError, TrainerError);

impl Hint for ServiceError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::BondsMax { .. } => Some("allow more with --bond-budget".into()),
            Self::NoTarget { .. } => Some(
                "targets open once models compete: see `soma model list`; --follow waits for ever".into(),
            ),
            _ => self.client().and_then(Hint::hint),
        }
    }

    fn client(&self) -> Option<&ClientError> {
        match self {
            Self::Client(error) => Some(error),
            Self::Money(error) => Some(error),
            Self::Document { error, .. } => error.client(),
            _ => None,
        }
    }
}

impl Hint for CannotListen {
    fn hint(&self) -> Option<String> {
        Some("choose another with --listen 127.0.0.1:PORT".into())
    }
}

impl Hint for LocalnetError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Port(error) => error.hint(),
            Self::Stopped { .. } => {
                Some("nothing that was final is lost: start it again once the cause is gone".into())
            }
            Self::Storage { .. } => Some(
                "if something there is damaged, restore the folder from a copy, or make a new network with --force"
                    .into(),
            ),
            Self::Descriptors { few, .. } => Some(format!(
                "allow more with `ulimit -n {}` in this shell, or start fewer with --validators",
                few.needed
            )),
            Self::Folder(FolderError::OtherVersion { .. }) => {
                Some("go on with that version, choose another folder with --dir, or delete it with --force".into())
            }
            Self::Folder(FolderError::InTheWay(_)) => {
                Some("move it, or choose another folder with --dir".into())
            }
            Self::Folder(FolderError::Foreign(_)) => {
                Some("--force deletes localnets only; choose another folder with --dir".into())
            }
            Self::Folder(FolderError::Io { .. }) | Self::Blobs(_) => {
                Some("check the folder's permissions and the free space, or choose another with --dir".into())
            }
            _ => None,
        }
    }
}

/// The hint of `error`, or of the first of its causes that has one.
pub fn of(error: &(dyn Error + 'static)) -> Option<String> {
    causes(error).filter_map(known).find_map(Hint::hint)
}

/// The client's error among `error` and its causes.
pub fn client<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a ClientError> {
    causes(error).filter_map(known).find_map(Hint::client)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn known<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a dyn Hint> {
    fn of<'a, E: Hint + Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a dyn Hint> {
        error.downcast_ref::<E>().map(|error| error as &dyn Hint)
    }
    of::<ClientError>(error)
        .or_else(|| of::<ServiceError>(error))
        .or_else(|| of::<SubmitError>(error))
        .or_else(|| of::<TrainerError>(error))
        .or_else(|| of::<LocalnetError>(error))
        .or_else(|| of::<CannotListen>(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_come_through_wrappers() {
        let unreachable = || ClientError::Unreachable {
            node: "n".into(),
            reason: "r".into(),
        };
        assert!(of(&unreachable()).is_some_and(|hint| hint.contains("soma localnet")));
        let wrapped = SubmitError::from(unreachable());
        assert!(of(&wrapped).is_some());
        assert!(matches!(client(&wrapped), Some(ClientError::Unreachable { .. })));
        assert_eq!(of(&ClientError::Argument("a".into())), None);
    }
}
