//! What strangers bring, of which nobody knows yet whether it is needed.
//!
//! It costs them nothing but its transfer, so all of it together has half of a store, and each of them at
//! most half of what the others leave of that: however many fill it, there is room for the next, and never do
//! they take what is needed its place. It counts from its first byte, until it is needed or leaves.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use soma_types::ContentHash;

use super::error::StoreError;

/// A stranger, as far as they can be told apart: an IPv4 address, or the network that a host has in IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guest(IpAddr);

impl From<IpAddr> for Guest {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// Who brought what.
#[derive(Default)]
pub(super) struct Guests {
    brought: HashMap<ContentHash, (Guest, u64)>,
    /// Bytes of it and of what is on its way, for each guest that has any.
    held: HashMap<Guest, u64>,
    /// What is known to be needed.
    needed: HashSet<ContentHash>,
}

impl Guests {
    /// Counts `bytes` more of a guest's, in a store of `limit_bytes`.
    pub(super) fn take_in(&mut self, guest: Guest, bytes: u64, limit_bytes: u64) -> Result<(), StoreError> {
        let held_bytes = self.held.get(&guest).copied().unwrap_or(0);
        let others_bytes = self.held.values().sum::<u64>() - held_bytes;
        let share_bytes = (limit_bytes / 2).saturating_sub(others_bytes) / 2;
        if bytes > share_bytes.saturating_sub(held_bytes) {
            return Err(StoreError::GuestFull {
                held_bytes,
                needed_bytes: bytes,
                share_bytes,
            });
        }
        *self.held.entry(guest).or_default() += bytes;
        Ok(())
    }

    /// Counts `bytes` of a guest's no more.
    pub(super) fn let_go(&mut self, guest: Guest, bytes: u64) {
        if let Some(held_bytes) = self.held.get_mut(&guest) {
            *held_bytes = held_bytes.saturating_sub(bytes);
            if *held_bytes == 0 {
                self.held.remove(&guest);
            }
        }
    }

    /// What a guest has brought is there, and counts already.
    pub(super) fn settle(&mut self, hash: ContentHash, guest: Guest, bytes: u64) {
        if self.needed.contains(&hash) {
            self.let_go(guest, bytes);
        } else if let Some((before, bytes)) = self.brought.insert(hash, (guest, bytes)) {
            self.let_go(before, bytes);
        }
    }

    /// It is needed, whoever brought it.
    pub(super) fn need(&mut self, hash: ContentHash) {
        self.forget(&hash);
        self.needed.insert(hash);
    }

    /// It is needed no more, and nobody's burden until someone brings it again.
    pub(super) fn need_no_more(&mut self, hash: &ContentHash) {
        self.needed.remove(hash);
    }

    /// Whether it is known to be needed.
    pub(super) fn is_needed(&self, hash: &ContentHash) -> bool {
        self.needed.contains(hash)
    }

    /// It is not there any more.
    pub(super) fn forget(&mut self, hash: &ContentHash) {
        self.needed.remove(hash);
        if let Some((guest, bytes)) = self.brought.remove(hash) {
            self.let_go(guest, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(address: &str) -> Guest {
        Guest::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_host_is_one_guest_whatever_it_calls_itself() {
        assert_eq!(guest("::ffff:10.0.0.7"), guest("10.0.0.7"));
        assert_eq!(guest("2001:db8:1:2:3::4"), guest("2001:db8:1:2::"));
        assert_ne!(guest("2001:db8:1:2::4"), guest("2001:db8:1:3::4"));
    }

    /// However many fill their shares, the next has room, and all together never have more than half.
    #[test]
    fn everyone_leaves_room_for_the_next() {
        let mut guests = Guests::default();
        let mut all = 0;
        for number in 0..8 {
            let guest = Guest::from(IpAddr::from([10, 0, 0, number]));
            let share = (1 << 20) >> (2 + number);
            guests.take_in(guest, share, 1 << 20).unwrap();
            let more = guests.take_in(guest, 1, 1 << 20);
            assert!(matches!(more, Err(StoreError::GuestFull { .. })), "{more:?}");
            all += share;
        }
        assert!(all < 1 << 19);
        guests.let_go(guest("10.0.0.0"), 1 << 18);
        assert!(guests.take_in(guest("10.0.0.9"), 1 << 17, 1 << 20).is_ok());
    }

    #[test]
    fn what_is_needed_is_nobodys_burden() {
        let mut guests = Guests::default();
        let (host, other) = (guest("10.0.0.7"), guest("10.0.0.8"));
        let [junk, used] = [ContentHash([1; 32]), ContentHash([2; 32])];
        for hash in [junk, used] {
            guests.take_in(host, 100, 1_000).unwrap();
            guests.settle(hash, host, 100);
        }
        guests.need(used);
        assert_eq!(guests.held.get(&host), Some(&100));
        // Who brings it again has brought it.
        guests.take_in(other, 100, 1_000).unwrap();
        guests.settle(junk, other, 100);
        guests.take_in(other, 50, 1_000).unwrap();
        guests.settle(used, other, 50);
        assert_eq!(
            (guests.held.get(&host), guests.held.get(&other)),
            (None, Some(&100))
        );
        guests.forget(&junk);
        guests.forget(&used);
        assert!(guests.held.is_empty() && guests.brought.is_empty() && guests.needed.is_empty());
    }
}
