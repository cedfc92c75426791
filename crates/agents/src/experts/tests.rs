use super::*;
use crate::test_cast::{Store, models, published};

/// Models of one machine are loaded once, within its memory, and each is what was published.
#[tokio::test]
async fn models_are_loaded_once_by_all_who_share_them() {
    let (weights, containers): (Vec<_>, Vec<_>) =
        models().iter().map(|model| published(&model.to_bytes())).unzip();
    let store = Store::keeping(containers);
    let first = store.experts();
    let all = [first.clone(), first.clone(), store.experts().sharing(&first)];
    let loads: Vec<_> = all
        .iter()
        .flat_map(|experts| {
            weights
                .iter()
                .map(move |weights| (experts.clone(), weights.clone()))
        })
        .map(|(experts, weights)| {
            tokio::spawn(async move { experts.load(&weights).await.map(|loan| loan.clone()) })
        })
        .collect();
    for (load, model) in loads.into_iter().zip(models().iter().cycle()) {
        assert_eq!(&load.await.unwrap().unwrap(), model);
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), weights.len());
}

/// What memory does not hold is read from the disk again, and what the disk holds outlives the process.
#[tokio::test]
async fn what_is_cached_is_downloaded_once() {
    let (weights, containers): (Vec<_>, Vec<_>) =
        models().iter().map(|model| published(&model.to_bytes())).unzip();
    let (store, folder) = (Store::keeping(containers), tempfile::tempdir().unwrap());
    let one = weights
        .iter()
        .map(|weights| weights.committed.size_bytes)
        .max()
        .unwrap()
        + (1 << 16);
    let open = || Cache::open(folder.path(), 4 * one).unwrap();
    let experts = store.experts().within(one).cached(open());
    let fetches = weights
        .iter()
        .chain(&weights)
        .map(|weights| experts.fetch(weights, REST));
    for fetched in fetches {
        fetched.await.unwrap();
    }
    let asked = || store.asked.load(Ordering::SeqCst);
    assert_eq!(asked(), weights.len());
    for _ in 0..2 {
        for (weights, model) in weights.iter().zip(models()) {
            assert_eq!(&*experts.load(weights).await.unwrap(), model);
        }
    }
    drop(experts);
    let again = store.experts().within(one).cached(open());
    assert_eq!(&*again.load(&weights[2]).await.unwrap(), &models()[2]);
    assert_eq!((asked(), again.downloaded_bytes()), (weights.len(), 0));
    // Another size under the same hash is not answered from the disk.
    let mut other = weights[0].clone();
    other.committed.size_bytes += 1;
    let error = again.load(&other).await.unwrap_err();
    assert_eq!(error.fault(), Some(ModelFault::HashMismatch), "{error}");
}

/// A disk that takes nothing more costs time, and no model.
#[tokio::test]
async fn without_room_on_the_disk_models_load_all_the_same() {
    let (weights, container) = published(&models()[0].to_bytes());
    let (store, folder) = (Store::keeping(vec![container]), tempfile::tempdir().unwrap());
    let experts = store.experts().cached(Cache::open(folder.path(), 10).unwrap());
    experts.fetch(&weights, REST).await.unwrap();
    assert_eq!(&*experts.load(&weights).await.unwrap(), &models()[0]);
}

/// What is wrong with bytes is told from what is wrong with whoever was to deliver or to read them.
#[tokio::test]
async fn only_the_bytes_accuse_their_owner() {
    let file = models()[0].to_bytes();
    let (weights, container) = published(&file);
    let (rubbish, no_weights) = published(b"rubbish");
    let store = Store::keeping(vec![container, no_weights]);
    let experts = store.experts();
    let fault = async |weights: &Weights, experts: &Experts| {
        let error = experts.load(weights).await.unwrap_err();
        (error.fault(), error.is_final())
    };
    assert_eq!(
        fault(&rubbish, &experts).await,
        (Some(ModelFault::BadWeights), true)
    );
    let other_key = Weights {
        key: DecryptionKey([7; 32]),
        ..weights.clone()
    };
    assert_eq!(
        fault(&other_key, &experts).await,
        (Some(ModelFault::WrongKey), true)
    );
    // It is remembered.
    let asked = store.asked.load(Ordering::SeqCst);
    assert_eq!(
        fault(&other_key, &experts).await,
        (Some(ModelFault::WrongKey), true)
    );
    assert_eq!(store.asked.load(Ordering::SeqCst), asked);

    for size_bytes in [
        1,
        weights.committed.size_bytes - 1,
        weights.committed.size_bytes + 1,
    ] {
        let mut another_size = weights.clone();
        another_size.committed.size_bytes = size_bytes;
        let found = fault(&another_size, &experts).await;
        assert_eq!(found, (Some(ModelFault::HashMismatch), false), "{size_bytes}");
    }
    let small = store.experts().within(1_000);
    assert_eq!(fault(&weights, &small).await, (None, false));
    let nowhere = soma_client::NodeClient::with_options(
        "http://127.0.0.1:1",
        soma_client::NodeOptions {
            retry_window: Duration::ZERO,
            ..soma_client::NodeOptions::default()
        },
    );
    let policy = soma_blobs::FetchPolicy::default();
    let nowhere = Experts::new(Downloader::new(nowhere.unwrap(), policy).unwrap());
    assert_eq!(fault(&weights, &nowhere).await, (None, false));
    assert!(experts.load(&weights).await.is_ok());
}
