//! What to do about an error, where its message alone does not say.

use std::error::Error;

use soma_agents::{submitter::SubmitError, trainer::RoundError};
use soma_client::ClientError;
use soma_node::{folder::FolderError, localnet::LocalnetError};

/// An error that may know a remedy.
pub trait Hint {
    /// What the person can do.
    fn hint(&self) -> Option<String>;
}

impl Hint for ClientError {
    fn hint(&self) -> Option<String> {
        self.hint().map(str::to_owned)
    }
}

impl Hint for SubmitError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => Hint::hint(error),
            _ => None,
        }
    }
}

impl Hint for RoundError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => Hint::hint(error),
            _ => None,
        }
    }
}

impl Hint for LocalnetError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Port { .. } => Some("choose another port with --listen 127.0.0.1:PORT".into()),
            Self::Stopped { .. } => {
                Some("nothing that was final is lost: start it again once the cause is gone".into())
            }
            Self::Storage { .. } => Some(
                "if something there is damaged, restore the folder from a copy, or make a new network with --force"
                    .into(),
            ),
            Self::Descriptors(error) => Some(format!(
                "allow more with `ulimit -n {}` in this shell, or start fewer with --validators",
                error.needed
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
    let mut next = Some(error);
    while let Some(error) = next {
        let hint = hint_of::<ClientError>(error)
            .or_else(|| hint_of::<SubmitError>(error))
            .or_else(|| hint_of::<RoundError>(error))
            .or_else(|| hint_of::<LocalnetError>(error));
        if hint.is_some() {
            return hint;
        }
        next = error.source();
    }
    None
}

fn hint_of<E: Hint + Error + 'static>(error: &(dyn Error + 'static)) -> Option<String> {
    error.downcast_ref::<E>().and_then(Hint::hint)
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
        assert!(of(&SubmitError::from(unreachable())).is_some());
        assert_eq!(of(&ClientError::Argument("a".into())), None);
    }
}
