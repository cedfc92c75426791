//! Spreads transactions between the mempools of the committee.
//!
//! A node sends what clients hand to it to every peer, once. What comes from a peer enters the mempool and
//! goes no further: every validator is connected to every other. A message that is lost costs only time,
//! since the node that took the transaction proposes it when its turn comes.

use std::sync::Arc;

use bytes::Bytes;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_utils::sync::Mutex;
use soma_types::VerifiedTransaction;
use tracing::{debug, trace};

use crate::{
    consensus::Identity,
    mempool::{Mempool, PoolError},
    runtime::Runtime,
};

type Broadcast = dyn FnMut(Bytes) + Send;

/// Takes transactions from clients. Clones share.
#[derive(Clone)]
pub struct Gossip {
    mempool: Mempool,
    broadcast: Arc<Mutex<Box<Broadcast>>>,
}

impl Gossip {
    /// Spreads what `mempool` receives over `sender`, and takes up what arrives at `receiver`.
    pub fn start<E, S, R>(context: E, mempool: Mempool, mut sender: S, mut receiver: R) -> Self
    where
        E: Runtime,
        S: Sender<PublicKey = Identity>,
        R: Receiver<PublicKey = Identity>,
    {
        let incoming = mempool.clone();
        context.spawn(move |_| async move {
            while let Ok((peer, message)) = receiver.recv().await {
                // A copy of its own: it waits longer than the network's buffer should.
                let encoded = Bytes::copy_from_slice(message.as_ref());
                match incoming
                    .decode(encoded)
                    .map_err(PoolError::from)
                    .and_then(|t| incoming.insert(t))
                {
                    Ok(()) => trace!(?peer, "took up a transaction"),
                    Err(reason) => debug!(?peer, %reason, "left out a transaction"),
                }
            }
        });
        let broadcast = move |bytes: Bytes| {
            sender.send(Recipients::All, bytes, false);
        };
        Self {
            mempool,
            broadcast: Arc::new(Mutex::new(Box::new(broadcast))),
        }
    }

    /// Takes up a transaction and tells the others.
    ///
    /// # Errors
    /// As [`Mempool::insert`].
    pub fn submit(&self, transaction: VerifiedTransaction) -> Result<(), PoolError> {
        let encoded = transaction.encoded().clone();
        self.mempool.insert(transaction)?;
        (self.broadcast.lock())(encoded);
        Ok(())
    }
}
