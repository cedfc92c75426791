//! One auditor for each validator of a localnet, and what is told of auditors.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use soma_agents::{
    Auditor, Experts, ScoringDesk,
    auditor::{AuditError, Progress},
};
use soma_client::{Account, Journal, NodeClient};
use soma_localnet::Localnet;
use tokio::task::JoinSet;

use crate::{context::experts, error::CliResult, printer::count};

/// Starts them; they end with the set. `observe` is told a validator's place and what came of each of its
/// auditor's steps. What they have sent is journalled below `folder`. One machine, one operator: what its
/// auditors have scored is scored once, at `desk`, with models that are in memory once.
///
/// # Errors
/// When a node's client cannot be made.
pub fn start(
    network: &Localnet,
    nodes: &[NodeClient],
    folder: &Path,
    desk: &ScoringDesk,
    observe: impl Fn(usize, Result<Progress, AuditError>) + Clone + Send + 'static,
) -> CliResult<JoinSet<()>> {
    let params = &network.genesis().params;
    let mut first: Option<Experts> = None;
    let mut tasks = JoinSet::new();
    for (index, (keys, node)) in network.validator_accounts().iter().zip(nodes).enumerate() {
        let account = Account::new(node.clone(), keys.clone(), Journal::new(folder.join("auditors")));
        let own = experts(node, params)?;
        let experts = match &first {
            Some(first) => own.sharing(first),
            None => first.insert(own).clone(),
        };
        let auditor = Auditor::new(account, params.clone(), experts, desk.clone());
        let observe = observe.clone();
        tasks.spawn(async move {
            let never = auditor.run(move |step| observe(index, step)).await;
            match never {}
        });
    }
    Ok(tasks)
}

/// What has not come again for so long is over, and told anew if it returns.
const OVER_AFTER: Duration = Duration::from_secs(600);
/// Lines told in that time; of what is more, how much.
const LINES_MAX: usize = 20;
/// Troubles that are known at a time.
const KNOWN_MAX: usize = 1_000;

/// What was told of an auditor's troubles, so that what lasts is told once, and a log grows by a few lines at
/// a time, whatever fails. Its next step tries again.
#[derive(Debug, Default)]
pub struct Told {
    /// When each came last.
    known: BTreeMap<String, Instant>,
    since: Option<Instant>,
    lines: usize,
    more: u64,
}

impl Told {
    /// What is to be told of `troubles`, which came `now`.
    pub fn news(&mut self, troubles: &[AuditError], now: Instant) -> Vec<String> {
        let texts: Vec<_> = troubles.iter().map(ToString::to_string).collect();
        self.news_of(texts, now)
    }

    fn news_of(&mut self, troubles: Vec<String>, now: Instant) -> Vec<String> {
        let is_over = |since: Instant| now.saturating_duration_since(since) >= OVER_AFTER;
        self.known.retain(|_, last| !is_over(*last));
        let mut news = Vec::new();
        if self.since.is_none_or(is_over) {
            if self.more > 0 {
                let more = count(self.more, "more trouble");
                news.push(format!("and {more} within {} minutes", OVER_AFTER.as_secs() / 60));
            }
            (self.since, self.lines, self.more) = (Some(now), 0, 0);
        }
        for trouble in troubles {
            if let Some(last) = self.known.get_mut(&trouble) {
                *last = now;
            } else if self.lines < LINES_MAX {
                self.lines += 1;
                news.push(trouble.clone());
                self.known.insert(trouble, now);
            } else {
                // Each once, as far as that is remembered.
                self.more += 1;
                if self.known.len() < KNOWN_MAX {
                    self.known.insert(trouble, now);
                }
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_once_and_what_returns_is_told_again() {
        let (mut told, start) = (Told::default(), Instant::now());
        let mut at = |seconds: u64, trouble: &str| {
            let now = start + Duration::from_secs(seconds);
            told.news_of(vec![trouble.to_owned()], now)
        };
        assert_eq!(at(0, "the node is gone"), ["the node is gone"]);
        for seconds in (1..2_000).step_by(10) {
            assert!(at(seconds, "the node is gone").is_empty());
        }
        assert_eq!(at(2_100, "no weights"), ["no weights"]);
        assert!(at(2_500, "the node is gone").is_empty());
        assert_eq!(at(3_200, "the node is gone"), ["the node is gone"]);
    }

    #[test]
    fn a_log_grows_by_a_few_lines_whatever_fails() {
        let (mut told, start) = (Told::default(), Instant::now());
        let mut lines = Vec::new();
        for step in 0..20_000 {
            let now = start + Duration::from_millis(100 * step);
            lines.extend(told.news_of(vec![format!("submission {step}: its host is gone")], now));
        }
        // In 2,000 seconds.
        assert_eq!(lines.len(), 4 * LINES_MAX + 3);
        assert_eq!(lines[LINES_MAX], "and 5980 more troubles within 10 minutes");
        assert!(told.known.len() <= KNOWN_MAX + LINES_MAX);
    }
}
