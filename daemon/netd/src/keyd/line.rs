//! A connection to keyd that outlives keyd: whoever holds it goes on with another one when keyd
//! has returned.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use softsim_client::keyd::{AsyncConnection, Connection, Error};
use softsim_client::proto::Call;
use tokio::sync::{Notify, watch};

/// A line to keyd. Its copies share one connection.
#[derive(Clone, Debug)]
pub struct Keyd(Arc<Line>);

#[derive(Debug)]
struct Line {
    connection: Mutex<AsyncConnection>,
    /// Counts the connections.
    generation: watch::Sender<u64>,
    /// Whether the connection has failed.
    broken: AtomicBool,
    /// Wakes whoever replaces the connection.
    failed: Arc<Notify>,
}

// A panic in between leaves either connection, and both are whole.
impl UnwindSafe for Keyd {}
impl RefUnwindSafe for Keyd {}

/// Without somebody who replaces the connection.
impl From<Connection> for Keyd {
    fn from(connection: Connection) -> Self {
        Self::new(connection, Arc::default())
    }
}

impl Keyd {
    fn new(connection: Connection, failed: Arc<Notify>) -> Self {
        Self(Arc::new(Line {
            connection: Mutex::new(connection.into()),
            generation: watch::Sender::new(0),
            broken: AtomicBool::new(false),
            failed,
        }))
    }

    /// Sends a request, and waits for the answer.
    pub async fn call<C: Call>(&self, call: &C) -> Result<C::Answer, Error> {
        let (connection, generation) = self.current();
        let answer = connection.call(call).await;
        self.note(generation, &answer);
        answer
    }

    /// Sends a request, and blocks the thread until the answer arrives.
    pub fn call_blocking<C: Call>(&self, call: &C) -> Result<C::Answer, Error> {
        let (connection, generation) = self.current();
        let answer = connection.call_blocking(call);
        self.note(generation, &answer);
        answer
    }

    /// The number of the connection. keyd's sessions belong to one connection.
    pub(crate) fn generation(&self) -> u64 {
        *self.0.generation.borrow()
    }

    /// Waits for another connection than the one of this number. May be cancelled.
    pub(crate) async fn renewed(&self, generation: u64) {
        let mut numbers = self.0.generation.subscribe();
        // This line holds the sender.
        let _ = numbers.wait_for(|number| *number != generation).await;
    }

    fn current(&self) -> (AsyncConnection, u64) {
        let connection = self.0.lock();
        (connection.clone(), self.generation())
    }

    /// Has the connection replaced if it has failed and is still in use.
    fn note<T>(&self, generation: u64, answer: &Result<T, Error>) {
        let usable = matches!(
            answer,
            Ok(_) | Err(Error::Refused(_) | Error::TooLong { .. })
        );
        let in_use = self.0.lock();
        if !usable && generation == self.generation() {
            self.0.broken.store(true, Ordering::Relaxed);
            self.0.failed.notify_one();
        }
        drop(in_use);
    }
}

impl Line {
    fn lock(&self) -> std::sync::MutexGuard<'_, AsyncConnection> {
        // See `UnwindSafe`.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, connection: Connection) {
        let mut current = self.lock();
        *current = connection.into();
        self.broken.store(false, Ordering::Relaxed);
        self.generation.send_modify(|number| *number += 1);
    }
}

/// All lines that somebody still holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    lines: Arc<Mutex<Vec<Weak<Line>>>>,
    failed: Arc<Notify>,
}

impl Lines {
    /// Makes a line of a connection.
    pub(crate) fn add(&self, connection: Connection) -> Keyd {
        let keyd = Keyd::new(connection, Arc::clone(&self.failed));
        let mut lines = self.lock();
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(&keyd.0));
        keyd
    }

    /// Waits until the connection of a line has failed. May be cancelled.
    pub(super) async fn broken(&self) {
        let is_broken = |line: Arc<Line>| line.broken.load(Ordering::Relaxed);
        loop {
            self.failed.notified().await;
            // It may have been replaced since.
            if self.lock().iter().filter_map(Weak::upgrade).any(is_broken) {
                return;
            }
        }
    }

    /// Gives each line another connection.
    ///
    /// # Errors
    /// The error of `connect`. Some lines may have other connections.
    pub(super) async fn renew<E>(
        &self,
        connect: impl AsyncFn() -> Result<Connection, E>,
    ) -> Result<(), E> {
        let lines = self.lock().clone();
        for line in lines.iter().filter_map(Weak::upgrade) {
            line.replace(connect().await?);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::scripted_keyd;

    #[tokio::test]
    async fn a_line_that_nobody_holds_any_more_is_forgotten() {
        let connection = || scripted_keyd::connect(|_| Vec::new());
        let lines = Lines::default();
        let _held = lines.add(connection());
        for _ in 0..3 {
            drop(lines.add(connection()));
        }
        assert!(lines.lock().len() <= 2);
    }
}
