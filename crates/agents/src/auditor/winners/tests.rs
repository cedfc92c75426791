use std::{net::TcpListener, sync::Arc};

use soma_model::{Directions, Scorer};
use soma_types::{
    Address, Commitment, Epoch, Seed, Shannons, SubmissionId, TargetId,
    objects::{Found, Submission, SubmissionStatus},
    transaction::BasisPoints,
};

use super::*;
use crate::{
    scoring_desk::ScoringDesk,
    test_cast::{ARCHITECTURE, DATA, Store},
};

/// A host that takes every connection and never answers.
fn tarpit() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    format!("http://{address}/never")
}

fn winner(number: u8, url: &str, data: Expected) -> SubmissionView {
    let submission = Submission {
        id: SubmissionId([number; 32]),
        target: TargetId([number; 32]),
        submitter: Address([number; 32]),
        commitment: Commitment([number; 32]),
        committed: Height(1),
        sequence: u64::from(number),
        threshold_q30: 0,
        deposit: Shannons::ZERO,
        bond: Shannons::ZERO,
        status: SubmissionStatus::Won,
        found: Some(Found {
            revealed: Height(2),
            data_url: url.parse().unwrap(),
            data_size_bytes: data.size_bytes,
            data_hash: data.hash,
            losses_nano: Vec::new(),
            cross_entropy_nano: 0,
            model: ModelId([1; 32]),
            commission: BasisPoints::default(),
            dot_q30: 0,
            winner_index: None,
        }),
        challenge: None,
    };
    SubmissionView {
        submission,
        embedding: None,
        audit_stage: Some(AuditStage::Drawn),
        auditors: Vec::new(),
        audits: Vec::new(),
        audit_outcome: None,
    }
}

/// Data that is announced as tiny and never comes holds up nobody whose data the node keeps, however many
/// say so; the others take turns, and whoever was asked once waits until all were.
#[tokio::test]
async fn tarpits_hold_up_nobody_whose_data_the_node_keeps() {
    let store = Store::keeping(vec![DATA.to_vec()]);
    let tools = Tools {
        node: store.node.clone(),
        experts: store.experts(),
        desk: ScoringDesk::new(Scorer::new().unwrap()),
    };
    let seed = Seed([9; 32]);
    let mut winners = Winners::new(Epochal {
        epoch: Epoch(1),
        seed,
        directions: Arc::new(Directions::draw(&seed, &ARCHITECTURE)),
    });
    let note = |winners: &mut Winners, number, url: &str, data| {
        winners.note(winner(number, url, data), AuditStage::Drawn, Some(Due::Commit));
    };
    let url = tarpit();
    for number in 0..3 * HOSTS_MAX as u8 {
        note(&mut winners, number, &url, Expected::of(&[number]));
    }
    let (honest, elsewhere) = (200, 201);
    note(&mut winners, honest, &url, Expected::of(DATA));
    note(
        &mut winners,
        elsewhere,
        &url,
        Expected::of(b"as long, and nowhere to be had but there"),
    );

    let patience = Patience {
        data: Duration::from_millis(1_500),
        weights: Duration::from_secs(1),
    };
    let case = |number| (SubmissionId([number; 32]), AuditStage::Drawn);
    let start = Instant::now();
    let (mut done, mut asked) = (None, None);
    for height in 1_u64.. {
        let (until, sound) = (Instant::now() + Duration::from_millis(50), BTreeSet::new());
        let mut passed_over = Vec::new();
        winners
            .advance(Height(height), &tools, patience, &sound, until, &mut passed_over)
            .await;
        // Without an embedding its claim is false, which takes no model to see.
        if matches!(winners.jobs[&case(honest)].state, State::Found(_)) {
            done.get_or_insert_with(|| start.elapsed());
        }
        if winners.jobs[&case(elsewhere)].tries > 0 {
            asked.get_or_insert_with(|| start.elapsed());
        }
        if (done.is_some() && asked.is_some()) || start.elapsed() > Duration::from_secs(20) {
            break;
        }
    }
    assert!(done.unwrap() < patience.data, "after {done:?}");
    // Three shares of tarpits come before it, each for as long as patience lasts, though by then those
    // are due again.
    assert!(asked.unwrap() < 4 * patience.data, "after {asked:?}");
}
