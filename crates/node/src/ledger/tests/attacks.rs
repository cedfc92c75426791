//! Attacks on the time that leaders have. The table is docs/attacks.md.

use super::*;

/// Attack: a boundary too long for every leader
/// Does: registers models until what is done at a boundary takes longer than a leader has: each is
/// interrupted, the next begins anew, and the epoch's first block never comes.
/// Outcome: none of it depends on who leads: validators begin it as soon as the epoch's last block is
/// known, and what a leader had begun, or whoever verified its block, the next goes on with. It is done
/// once.
#[test]
fn a_boundary_too_long_for_every_leader() {
    let (machine, state, boundary) = before_a_boundary();
    state.reads.store(0, Ordering::Relaxed);
    let whole = execute(&self::machine(), &state, &block(boundary, 9), usize::MAX).unwrap();
    let needed = state.reads.swap(0, Ordering::Relaxed);
    let patience = 4;
    assert!(needed > 2 * patience, "{needed} reads are no long boundary");

    // Those who lead before give up.
    for leader in 1..6 {
        assert_eq!(
            execute(&machine, &state, &block(boundary, leader), patience),
            None
        );
    }
    let late = execute(&machine, &state, &block(boundary, 9), usize::MAX).unwrap();
    assert_eq!(
        late, whole,
        "whatever the others had begun, and whoever they were"
    );
    let reads = state.reads.load(Ordering::Relaxed);
    assert!(reads <= needed + 2, "{reads} reads in all, {needed} in one go");
}
