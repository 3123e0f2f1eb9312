//! A thread with an event loop of its own, for work that waits for keyd.

use std::future::Future;
use std::{io, thread};

use tokio::runtime;
use tokio::sync::oneshot;

/// Runs the future of `make` on a thread of this name, of which the kernel keeps fifteen octets.
/// Returns a receiver for its result. If there is no event loop, `failed` makes the result.
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
        // If netd ends, nobody waits for the result.
        let _ = done.send(output);
    })?;
    Ok(result)
}
