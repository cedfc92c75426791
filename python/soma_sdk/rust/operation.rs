//! Rust futures as things that Python awaits.
//!
//! Upon start: the future runs on the process's one runtime; once it is over, `done(answer, error)` is
//! called, once, from the one thread that ever calls into Python.
//!
//! Upon cancellation: the future is dropped at its next step, and `done` is never called. What begins later
//! begins once all cancelled futures are gone: a transaction that one of them held is then on disk and free
//! to be taken up.
//!
//! Upon a panic: it is an exception of whoever awaits.
//!
//! Upon a fork: the child has none of the runtime's threads. What was made before the fork refuses to go on
//! ([`Failure::Forked`]); what is made after it gets a runtime of its own.
//!
//! Upon the end of the interpreter ([`shutdown`]): futures are dropped, threads end, nothing calls into
//! Python any more.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use pyo3::{exceptions::PyRuntimeError, prelude::*, types::PyBytes};
use serde::Serialize;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    task::AbortHandle,
};

use crate::failure::{Failure, panic_text};

/// Between two looks for signals while a thread waits.
const SIGNALS_EVERY: Duration = Duration::from_millis(100);
/// How long the end of the process waits for what runs.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// What comes back.
#[derive(Debug)]
pub enum Answer {
    /// A value, as JSON.
    Json(String),
    /// Bytes as they are.
    Bytes(Vec<u8>),
}

impl Answer {
    /// A value as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, Failure> {
        serde_json::to_string(value)
            .map(Self::Json)
            .map_err(Failure::argument)
    }

    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Self::Json(text) => text.into_pyobject(py)?.into_any().unbind(),
            Self::Bytes(bytes) => PyBytes::new(py, &bytes).into_any().unbind(),
        })
    }
}

/// What an operation comes to.
pub type Outcome = Result<Answer, Failure>;
type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Something for the thread that calls into Python.
enum Delivery {
    Over(Py<PyAny>, Outcome),
    Progress(Py<PyAny>, u64, u64),
}

impl Delivery {
    fn make(self, py: Python<'_>) {
        let called = match self {
            Self::Over(done, outcome) => {
                let (answer, error) = match outcome
                    .map_err(PyErr::from)
                    .and_then(|answer| answer.into_python(py))
                {
                    Ok(answer) => (answer, py.None()),
                    Err(error) => (py.None(), error.into_value(py).into_any()),
                };
                done.call1(py, (answer, error))
            }
            Self::Progress(tell, done, total) => tell.call1(py, (done, total)),
        };
        match called {
            // The loop of whoever waited is closed: nobody waits.
            Err(error) if error.is_instance_of::<PyRuntimeError>(py) => {}
            Err(error) => error.write_unraisable(py, None),
            Ok(_) => {}
        }
    }
}

fn deliver(deliveries: &Receiver<Delivery>) {
    while let Ok(first) = deliveries.recv() {
        Python::try_attach(|py| {
            first.make(py);
            while let Ok(next) = deliveries.try_recv() {
                next.make(py);
            }
        });
    }
}

/// What all operations of a process share.
struct Shared {
    process: u32,
    runtime: Runtime,
    deliveries: Sender<Delivery>,
    courier: JoinHandle<()>,
    /// How many futures are cancelled and not yet gone.
    leaving: watch::Sender<usize>,
}

enum Life {
    Unborn,
    Alive(Arc<Shared>),
    Over,
}

static SHARED: Mutex<Life> = Mutex::new(Life::Unborn);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This process's runtime, begun when first needed.
fn shared() -> Result<Arc<Shared>, Failure> {
    let here = std::process::id();
    let mut life = lock(&SHARED);
    match &*life {
        Life::Over => return Err(Failure::Ending),
        Life::Alive(shared) if shared.process == here => return Ok(Arc::clone(shared)),
        Life::Alive(_) | Life::Unborn => {}
    }
    let started = |error: std::io::Error| Failure::Panicked(format!("no threads: {error}"));
    let runtime = Builder::new_multi_thread()
        .thread_name("soma-sdk")
        .enable_all()
        .build()
        .map_err(started)?;
    let (deliveries, inbox) = mpsc::channel();
    let courier = std::thread::Builder::new()
        .name("soma-sdk-courier".to_owned())
        .spawn(move || deliver(&inbox))
        .map_err(started)?;
    let fresh = Arc::new(Shared {
        process: here,
        runtime,
        deliveries,
        courier,
        leaving: watch::Sender::new(0),
    });
    // The parent's runtime has no threads here, and joining them would wait for ever.
    mem::forget(mem::replace(&mut *life, Life::Alive(Arc::clone(&fresh))));
    Ok(fresh)
}

/// Ends what runs, and every thread. What is begun later fails.
#[pyfunction]
pub fn shutdown(py: Python<'_>) {
    py.detach(|| {
        let life = mem::replace(&mut *lock(&SHARED), Life::Over);
        let Life::Alive(shared) = life else { return };
        if shared.process != std::process::id() {
            mem::forget(shared);
            return;
        }
        // Others hold it for a moment only.
        let Some(shared) = Arc::into_inner(shared) else {
            return;
        };
        shared.runtime.shutdown_timeout(SHUTDOWN_MAX);
        drop(shared.deliveries);
        let _ = shared.courier.join();
    });
}

