//! What to do about an error of the client.

use soma_client::ClientError;
use soma_types::{Rejection, RejectionCode};

use super::Hint;

impl Hint for ClientError {
    fn hint(&self) -> Option<String> {
        if let Self::OutcomeUnknown { hash, .. } | Self::StillWaiting { hash, .. } = self {
            return Some(format!(
                "`soma transaction show {hash}` looks it up; `soma transaction resend {hash}`, or the same command \
                 again, hands in the same bytes, which cannot happen twice"
            ));
        }
        fixed(self).map(str::to_owned)
    }

    fn client(&self) -> Option<&ClientError> {
        Some(self)
    }
}

/// What holds whatever the case.
fn fixed(error: &ClientError) -> Option<&'static str> {
    Some(match error {
        ClientError::BadUrl { .. } => "give --network local, or a URL such as http://127.0.0.1:9000",
        ClientError::Unreachable { node, .. } if node.starts_with("https:") => {
            "is the node running, and does it speak TLS? A localnet does not: give http:// for one"
        }
        ClientError::Unreachable { .. } => {
            "is the node running? `soma localnet` starts a local network; --network names another"
        }
        ClientError::Broken { .. } | ClientError::Hop { .. } => {
            "the node may be restarting, or something before it may be broken: `soma status` shows how it stands"
        }
        ClientError::TimedOut { .. } => "the node may be overloaded or stuck: `soma status` shows its height",
        ClientError::Problem(problem) => match problem.code {
            Some(RejectionCode::NonceUsed | RejectionCode::NonceAhead) => {
                "another program may be sending from this account; try again"
            }
            Some(RejectionCode::CannotPayFee | RejectionCode::InsufficientBalance) => {
                "`soma balance` shows the balance; on a localnet, `soma faucet` fills it"
            }
            // Most say it themselves.
            None if matches!(problem.status, 429 | 503) && !problem.detail.contains("again") => {
                "wait a moment and try again"
            }
            None if problem.status == 404 => "check the id, and that --network names the right network",
            _ => return None,
        },
        ClientError::AnswerTooLarge { .. } | ClientError::BadAnswer { .. } | ClientError::Event(_) => {
            "the node may run another version, or be no SOMA node: compare `soma status` and `soma --version`"
        }
        ClientError::OtherChain { .. } => {
            "the network may have been begun anew, or the address may be another's: see `soma status`"
        }
        ClientError::Behind { .. } => {
            "it is catching up, its network stands still, or the clock here is wrong: wait, or use another node"
        }
        ClientError::WrongHash { .. } => "the host sent other bytes; try another node",
        ClientError::WouldFail { rejection } => match rejection {
            Rejection::InsufficientBalance { .. } => {
                "nothing was sent. `soma balance` shows the balance; on a localnet, `soma faucet` fills it"
            }
            _ => "nothing was sent, and nothing paid",
        },
        ClientError::FeeTooHigh { .. } => {
            "`--max-fee AMOUNT` allows more; when a network is less full, its fees fall by an eighth an epoch"
        }
        ClientError::Busy { .. } => "end that process, or wait for it",
        ClientError::Unaffordable { .. } => {
            "`soma balance` shows the balance; on a localnet, `soma faucet` fills it. Bonds come back two epochs later"
        }
        ClientError::ModelLacks { what, .. } if what.contains("committed") => {
            "what is committed is to be revealed in the next epoch, and lapses after it, which costs a part of the stake: \
             `soma model update` commits anew"
        }
        ClientError::Expired { .. } => "send it again",
        ClientError::SecretMissing { .. } => {
            "reveal from the machine and wallet folder that committed, or commit again in the next epoch"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use soma_types::{Epoch, Shannons, TransactionHash, api::Problem};

    use super::*;

    fn problem(status: u16, code: Option<RejectionCode>, detail: &str) -> ClientError {
        ClientError::Problem(Box::new(Problem {
            kind: "about:blank".into(),
            title: "no".into(),
            status,
            detail: detail.into(),
            code,
            name: None,
        }))
    }

    fn unreachable(node: &str) -> ClientError {
        ClientError::Unreachable {
            node: node.into(),
            reason: "refused".into(),
        }
    }

    #[test]
    fn each_says_what_can_be_done() {
        let hash = TransactionHash([7; 32]);
        let unknown = ClientError::OutcomeUnknown {
            hash,
            expires: Epoch(6),
            cause: Box::new(unreachable("http://a")),
        };
        let fee = ClientError::FeeTooHigh {
            fee: Shannons(2),
            limit: Shannons(1),
        };
        for (error, hint) in [
            (unknown, format!("`soma transaction resend {hash}`")),
            (fee, "--max-fee".to_owned()),
            (unreachable("http://a"), "`soma localnet`".to_owned()),
            (unreachable("https://a"), "give http://".to_owned()),
            (
                problem(422, Some(RejectionCode::CannotPayFee), "no"),
                "`soma faucet`".to_owned(),
            ),
            (problem(404, None, "there is no model"), "check the id".to_owned()),
            (problem(429, None, "256 wait"), "wait a moment".to_owned()),
        ] {
            let given = error.hint().unwrap_or_default();
            assert!(given.contains(&hint), "{error}: {given}");
        }
    }

    #[test]
    fn what_the_message_says_is_not_said_twice() {
        let full = problem(503, None, "the network has no block yet: try again in a second");
        assert_eq!(full.hint(), None);
    }
}
