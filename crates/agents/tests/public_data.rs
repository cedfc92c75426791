//! What won stays public: by target, by submission, over epochs, and as files that a run goes on with.

mod common;

use std::{
    fs,
    sync::{Arc, atomic::Ordering},
};

use soma_agents::won_data::{Destination, Format, JsonLines, SyncError, Synced, sync};
use soma_client::{Account, NodeClient, SubmissionFilter, TargetFilter, WonDocument};
use soma_types::{
    ContentHash, Epoch, ModelId, SubmissionId, TargetId,
    api::TargetView,
    objects::SubmissionStatus,
    phase::{SubmissionPhase, TargetPhase},
    transaction::Verdict,
};
use tokio::runtime::Runtime;

use common::{PATIENCE, client, compete, examine, funded, open_targets, rules, start};

const TEXT: &[u8] = "Ein Satz,\nund noch einer.".as_bytes();
const BYTES: &[u8] = b"\xff\x00 no text";

/// A win in the epoch in progress.
async fn win(account: &Account, data: &[u8]) -> SubmissionId {
    let node = account.node();
    let target = open_targets(node).await.remove(0);
    let submission = account
        .submit_data(target.target.id, data.to_vec(), common::made_up(&target))
        .await
        .unwrap();
    let view = node.submission(&submission).await.unwrap();
    assert!(matches!(
        view.submission.status,
        SubmissionStatus::Won | SubmissionStatus::Paid { .. }
    ));
    submission
}

/// The epoch of the target that it won.
async fn epoch_of(node: &NodeClient, submission: &SubmissionId) -> Epoch {
    let view = node.submission(submission).await.unwrap();
    node.target(&view.submission.target).await.unwrap().target.epoch
}

fn json_lines() -> Arc<dyn Format> {
    Arc::new(JsonLines)
}

async fn take_home(node: &NodeClient, since: Epoch, to: &Destination) -> Synced {
    sync(node, since, to, &json_lines(), || false, |_, _| {})
        .await
        .unwrap()
}

