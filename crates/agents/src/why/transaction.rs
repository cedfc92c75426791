//! Why a transaction did nothing.

use soma_types::{Epoch, api::TransactionView, receipt::Outcome};

use super::Why;

/// Explains a transaction that the node knows, in the epoch `now`.
#[must_use]
pub fn why(view: &TransactionView, now: Epoch) -> Why {
    let expires = view.transaction.expires;
    let Some(receipt) = &view.receipt else {
        let why = Why::new(format!(
            "it waits for a block, and may be included until epoch {expires} ends"
        ));
        return if now > expires {
            why.because("that epoch is over: it never will be")
        } else {
            why.because("blocks take the highest fees first, and of one sender one nonce after the other")
        };
    };
    let place = format!(
        "it was included in block {}, and paid {} SOMA",
        receipt.height, receipt.fee
    );
    match &receipt.outcome {
        Outcome::Applied { .. } => Why::new(format!("{place}: it took effect")),
        Outcome::Failed { rejection } => Why::new(format!("{place}, and changed nothing else"))
            .because(rejection.to_string())
            .because(format!("that is code {} {}", rejection.code(), rejection.name()))
            .advice("docs/rejections.md has every reason; what is sent through `soma` is rehearsed, and not sent where it would fail"),
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{
        ChainId, Height, Keypair, Receipt, Rejection, Shannons, Transaction, TransactionHash,
        TransactionKind, list::List,
    };

    use super::*;

    #[test]
    fn each_end_has_its_words() {
        let keys = Keypair::from_secret_bytes([1; 32]);
        let view = |outcome: Option<Outcome>| TransactionView {
            hash: TransactionHash([1; 32]),
            transaction: Transaction {
                chain: ChainId([0; 32]),
                sender: keys.public_key(),
                nonce: 0,
                expires: Epoch(7),
                max_fee: Shannons::ZERO,
                kind: TransactionKind::Transfer {
                    payments: List::new(Vec::new()).unwrap(),
                },
            },
            receipt: outcome.map(|outcome| Receipt {
                transaction: TransactionHash([1; 32]),
                sender: keys.address(),
                height: Height(5),
                index: 0,
                fee: Shannons(1),
                outcome,
                events: Vec::new(),
            }),
            timestamp_ms: None,
        };
        let failed = Outcome::Failed {
            rejection: Rejection::NothingToDo {},
        };
        let failed = why(&view(Some(failed)), Epoch(6));
        assert!(
            failed.because[0].contains("nothing to do") && failed.because[1].contains("201"),
            "{failed:?}"
        );
        let applied = why(&view(Some(Outcome::Applied { created: None })), Epoch(6));
        assert!(applied.stands.contains("took effect") && applied.because.is_empty());
        assert!(why(&view(None), Epoch(8)).because[0].contains("never"));
        assert!(why(&view(None), Epoch(7)).because[0].contains("fees"));
    }
}
