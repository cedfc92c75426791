//! What operators watch: the numbers are there by the names that alerts and dashboard ask for, and are right.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use soma_localnet::{Config, testing::wait};

use crate::{
    common::{runtime, started},
    raw::get,
};

/// What stands before the names of numbers.
const FIRST_WORDS: [&str; 4] = ["soma_", "validator_", "network_", "runtime_"];

/// The names of numbers in the rules and panels of `text`.
fn names(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter(|line| !line.contains("uid"))
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .filter(|word| FIRST_WORDS.iter().any(|first| word.starts_with(first)))
        .collect()
}

fn metrics(node: SocketAddr) -> String {
    let answer = get(node, "/metrics");
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).unwrap()
}

/// None as long as the node has not heard of a block.
fn told(metrics: &str, name: &str) -> Option<f64> {
    let found = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Some(found?.parse().unwrap())
}

fn value(metrics: &str, name: &str) -> f64 {
    told(metrics, name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn what_is_watched_is_there_and_right() {
    let folder = tempfile::tempdir().unwrap();
    let net = started(Config::new(folder.path()));
    let watched = [
        include_str!("../../../../deploy/soma-alerts.yml"),
        include_str!("../../../../deploy/soma-dashboard.json"),
    ];
    let node = net.apis()[0];
    for text in watched {
        let names = names(text);
        assert!(names.len() > 10, "{names:?}");
        runtime().block_on(wait("all peers", async || {
            let metrics = metrics(node);
            let is_there = |name: &&str| metrics.lines().any(|line| line.starts_with(*name));
            let missing: Vec<_> = names.iter().filter(|name| !is_there(name)).collect();
            // Peers connect one by one; all else is there from the start.
            assert!(
                missing.iter().all(|name| name.ends_with("directory_connected")),
                "{missing:?}"
            );
            missing.is_empty().then_some(())
        }));
    }

    // Each proposes, and says so of itself; together they have proposed what is there, but for the genesis.
    let each = |name| -> Vec<f64> {
        net.apis()
            .iter()
            .map(|node| value(&metrics(*node), name))
            .collect()
    };
    let proposed = runtime().block_on(wait("a block of each", async || {
        let ask = |node: &SocketAddr| told(&metrics(*node), "soma_epoch_blocks_proposed");
        let proposed: Vec<f64> = net.apis().iter().map(ask).collect::<Option<_>>()?;
        proposed.iter().all(|&blocks| blocks > 0.0).then_some(proposed)
    }));
    let height = value(&metrics(node), "validator_chain_height");
    assert!(proposed.iter().sum::<f64>() <= height, "{proposed:?} of {height}");
    assert_eq!(each("soma_seats"), [1.0; 4]);
    let (stakes, pools) = (each("soma_seat_stake_shannons"), each("soma_pool_stake_shannons"));
    assert!(
        stakes
            .iter()
            .zip(&pools)
            .all(|(stake, pool)| *stake > 0.0 && pool >= stake)
    );
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    let ages = each("soma_block_timestamp_seconds")
        .into_iter()
        .map(|then| now - then);
    assert!(
        ages.clone().all(|age| age.abs() < 60.0),
        "{:?}",
        ages.collect::<Vec<_>>()
    );
    assert!(value(&metrics(node), "soma_disk_free_bytes") > 0.0);
    let (content, most) = (
        value(&metrics(node), "soma_content_bytes"),
        value(&metrics(node), "soma_content_bytes_max"),
    );
    assert!(content < most, "{content} of {most}");
}
