//! What a command has done so far, so that it can be told however the command ends: by an error of a later
//! part, by a result that cannot be printed, by Ctrl-C.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use soma_client::Notice;
use soma_types::{
    Epoch, Height, Receipt, RejectionCode, Shannons, SignedTransaction, SubmissionId, TransactionHash,
    TransactionKind,
    receipt::{Created, Outcome},
};

use crate::printer::Printer;

/// A transaction that is not in a block so soon is named, in case the person does not want to wait.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// For so long it is not told again that the node does not answer.
const UNANSWERED_AGAIN: Duration = Duration::from_secs(60);

/// How a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It took effect.
    Applied,
    /// It was included and failed: it paid its fee and changed nothing.
    Failed,
    /// It was handed in, and may still happen.
    Unknown,
}

/// A transaction of the command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deed {
    /// Its name.
    pub transaction: TransactionHash,
    /// What it is for.
    pub kind: &'static str,
    /// How it stands.
    pub state: State,
    /// The last epoch in which it can be included.
    pub expires: Epoch,
    /// What it cost, once it is included.
    pub fee: Option<Shannons>,
    /// Its block.
    pub height: Option<Height>,
    /// What it made.
    pub created: Option<Created>,
    /// Why it failed.
    pub code: Option<RejectionCode>,
    /// The same in words.
    pub name: Option<&'static str>,
}

impl Deed {
    fn new(transaction: &SignedTransaction) -> Self {
        Self {
            transaction: transaction.hash(),
            kind: transaction.transaction.kind.name(),
            state: State::Unknown,
            expires: transaction.transaction.expires,
            fee: None,
            height: None,
            created: None,
            code: None,
            name: None,
        }
    }

    fn end(&mut self, receipt: &Receipt) {
        (self.fee, self.height) = (Some(receipt.fee), Some(receipt.height));
        match &receipt.outcome {
            Outcome::Applied { created } => {
                (self.state, self.created) = (State::Applied, *created);
            }
            Outcome::Failed { rejection } => {
                self.state = State::Failed;
                (self.code, self.name) = (Some(rejection.code()), Some(rejection.name()));
            }
        }
    }

    /// One line for people.
    pub fn text(&self) -> String {
        let Self {
            transaction, kind, ..
        } = self;
        let paid = match (self.height, self.fee) {
            (Some(height), Some(fee)) => format!(" in block {height}, fee {fee} SOMA"),
            _ => String::new(),
        };
        match self.state {
            State::Applied => {
                let made = match &self.created {
                    Some(Created::Model(model)) => format!(", made model {model}"),
                    Some(Created::Submission(submission)) => format!(", made submission {submission}"),
                    Some(Created::Proposal(proposal)) => format!(", made proposal {proposal}"),
                    None => String::new(),
                };
                format!("done: {kind}, transaction {transaction}{paid}{made}")
            }
            State::Failed => {
                let why = match (self.code, self.name) {
                    (Some(code), Some(name)) => format!(", code {code} {name}"),
                    _ => String::new(),
                };
                format!("failed: {kind}, transaction {transaction}{paid}{why}")
            }
            State::Unknown => format!(
                "may still happen, until epoch {} ends: {kind}, transaction {transaction}",
                self.expires
            ),
        }
    }
}

/// Most transactions that are told; of a run for ever the first that took effect are left out.
const DEEDS_MAX: usize = 1_000;

#[derive(Debug, Default)]
struct Inner {
    deeds: Vec<Deed>,
    due: Vec<String>,
    /// Submissions that are committed and not over.
    open: BTreeSet<SubmissionId>,
    /// When it was last told that the node does not answer.
    unanswered: Option<Instant>,
}

/// What a command has done, and what it has left to be done. Clones share.
#[derive(Clone, Debug, Default)]
pub struct Record {
    inner: Arc<Mutex<Inner>>,
}

