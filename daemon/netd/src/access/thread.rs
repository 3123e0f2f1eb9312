//! A thread with an event loop of its own, for work that waits for keyd.

use std::future::Future;
use std::{io, thread};

use tokio::runtime;
use tokio::sync::oneshot;

/// Runs what `make` makes on a thread of this name (of which the kernel keeps fifteen octets); the
/// result comes back.
pub fn run<F>(
    name: &str,
    make: impl FnOnce() -> F + Send + 'static,
) -> io::Result<oneshot::Receiver<io::Result<F::Output>>>
where
    F: Future,
    F::Output: Send + 'static,
{
    let (done, result) = oneshot::channel();
    thread::Builder::new().name(name.into()).spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let output = runtime.map(|runtime| runtime.block_on(async { make().await }));
        // Nobody waits any more where netd ends.
        let _ = done.send(output);
    })?;
    Ok(result)
}