enum State {
    Made(Work),
    Running(AbortHandle, watch::Sender<usize>),
    Leaving,
    Over,
}

/// One piece of work: made, started once, over or cancelled.
#[pyclass(frozen, module = "soma_sdk._soma_sdk")]
pub struct Operation {
    state: Arc<Mutex<State>>,
    process: u32,
}

impl Operation {
    /// Work that belongs to the process `process`.
    pub fn new(process: u32, work: impl Future<Output = Outcome> + Send + 'static) -> Result<Self, Failure> {
        here(process)?;
        Ok(Self {
            state: Arc::new(Mutex::new(State::Made(Box::pin(work)))),
            process,
        })
    }

    /// Begins; `over` gets the outcome, unless it is cancelled.
    fn begin(&self, over: impl FnOnce(Outcome) + Send + 'static) -> Result<(), Failure> {
        here(self.process)?;
        let shared = shared()?;
        let mut state = lock(&self.state);
        let State::Made(work) = mem::replace(&mut *state, State::Over) else {
            return Err(Failure::argument("an operation is started once"));
        };
        let mut leaving = shared.leaving.subscribe();
        let task = shared.runtime.spawn(async move {
            // Its sender lives as long as the runtime.
            let _ = leaving.wait_for(|count| *count == 0).await;
            work.await
        });
        *state = State::Running(task.abort_handle(), shared.leaving.clone());
        drop(state);
        let (state, leaving) = (Arc::clone(&self.state), shared.leaving.clone());
        shared.runtime.spawn(async move {
            let outcome = match task.await {
                Ok(outcome) => Some(outcome),
                Err(error) => error
                    .try_into_panic()
                    .ok()
                    .map(|panic| Err(Failure::Panicked(panic_text(&*panic)))),
            };
            // From here on the future is gone.
            let before = mem::replace(&mut *lock(&state), State::Over);
            match (before, outcome) {
                (State::Leaving, _) => leaving.send_modify(|count| *count -= 1),
                (_, Some(outcome)) => over(outcome),
                // The runtime ends.
                (_, None) => {}
            }
        });
        Ok(())
    }
}

/// Runs `work` on a thread that may block. Its panic is the panic of whoever awaits.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Failure::Ending),
        },
    }
}

/// Fails in a fork of the process that made something.
pub fn here(made: u32) -> Result<(), Failure> {
    let here = std::process::id();
    if made == here {
        Ok(())
    } else {
        Err(Failure::Forked { made, here })
    }
}

#[pymethods]
impl Operation {
    /// Begins. `done(answer, error)` is called from another thread once it is over, and never if it is
    /// cancelled.
    fn start(&self, done: Py<PyAny>) -> Result<(), Failure> {
        let deliveries = shared()?.deliveries.clone();
        self.begin(move |outcome| {
            // Where the courier is gone, so is the interpreter.
            let _ = deliveries.send(Delivery::Over(done, outcome));
        })
    }

    /// Ends it, if it is not over: its future is dropped, and `done` is not called.
    fn cancel(&self) {
        let mut state = lock(&self.state);
        let before = mem::replace(&mut *state, State::Over);
        match &before {
            State::Running(abort, leaving) => {
                leaving.send_modify(|count| *count += 1);
                abort.abort();
                *state = State::Leaving;
            }
            State::Leaving => *state = State::Leaving,
            State::Made(_) | State::Over => {}
        }
        drop(state);
        // Without the lock: work that was never begun may hold a callback, which may run code when it goes.
        drop(before);
    }

    /// Begins, and waits for the answer without the interpreter, looking for signals.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (sender, mut receiver) = mpsc::channel();
        self.begin(move |outcome| {
            let _ = sender.send(outcome);
        })?;
        loop {
            let waited = {
                let receiver = &mut receiver;
                py.detach(move || receiver.recv_timeout(SIGNALS_EVERY))
            };
            match waited {
                Ok(outcome) => return outcome?.into_python(py),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(signal) = py.check_signals() {
                        self.cancel();
                        return Err(signal);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::Ending.into()),
            }
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Whom to tell how far something is.
pub struct Progress(Option<(Py<PyAny>, Sender<Delivery>)>);

impl Progress {
    /// Calls `tell(done, total)` from time to time.
    pub fn new(tell: Option<Py<PyAny>>) -> Result<Self, Failure> {
        Ok(Self(match tell {
            Some(tell) => Some((tell, shared()?.deliveries.clone())),
            None => None,
        }))
    }

    /// Tells how far it is.
    pub fn tell(&self, done: u64, total: u64) {
        if let Some((tell, deliveries)) = &self.0 {
            Python::try_attach(|py| {
                let _ = deliveries.send(Delivery::Progress(tell.clone_ref(py), done, total));
            });
        }
    }
}

/// An operation that panics, itself or on a worker's thread: a test looks what becomes of it.
#[cfg(debug_assertions)]
#[pyfunction]
#[pyo3(name = "_panic", signature = (worker=false))]
pub fn panic_on_purpose(worker: bool) -> Result<Operation, Failure> {
    Operation::new(std::process::id(), async move {
        if worker {
            blocking(|| rayon::join(|| panic!("on purpose"), || ())).await?;
        }
        panic!("on purpose")
    })
}
