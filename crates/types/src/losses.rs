//! Which of several models wins: the rule that ledger, scorers and participants share (docs/protocol.md,
//! section 7).

/// The position of the lowest of `losses`, ties to the earlier; `None` where there are none.
///
/// ```
/// # use soma_types::losses::lowest;
/// assert_eq!(lowest([3, 1, 2, 1]), Some(1));
/// assert_eq!(lowest::<u64>([]), None);
/// ```
pub fn lowest<L: Ord>(losses: impl IntoIterator<Item = L>) -> Option<usize> {
    let numbered = losses.into_iter().enumerate();
    // Of several that are lowest `min_by` takes the first.
    numbered.min_by(|(_, a), (_, b)| a.cmp(b)).map(|(place, _)| place)
}
