//! Downloads into stores, one at a time for each thing.
//!
//! Who asks for what is on its way already waits for that, and who asks right after a failure is told of it:
//! however many ask a node for content, its host is asked once, and not again for [`FAILURE_HOLDS`]. A
//! download goes on for as long as anyone waits for it.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, WeakShared},
};
use tokio::time::Instant;
use url::Url;

use super::error::FetchError;
use crate::blob::Expected;

/// For how long a host that failed is not asked again for the same.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);

/// What came of a download, for all who waited for it.
type Outcome = Result<(), Arc<FetchError>>;
type Flight = BoxFuture<'static, Outcome>;

/// What is downloaded, from where, into which store's folder.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Errand {
    pub(super) url: Url,
    pub(super) expected: Expected,
    pub(super) folder: PathBuf,
}

enum Stage {
    UnderWay(WeakShared<Flight>),
    Failed(Instant, Arc<FetchError>),
}

impl Stage {
    /// Whether somebody waits for it, or the failure was a moment ago.
    fn is_current(&self) -> bool {
        match self {
            Self::UnderWay(flight) => flight.upgrade().is_some(),
            Self::Failed(at, _) => at.elapsed() < FAILURE_HOLDS,
        }
    }
}

/// All downloads under way. Clones share.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Errand, Stage>>>);

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flights").field(&self.stages().len()).finish()
    }
}

impl Flights {
    /// What comes of `errand`: of the download that is under way, or else of `download`.
    pub(super) async fn join(
        &self,
        errand: Errand,
        download: impl Future<Output = Result<(), FetchError>> + Send + 'static,
    ) -> Outcome {
        let flight = {
            let mut stages = self.stages();
            stages.retain(|_, stage| stage.is_current());
            let under_way = match stages.get(&errand) {
                Some(Stage::Failed(_, error)) => return Err(error.clone()),
                Some(Stage::UnderWay(flight)) => flight.upgrade(),
                None => None,
            };
            under_way.unwrap_or_else(|| {
                let flight = self.clone().fly(errand.clone(), download).boxed().shared();
                let stage = flight.downgrade().map(Stage::UnderWay);
                stages.extend(stage.map(|stage| (errand, stage)));
                flight
            })
        };
        flight.await
    }

    /// Downloads, and notes how that ended.
    async fn fly(self, errand: Errand, download: impl Future<Output = Result<(), FetchError>>) -> Outcome {
        let outcome = download.await.map_err(Arc::new);
        let mut stages = self.stages();
        match &outcome {
            Ok(()) => stages.remove(&errand),
            Err(error) => stages.insert(errand, Stage::Failed(Instant::now(), error.clone())),
        };
        outcome
    }

    fn stages(&self) -> std::sync::MutexGuard<'_, HashMap<Errand, Stage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
