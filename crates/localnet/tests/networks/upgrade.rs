//! Rules that this software does not have.

use std::time::{Duration, Instant};

use soma_client::{Account, Journal};
use soma_localnet::{
    Blueprint, Config, Localnet,
    testing::{PATIENCE, wait},
};
use soma_types::{
    list::List,
    params::{Params, Preset},
    upgrade::{Ballot, PROTOCOL_VERSION, ProposalStatus, ProtocolVersion, Upgrade},
};

use crate::common::{client, runtime};

/// Everyone votes for rules that this software does not have: it says so, and stops before they are in force.
#[test]
fn validators_stop_before_rules_they_do_not_implement() {
    let folder = tempfile::tempdir().unwrap();
    let params = Params {
        preset: Preset::Custom,
        epoch_blocks: 12,
        audit_commit_blocks: 6,
        audit_reveal_blocks: 2,
        hearing_commit_blocks: 2,
        difficulty_windows: 4,
        ..Params::local()
    };
    let mut net = Localnet::start(Config {
        blueprint: Blueprint {
            params,
            ..Blueprint::default()
        },
        seed: Some(9),
        ..Config::new(folder.path())
    })
    .unwrap();
    let next = ProtocolVersion(PROTOCOL_VERSION.0 + 1);
    let activation = runtime().block_on(async {
        let node = client(&net, 0);
        let epoch = wait("the first block", async || node.status().await.ok())
            .await
            .epoch;
        let accounts: Vec<Account> = net
            .validator_accounts()
            .iter()
            .zip(0..)
            .map(|(keys, index)| {
                let journal = Journal::new(folder.path().join(format!("journal-{index}")));
                Account::new(node.clone(), keys.clone(), journal)
            })
            .collect();
        let upgrade = Upgrade {
            version: next,
            architecture: None,
            params: List::new(Vec::new()).unwrap(),
            activation: epoch.plus(4),
        };
        let (proposal, _) = accounts[0].propose_upgrade(upgrade).await.unwrap();
        for account in &accounts[1..3] {
            account.vote_upgrade(proposal, Ballot::Approve).await.unwrap();
        }
        let scheduled = wait("the schedule", async || node.status().await.ok()?.upgrade).await;
        assert_eq!((scheduled.version, scheduled.supported), (next, false));
        let view = node.proposals().await.unwrap().remove(0);
        assert_eq!((view.seats, view.seats_total), (3, 4));
        assert!(matches!(view.proposal.status, ProposalStatus::Scheduled { .. }));
        scheduled.activation
    });
    let start = Instant::now();
    let failure = loop {
        if let Some(failure) = net.failure() {
            break failure.to_string();
        }
        assert!(start.elapsed() < PATIENCE, "it went on");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(
        failure.contains(&format!("protocol version {next}"))
            && failure.contains(&format!("epoch {activation}"))
            && failure.contains("install a newer release"),
        "{failure}"
    );
}
