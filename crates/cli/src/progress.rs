//! How far long work is, where no bar is seen: a line now and then, for logs.

use std::{
    io::{self, IsTerminal as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::printer::Printer;

/// Until the first line; what ends sooner needs none.
const FIRST: Duration = Duration::from_secs(5);
/// The most time between two lines. They come further and further apart, so that a long run's log stays
/// short.
const APART_MAX: Duration = Duration::from_secs(60);

/// Lines on standard error where that is no terminal; nothing beside a bar.
#[derive(Debug)]
pub struct Log {
    printer: Printer,
    begun: Instant,
    /// None at a terminal.
    pace: Option<Mutex<Pace>>,
}

impl Log {
    /// Begins now.
    pub fn new(printer: Printer) -> Self {
        Self {
            printer,
            begun: Instant::now(),
            pace: (!io::stderr().is_terminal()).then(|| Mutex::new(Pace::default())),
        }
    }

    /// The same, which also speaks at a terminal.
    pub fn always(printer: Printer) -> Self {
        Self {
            pace: Some(Mutex::default()),
            ..Self::new(printer)
        }
    }

    /// Since it began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Prints what `text` gives, if a line is due; it is told how long the work has taken.
    pub fn line(&self, text: impl FnOnce(Duration) -> String) {
        let Some(pace) = &self.pace else { return };
        let elapsed = self.begun.elapsed();
        // A pace is sound wherever a panic left it.
        if pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_due(elapsed)
        {
            self.printer.note(text(elapsed));
        }
    }
}

/// When lines are due.
#[derive(Debug)]
struct Pace {
    next: Duration,
    apart: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            next: FIRST,
            apart: FIRST,
        }
    }
}

impl Pace {
    /// Whether a line is due after `elapsed`; if so, the next is due later.
    fn is_due(&mut self, elapsed: Duration) -> bool {
        if elapsed < self.next {
            return false;
        }
        self.next = elapsed + self.apart;
        self.apart = (self.apart * 2).min(APART_MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_soon_and_then_less_often() {
        let mut pace = Pace::default();
        let due: Vec<u64> = (0..300)
            .filter(|second| pace.is_due(Duration::from_secs(*second)))
            .collect();
        assert_eq!(due, [5, 10, 20, 40, 80, 140, 200, 260]);
        // After silence there is one line, not one for each that was missed.
        assert!(pace.is_due(Duration::from_secs(9000)));
        assert!(!pace.is_due(Duration::from_secs(9001)));
    }
}
