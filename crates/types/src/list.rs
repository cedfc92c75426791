//! Lists with a limit, checked wherever one comes from: code, bytes or JSON.

use std::{
    io::{self, Read},
    ops::Deref,
};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize};

/// A list longer than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a list of {length} items is longer than its limit of {limit}: split it")]
pub struct ListTooLong {
    /// The number of items given.
    pub length: usize,
    /// The most allowed.
    pub limit: usize,
}

/// At most `MAX` items, encoded as borsh encodes a `Vec`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// Takes the items.
    ///
    /// # Errors
    /// When there are more than `MAX`.
    pub fn new(items: Vec<T>) -> Result<Self, ListTooLong> {
        if items.len() > MAX {
            return Err(ListTooLong {
                length: items.len(),
                limit: MAX,
            });
        }
        Ok(Self(items))
    }

    /// Cuts items, in their order, into lists: each goes on until its limit or `bytes_max` is reached, as
    /// `bytes_of` counts them. An item that is longer has a list of its own.
    #[must_use]
    pub fn cut(
        items: impl IntoIterator<Item = T>,
        bytes_max: usize,
        bytes_of: impl Fn(&T) -> usize,
    ) -> Vec<Self> {
        let (mut lists, mut bytes): (Vec<Self>, usize) = (Vec::new(), 0);
        for item in items {
            let own = bytes_of(&item);
            match lists.last_mut() {
                Some(Self(last)) if bytes + own <= bytes_max && last.len() < MAX => {
                    last.push(item);
                    bytes += own;
                }
                _ => {
                    lists.push(Self(vec![item]));
                    bytes = own;
                }
            }
        }
        lists
    }

    /// The items.
    #[must_use]
    pub fn into_inner(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> TryFrom<Vec<T>> for List<T, MAX> {
    type Error = ListTooLong;

    fn try_from(items: Vec<T>) -> Result<Self, ListTooLong> {
        Self::new(items)
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a List<T, MAX> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: BorshDeserialize, const MAX: usize> BorshDeserialize for List<T, MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let length = u32::deserialize_reader(reader)? as usize;
        if length > MAX {
            let error = ListTooLong { length, limit: MAX };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        (0..length)
            .map(|_| T::deserialize_reader(reader))
            .collect::<io::Result<Vec<T>>>()
            .map(Self)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(<Vec<T> as Deserialize>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_in_code_bytes_and_json() {
        let full: List<u8, 3> = vec![1, 2, 3].try_into().unwrap();
        let bytes = borsh::to_vec(&full).unwrap();
        assert_eq!(bytes, borsh::to_vec(&vec![1_u8, 2, 3]).unwrap());
        assert_eq!(borsh::from_slice::<List<u8, 3>>(&bytes).unwrap(), full);
        assert!(borsh::from_slice::<List<u8, 2>>(&bytes).is_err());
        assert!(borsh::from_slice::<List<u8, 3>>(&u32::MAX.to_le_bytes()).is_err());
        assert_eq!(
            List::<u8, 2>::new(vec![1, 2, 3]),
            Err(ListTooLong { length: 3, limit: 2 })
        );
        assert!(serde_json::from_str::<List<u8, 2>>("[1,2,3]").is_err());
    }

    #[test]
    fn items_are_cut_at_either_limit() {
        let cut = |items: &[usize]| -> Vec<Vec<usize>> {
            let lists = List::<usize, 3>::cut(items.iter().copied(), 10, |item| *item);
            lists.into_iter().map(List::into_inner).collect()
        };
        assert!(cut(&[]).is_empty());
        assert_eq!(cut(&[1, 1, 1, 1]), [&[1, 1, 1][..], &[1]]);
        assert_eq!(cut(&[4, 6, 1]), [&[4, 6][..], &[1]]);
        assert_eq!(cut(&[4, 7, 3]), [&[4][..], &[7, 3]]);
        assert_eq!(cut(&[1, 11, 1]), [[1], [11], [1]], "what is longer is alone");
    }
}
