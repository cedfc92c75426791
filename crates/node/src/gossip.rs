//! Spreads transactions between the mempools of the committee.
//!
//! A node sends what clients hand to it to every peer, once, in bundles: what comes while one is on its way
//! goes with the next. What comes from a peer enters the mempool and goes no further: every validator is
//! connected to every other. A message that is lost costs only time, since the node that took the transaction
//! proposes it when its turn comes.

use std::time::Duration;

use bytes::Bytes;
use commonware_codec::{
    Buf, DecodeExt as _, Encode as _, EncodeSize, Error as CodecError, RangeCfg, Read, Write,
};
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::{BufMut, utils::reschedule};
use soma_ledger::Error;
use soma_types::{VerifiedTransaction, list::List, transaction::TRANSACTION_BYTES_MAX};
use tokio::sync::mpsc;
use tracing::{debug, trace};

use crate::{
    block::BLOCK_BYTES_MAX,
    consensus::Identity,
    intake::{Intake, SLICE},
    mempool::PoolError,
    runtime::Runtime,
};

/// Most transactions in a bundle.
const BUNDLE_TRANSACTIONS_MAX: usize = 1_024;
/// A bundle of several has at most so many bytes of transactions.
const BUNDLE_BYTES_MAX: usize = BLOCK_BYTES_MAX / 2;
/// Between two bundles: peers take a thousand messages a second, and hear within a hundredth of one.
const BUNDLE_INTERVAL: Duration = Duration::from_millis(10);
/// Transactions that wait to be told to the others. What does not fit is not told.
const OUTGOING_MAX: usize = 16_384;

const _: () = assert!(
    BUNDLE_BYTES_MAX + 8 * BUNDLE_TRANSACTIONS_MAX <= BLOCK_BYTES_MAX,
    "a bundle is no longer than a block, which a message holds"
);
const _: () = assert!(
    TRANSACTION_BYTES_MAX <= BUNDLE_BYTES_MAX,
    "every transaction fits in a bundle"
);

/// Transactions on their way to a peer, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bundle(Vec<Bytes>);

impl Write for Bundle {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl EncodeSize for Bundle {
    fn encode_size(&self) -> usize {
        self.0.encode_size()
    }
}

impl Read for Bundle {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &Self::Cfg) -> Result<Self, CodecError> {
        let count = RangeCfg::from(1..=BUNDLE_TRANSACTIONS_MAX);
        let length = RangeCfg::from(0..=TRANSACTION_BYTES_MAX);
        Vec::read_cfg(buf, &(count, length)).map(Self)
    }
}

/// Cuts `transactions` into bundles, in their order.
fn bundles(transactions: Vec<Bytes>) -> Vec<Bundle> {
    let cut = List::<_, BUNDLE_TRANSACTIONS_MAX>::cut(transactions, BUNDLE_BYTES_MAX, Bytes::len);
    cut.into_iter().map(|list| Bundle(list.into_inner())).collect()
}

/// Takes transactions from clients. Clones share.
pub struct Gossip<E: Runtime> {
    intake: Intake<E>,
    outgoing: mpsc::Sender<Bytes>,
}

impl<E: Runtime> Clone for Gossip<E> {
    fn clone(&self) -> Self {
        Self {
            intake: self.intake.clone(),
            outgoing: self.outgoing.clone(),
        }
    }
}

impl<E: Runtime> Gossip<E> {
    /// Spreads what `intake` takes up over `sender`, and takes up what arrives at `receiver`.
    pub fn start<S, R>(context: &E, intake: Intake<E>, mut sender: S, mut receiver: R) -> Self
    where
        S: Sender<PublicKey = Identity>,
        R: Receiver<PublicKey = Identity>,
    {
        let incoming = intake.clone();
        context.child("incoming").spawn(move |_| async move {
            while let Ok((peer, message)) = receiver.recv().await {
                match Bundle::decode(message) {
                    Ok(Bundle(transactions)) => hear(&incoming, &peer, transactions).await,
                    Err(reason) => debug!(?peer, %reason, "left out a bundle of transactions"),
                }
            }
        });
        let (outgoing, mut waiting) = mpsc::channel(OUTGOING_MAX);
        context.child("outgoing").spawn(move |context| async move {
            let mut transactions = Vec::new();
            while waiting.recv_many(&mut transactions, OUTGOING_MAX).await > 0 {
                for bundle in bundles(std::mem::take(&mut transactions)) {
                    sender.send(Recipients::All, bundle.encode(), false);
                    context.sleep(BUNDLE_INTERVAL).await;
                }
            }
        });
        Self { intake, outgoing }
    }

    /// Takes up transactions and tells the others. The answers are in the order of `transactions`.
    ///
    /// # Errors
    /// If the state is unsound.
    pub async fn submit(
        &self,
        transactions: &[VerifiedTransaction],
    ) -> Result<Vec<Result<(), PoolError>>, Error> {
        let answers = self.intake.take_up(transactions).await?;
        for (transaction, answer) in transactions.iter().zip(&answers) {
            if answer.is_ok() && self.outgoing.try_send(transaction.encoded().clone()).is_err() {
                debug!(hash = %transaction.hash(), "the others are not told of a transaction: too many wait for that");
            }
        }
        Ok(answers)
    }
}

/// Takes up what a peer sends.
async fn hear<E: Runtime>(intake: &Intake<E>, peer: &Identity, transactions: Vec<Bytes>) {
    for slice in transactions.chunks(SLICE) {
        let mut sound = Vec::with_capacity(slice.len());
        // Copies of their own: they wait longer than the network's buffer should.
        let copies = slice
            .iter()
            .map(|encoded| Bytes::copy_from_slice(encoded))
            .collect();
        for decoded in intake.mempool().decode_all(copies) {
            match decoded {
                Ok(transaction) => sound.push(transaction),
                Err(reason) => debug!(?peer, %reason, "left out a transaction"),
            }
        }
        match intake.take_up(&sound).await {
            Ok(answers) => {
                for answer in answers {
                    match answer {
                        Ok(()) => trace!(?peer, "took up a transaction"),
                        Err(reason) => debug!(?peer, %reason, "left out a transaction"),
                    }
                }
            }
            Err(reason) => debug!(?peer, %reason, "left out transactions"),
        }
        reschedule().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_within_their_bounds_and_keep_the_order() {
        let transactions: Vec<Bytes> = (0..3_000_u32)
            .map(|index| vec![index as u8; if index % 7 == 0 { 20_000 } else { 100 }].into())
            .collect();
        let bundles = bundles(transactions.clone());
        let mut sent = Vec::new();
        for Bundle(bundle) in &bundles {
            assert!(bundle.len() <= BUNDLE_TRANSACTIONS_MAX);
            assert!(bundle.iter().map(Bytes::len).sum::<usize>() <= BUNDLE_BYTES_MAX);
            sent.extend(bundle.clone());
        }
        assert_eq!(sent, transactions);
        let message = bundles[0].encode();
        assert!(message.len() <= BLOCK_BYTES_MAX);
        assert_eq!(Bundle::decode(message).unwrap(), bundles[0]);
        assert!(Bundle::decode(Bundle(Vec::new()).encode()).is_err());
        let long = Bundle(vec![vec![0; TRANSACTION_BYTES_MAX + 1].into()]);
        assert!(Bundle::decode(long.encode()).is_err());
    }
}