impl Record {
    fn with<T>(&self, step: impl FnOnce(&mut Inner) -> T) -> T {
        step(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The command's transactions.
    pub fn deeds(&self) -> Vec<Deed> {
        self.with(|inner| inner.deeds.clone())
    }

    /// What is still to be done, in words.
    pub fn due(&self) -> Vec<String> {
        self.with(|inner| {
            let open = inner.open.first().map(|first| {
                let others = match inner.open.len() - 1 {
                    0 => String::new(),
                    others => format!(" and {others} more"),
                };
                format!(
                    "finish submission {first}{others}: `soma submission finish` does, as does `soma submit`. Not revealed in \
                     time, its deposit is lost; won, and its data not handed over before its audit, its bond"
                )
            });
            inner.due.iter().cloned().chain(open).collect()
        })
    }

    /// Notes that nothing is left to be done for a submission.
    pub fn set_over(&self, submission: &SubmissionId) {
        self.with(|inner| inner.open.remove(submission));
    }

    /// Notes what is still to be done, in place of what was noted before; nothing for none.
    pub fn set_due(&self, due: Option<String>) {
        self.with(|inner| inner.due = due.into_iter().collect());
    }

    /// Whether there is anything to tell.
    pub fn has_something(&self) -> bool {
        self.with(|inner| !inner.deeds.is_empty() || !inner.due.is_empty() || !inner.open.is_empty())
    }

    /// Notes what an account does. From the first transaction on, Ctrl-C tells what was done before it ends
    /// the process.
    pub fn take(&self, printer: Printer, notice: Notice<'_>) {
        match notice {
            Notice::Sending(transaction) => self.open(printer, transaction),
            Notice::Resumed(transaction) => {
                self.open(printer, transaction);
                printer.note(format!(
                    "Transaction {} asked for the same, and how it ended was not known: going on with it, nothing new is sent",
                    transaction.hash()
                ));
            }
            Notice::Included(transaction, receipt) => {
                self.with(|inner| {
                    let mut deeds = inner.deeds.iter_mut();
                    if let Some(deed) = deeds.find(|deed| deed.transaction == transaction.hash()) {
                        deed.end(receipt);
                    }
                });
                self.note_commit(&transaction.transaction.kind, receipt);
            }
            Notice::Void(transaction) => self.with(|inner| {
                inner.deeds.retain(|deed| deed.transaction != transaction.hash());
            }),
            Notice::Unanswered(_, error) => {
                let is_news = |last: Instant| last.elapsed() >= UNANSWERED_AGAIN;
                if self.with(|inner| inner.unanswered.is_none_or(is_news)) {
                    self.with(|inner| inner.unanswered = Some(Instant::now()));
                    printer.note(format!("{error}: waiting until the node answers .."));
                }
            }
        }
    }

    /// A submission that is committed is to be revealed, and settled after that.
    fn note_commit(&self, kind: &TransactionKind, receipt: &Receipt) {
        if let (
            TransactionKind::CommitSubmission { .. },
            Outcome::Applied {
                created: Some(Created::Submission(submission)),
            },
        ) = (kind, &receipt.outcome)
        {
            self.with(|inner| inner.open.insert(*submission));
        }
    }

    fn open(&self, printer: Printer, transaction: &SignedTransaction) {
        self.with(|inner| {
            inner.deeds.push(Deed::new(transaction));
            let is_done = |deed: &Deed| deed.state == State::Applied;
            if inner.deeds.len() > DEEDS_MAX
                && let Some(first) = inner.deeds.iter().position(is_done)
            {
                inner.deeds.remove(first);
            }
        });
        let (record, hash) = (self.clone(), transaction.hash());
        tokio::spawn(async move {
            tokio::time::sleep(SILENCE_MAX).await;
            let waits = |deed: &Deed| deed.transaction == hash && deed.state == State::Unknown;
            if record.with(|inner| inner.deeds.iter().any(waits)) {
                printer.note(format!(
                    "Transaction {hash} is handed in; waiting for its block. It may happen also if you stop waiting"
                ));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{ChainId, Keypair, ModelId, Rejection, Transaction};

    use super::*;

    fn transaction() -> SignedTransaction {
        let keys = Keypair::from_secret_bytes([1; 32]);
        let transaction = Transaction {
            chain: ChainId([3; 32]),
            sender: keys.public_key(),
            nonce: 1,
            expires: Epoch(6),
            max_fee: Shannons(1),
            kind: TransactionKind::LeaveValidator,
        };
        transaction.sign(&keys)
    }

    fn receipt(outcome: Outcome) -> Receipt {
        Receipt {
            transaction: transaction().hash(),
            sender: transaction().transaction.sender.address(),
            height: Height(12),
            index: 0,
            fee: Shannons(5),
            outcome,
            events: Vec::new(),
        }
    }

    #[test]
    fn a_line_tells_how_a_deed_stands() {
        let mut deed = Deed::new(&transaction());
        let hash = transaction().hash();
        assert_eq!(
            deed.text(),
            format!("may still happen, until epoch 6 ends: leave_validator, transaction {hash}")
        );
        deed.end(&receipt(Outcome::Applied {
            created: Some(Created::Model(ModelId([7; 32]))),
        }));
        let made = ModelId([7; 32]);
        assert_eq!(
            deed.text(),
            format!(
                "done: leave_validator, transaction {hash} in block 12, fee 0.000000005 SOMA, made model {made}"
            )
        );
        deed.end(&receipt(Outcome::Failed {
            rejection: Rejection::NothingToDo {},
        }));
        assert!(
            deed.text()
                .ends_with("fee 0.000000005 SOMA, code 201 NothingToDo")
        );
    }

    #[tokio::test]
    async fn what_never_happens_is_not_told() {
        let (record, sent) = (Record::default(), transaction());
        let printer = Printer::new(crate::printer::Format::Json);
        record.take(printer, Notice::Sending(&sent));
        assert_eq!(record.deeds()[0].state, State::Unknown);
        record.take(printer, Notice::Void(&sent));
        assert!(record.deeds().is_empty());
        record.take(printer, Notice::Sending(&sent));
        record.take(
            printer,
            Notice::Included(&sent, &receipt(Outcome::Applied { created: None })),
        );
        assert_eq!(record.deeds()[0].state, State::Applied);
    }
}
