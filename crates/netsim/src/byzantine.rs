//! Validators that are not honest: a real one, and a second mouth with its keys.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::simplex::types::{Finalize, Notarize, Nullify, Proposal, Vote};
use commonware_p2p::{
    Message, Receiver as _, Recipients, Sender,
    simulated::{self, SplitOrigin, SplitTarget},
};
use commonware_runtime::{Clock as _, IoBuf, Spawner as _, Supervisor as _, deterministic::Context};
use futures::FutureExt as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use soma_node::{
    consensus::{Digest, Identity, Scheme},
    engine::Channel,
};

/// The channel of votes.
pub const VOTES: usize = 0;
/// The channel that blocks are asked for on.
pub const BACKFILL: usize = 3;
/// The channel of proposed blocks.
pub const BLOCKS: usize = 4;
/// Between two messages of who makes noise, so that it does not use up what a channel takes at once.
const NOISE_INTERVAL: Duration = Duration::from_millis(40);
/// Longest noise, in bytes.
const NOISE_BYTES_MAX: usize = 2_048;
/// Messages that are kept, to send them again.
const HEARD_MAX: usize = 64;

/// Who hears what on a channel that two share.
#[derive(Clone)]
pub enum Rule {
    /// The first speaks with everyone, and there is no second.
    Alone,
    /// Everyone hears both, and both hear everyone.
    All,
    /// Nobody hears the first, which hears everyone.
    Mute,
    /// The first half hears the first and is heard by it, the second half the second.
    Halves([BTreeSet<Identity>; 2]),
}

/// A channel as two share it. All have one type, so that honest validators and others run one engine.
pub fn share(
    channel: Channel<simulated::Sender<Identity, Context>, simulated::Receiver<Identity>>,
    context: Context,
    rule: &Rule,
) -> [Channel<impl Sender<PublicKey = Identity> + use<>, simulated::Receiver<Identity>>; 2] {
    let (sender, receiver) = channel;
    let (speaking, hearing) = (rule.clone(), rule.clone());
    let (first, second) = sender.split_with(
        move |origin: SplitOrigin, to: &Recipients<Identity>, _: &IoBuf| match &speaking {
            Rule::Alone | Rule::All => Some(to.clone()),
            Rule::Mute => (origin == SplitOrigin::Secondary).then(|| to.clone()),
            Rule::Halves(halves) => among(to, &halves[origin as usize]),
        },
    );
    let (first_ear, second_ear) =
        receiver.split_with(context, move |message: &Message<Identity>| match &hearing {
            Rule::Alone => SplitTarget::Primary,
            Rule::All | Rule::Mute => SplitTarget::Both,
            Rule::Halves([first, _]) if first.contains(&message.0) => SplitTarget::Primary,
            Rule::Halves(_) => SplitTarget::Secondary,
        });
    [(first, first_ear), (second, second_ear)]
}

/// Those of `to` who are in `half`.
fn among(to: &Recipients<Identity>, half: &BTreeSet<Identity>) -> Option<Recipients<Identity>> {
    let some: Vec<Identity> = match to {
        Recipients::All => half.iter().cloned().collect(),
        Recipients::One(one) => half.get(one).cloned().into_iter().collect(),
        Recipients::Some(some) => some.iter().filter(|one| half.contains(one)).cloned().collect(),
    };
    (!some.is_empty()).then_some(Recipients::Some(some))
}

/// Votes for whatever anybody votes for, and at once for something else.
pub fn equivocate(
    context: &Context,
    seed: u64,
    scheme: Scheme,
    (mut mouth, mut ear): Channel<impl Sender<PublicKey = Identity>, simulated::Receiver<Identity>>,
) {
    context.child("equivocator").spawn(move |_| async move {
        let mut rng = StdRng::seed_from_u64(seed);
        while let Ok((_, message)) = ear.recv().await {
            let Ok(vote) = Vote::<Scheme, Digest>::decode(message) else {
                continue;
            };
            let payload = Digest::from(rng.random::<[u8; 32]>());
            let votes = match vote {
                Vote::Notarize(vote) => {
                    let other = Proposal::new(vote.proposal.round, vote.proposal.parent, payload);
                    let skip = Nullify::sign::<Digest>(&scheme, vote.proposal.round).map(Vote::Nullify);
                    let both = [other, vote.proposal];
                    let both = both.map(|one| Notarize::sign(&scheme, one).map(Vote::Notarize));
                    both.into_iter().chain([skip]).collect()
                }
                Vote::Finalize(vote) => {
                    let other = Proposal::new(vote.proposal.round, vote.proposal.parent, payload);
                    let both = [other, vote.proposal];
                    both.map(|one| Finalize::sign(&scheme, one).map(Vote::Finalize))
                        .to_vec()
                }
                Vote::Nullify(_) => Vec::new(),
            };
            for vote in votes.into_iter().flatten() {
                mouth.send(Recipients::All, vote.encode(), true);
            }
        }
    });
}

/// What is sent over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// Bytes that mean nothing, and messages with bits flipped.
    Garbage,
    /// What was heard some time ago.
    Stale,
}

/// Makes noise on a channel.
pub fn make_noise(
    context: &Context,
    seed: u64,
    noise: Noise,
    (mut mouth, mut ear): Channel<impl Sender<PublicKey = Identity>, simulated::Receiver<Identity>>,
) {
    context.child("noise").spawn(move |context| async move {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut heard: VecDeque<Bytes> = VecDeque::new();
        loop {
            context.sleep(NOISE_INTERVAL).await;
            while let Some(Ok((_, message))) = ear.recv().now_or_never() {
                if heard.len() == HEARD_MAX {
                    heard.pop_front();
                }
                heard.push_back(Bytes::copy_from_slice(message.as_ref()));
            }
            let again = heard.get(rng.random_range(0..HEARD_MAX)).cloned();
            let message = match (noise, again) {
                (Noise::Stale, again) => again,
                (Noise::Garbage, Some(again)) if rng.random() && !again.is_empty() => {
                    let mut bytes = again.to_vec();
                    let place = rng.random_range(0..bytes.len());
                    bytes[place] ^= 1 << rng.random_range(0..8);
                    Some(bytes.into())
                }
                (Noise::Garbage, _) => {
                    let mut bytes = vec![0; rng.random_range(0..=NOISE_BYTES_MAX)];
                    rng.fill(&mut bytes[..]);
                    Some(bytes.into())
                }
            };
            if let Some(message) = message {
                mouth.send(Recipients::All, message, false);
            }
        }
    });
}
