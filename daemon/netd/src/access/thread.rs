//! A thread with an event loop of its own, for work that waits for keyd.

use std::future::Future;
use std::{io, thread};

use tokio::runtime;
use tokio::sync::oneshot;

/// Runs the future that `make` makes on a thread of this name (of which the kernel keeps fifteen
/// octets); its result comes back, or what `failed` makes of the reason that there is no event
/// loop.
pub(super) fn run<F, T, E>(
    name: &str,
    make: impl FnOnce() -> F + Send + 'static,
    failed: fn(io::Error) -> E,
) -> io::Result<oneshot::Receiver<Result<T, E>>>
where
    F: Future<Output = Result<T, E>>,
    T: Send + 'static,
    E: Send + 'static,
{
    let (done, result) = oneshot::channel();
    thread::Builder::new().name(name.into()).spawn(move || {
        let output = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(async { make().await }),
            Err(error) => Err(failed(error)),
        };
        // Nobody waits any more where netd ends.
        let _ = done.send(output);
    })?;
    Ok(result)
}