#[test]
fn what_won_is_public_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let net = start(folder.path(), rules());
    Runtime::new().unwrap().block_on(async {
        let node = client(&net);
        let account = funded(&node, 9, folder.path()).await;
        let model = compete(&account).await;
        let first = win(&account, TEXT).await;
        let began = epoch_of(&node, &first).await;
        node.wait_for_epoch(began.next(), PATIENCE).await.unwrap();
        // One that nobody reveals: its data is nobody's but its submitter's.
        let target = open_targets(&node).await.remove(0);
        let hidden = account
            .commit_submission(target.target.id, b"hidden".to_vec(), common::made_up(&target))
            .await
            .unwrap();
        let second = win(&account, BYTES).await;
        let last = epoch_of(&node, &second).await;

        // Both are there at once, and long after their audits; the latest first, a page at a time.
        node.wait_for_epoch(last.plus(4), PATIENCE).await.unwrap();
        let mut filled = TargetFilter {
            phase: Some(TargetPhase::Filled),
            epoch: None,
        };
        let winners =
            |targets: &[TargetView]| -> Vec<Epoch> { targets.iter().map(|view| view.target.epoch).collect() };
        let all = node.targets(&filled).await.unwrap();
        assert_eq!(winners(&all), [last, began]);
        // What is asked of a commit changes meanwhile; who is who does not.
        let ids =
            |targets: &[TargetView]| -> Vec<TargetId> { targets.iter().map(|view| view.target.id).collect() };
        let page = node.targets_page(&filled, None, 1).await.unwrap();
        assert_eq!(ids(&page.items), ids(&all[..1]));
        let rest = node.targets_page(&filled, page.next.as_deref(), 9).await.unwrap();
        assert_eq!((ids(&rest.items), rest.next), (ids(&all[1..]), None));
        filled.epoch = Some(began);
        assert_eq!(ids(&node.targets(&filled).await.unwrap()), ids(&all[1..]));
        let another = node.targets_page(&filled, Some("1"), 9).await.unwrap_err();
        assert!(another.to_string().contains("cursor"), "{another}");
        for epoch in [last.plus(1), last.plus(1 << 40)] {
            filled.epoch = Some(epoch);
            assert_eq!(node.targets(&filled).await.unwrap(), []);
        }

        for (submission, data) in [(first, TEXT), (second, BYTES)] {
            let got = node.fetch_submission_data(&submission).await.unwrap();
            assert_eq!(got.bytes().unwrap(), data);
        }
        let by_model = SubmissionFilter {
            model: Some(model),
            ..SubmissionFilter::default()
        };
        let found = node.submissions(&by_model).await.unwrap();
        let found: Vec<_> = found.iter().map(|view| view.submission.id).collect();
        assert_eq!(found, [second, first]);
        let others = SubmissionFilter {
            model: Some(ModelId([1; 32])),
            ..SubmissionFilter::default()
        };
        assert_eq!(node.submissions(&others).await.unwrap(), []);

        // What is not public is refused in words.
        let unknown = node.fetch_submission_data(&SubmissionId([1; 32])).await;
        assert!(unknown.unwrap_err().is_not_found());
        let error = node
            .fetch_submission_data(&hidden.submission.unwrap())
            .await
            .unwrap_err();
        assert!(
            error.is_not_found() && error.to_string().contains("has not won"),
            "{error}"
        );
        assert!(
            node.fetch_target_data(&TargetId([1; 32]))
                .await
                .unwrap_err()
                .is_not_found()
        );

        // The weights that competed are told, with all that it takes to use them.
        let [weights] = node.generations(&model).await.unwrap().try_into().unwrap();
        let view = node.model(&model).await.unwrap();
        let now = view.model.weights.unwrap();
        assert_eq!((weights.hash, weights.key), (now.committed.hash, Some(now.key)));
        assert_eq!(
            (weights.active_from, weights.active_until),
            (Some(now.active_from), None)
        );
        assert_eq!(weights.embedding, view.embedding);
        let none = node.generations(&ModelId([1; 32])).await;
        assert!(none.unwrap_err().is_not_found());

        // Long after, it is seen that what was claimed was made up.
        let found = examine(&node, &first).await;
        assert_eq!(found.verdict, Verdict::FalseScore);
        assert!(
            found.losses_nano.iter().all(|loss| loss.equal == Some(false)),
            "{found:?}"
        );

        // As files.
        let home = folder.path().join("won");
        let [dir, file] = [home.join("all"), home.join("all.jsonl")];
        fs::create_dir(&home).unwrap();
        let [dir, file] = [&dir, &file].map(|path| Destination::of(path, &JsonLines));
        for to in [&dir, &file] {
            let came = take_home(&node, Epoch(0), to).await;
            let bytes = (TEXT.len() + BYTES.len()) as u64;
            assert_eq!((came.fetched, came.kept, came.fetched_bytes), (2, 0, bytes));
            let again = take_home(&node, Epoch(0), to).await;
            assert_eq!((again.fetched, again.kept, again.damaged), (0, 2, 0));
        }
        let read = |path: &str| -> Vec<WonDocument> {
            let lines = fs::read_to_string(home.join(path)).unwrap();
            lines
                .lines()
                .map(|line| WonDocument::of_line(line).unwrap())
                .collect()
        };
        let data: Vec<_> = read("all.jsonl").into_iter().map(|won| won.data).collect();
        assert_eq!(data, [TEXT, BYTES]);
        let [one] = read(&format!("all/epoch-{began}.jsonl")).try_into().unwrap();
        assert_eq!(
            (one.facts.submission, one.facts.hash),
            (first, ContentHash::of(TEXT))
        );
        assert_eq!(
            fs::read_dir(home.join("all")).unwrap().count(),
            2,
            "no file where nothing won"
        );

        // Cut short, meddled with, twice: only that is brought again.
        let lines = fs::read_to_string(home.join("all.jsonl")).unwrap();
        let (one, two) = lines.trim_end().split_once('\n').unwrap();
        for (bad, damaged, fetched) in [
            (lines[..lines.len() - 9].to_owned(), 1, 1),
            (lines.replace("Satz", "Witz"), 1, 1),
            (format!("{one}\n{one}\n{two}\n"), 1, 0),
            (String::new(), 0, 2),
        ] {
            fs::write(home.join("all.jsonl"), &bad).unwrap();
            let healed = take_home(&node, Epoch(0), &file).await;
            assert_eq!((healed.damaged, healed.fetched), (damaged, fetched), "{bad}");
            assert_eq!(read("all.jsonl").len(), 2, "{bad}");
        }
        // Where nothing is of these, it is somebody's own.
        fs::write(home.join("all.jsonl"), "\u{0}\nnonsense").unwrap();
        let refused = sync(&node, Epoch(0), &file, &json_lines(), || false, |_, _| {}).await;
        assert!(matches!(refused, Err(SyncError::Foreign { .. })), "{refused:?}");
        assert_eq!(fs::read(home.join("all.jsonl")).unwrap(), b"\0\nnonsense");
        fs::write(home.join("all.jsonl"), &lines).unwrap();
        // From an epoch on, what is there of before stays.
        let since = take_home(&node, last, &file).await;
        assert_eq!((since.fetched, since.kept), (0, 2));
        assert_eq!(
            take_home(
                &node,
                last.next(),
                &Destination::of(&home.join("none"), &JsonLines)
            )
            .await
            .fetched,
            0
        );

        // Stopped at the first look: what is there stays, and the next run goes on.
        fs::write(home.join("all.jsonl"), format!("{one}\n")).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(true);
        let stopped = sync(
            &node,
            Epoch(0),
            &file,
            &json_lines(),
            || stop.load(Ordering::Relaxed),
            |_, _| {},
        )
        .await;
        let stopped = stopped.unwrap();
        assert!(stopped.stopped && stopped.fetched == 0, "{stopped:?}");
        assert_eq!(take_home(&node, Epoch(0), &file).await.fetched, 1);

        let future = sync(&node, Epoch(1 << 40), &file, &json_lines(), || false, |_, _| {}).await;
        assert!(matches!(future, Err(SyncError::Future { .. })), "{future:?}");
        let waiting = SubmissionFilter {
            phase: Some(SubmissionPhase::Expired),
            ..SubmissionFilter::default()
        };
        assert_eq!(node.submissions(&waiting).await.unwrap().len(), 1);
    });
    net.stop().unwrap();
}
