//! Panics of simulated validators are findings, and no noise: they are told once, with the seed.

use std::{
    cell::{Cell, RefCell},
    panic,
    sync::Once,
};

thread_local! {
    static SIMULATING: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `simulation`, while the panics of this thread are not printed.
pub fn during<T>(simulation: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if SIMULATING.get() {
                PLACE.set(info.location().map(ToString::to_string));
            } else {
                before(info);
            }
        }));
    });
    SIMULATING.set(true);
    let result = simulation();
    SIMULATING.set(false);
    result
}

/// Where the last panic of this thread began.
pub fn place() -> Option<String> {
    PLACE.take()
}
