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
        self.call_numbered(call).1
    }

    /// Like [`Self::call_blocking`], and returns the number of the connection that was used. A
    /// session that keyd opens belongs to this connection.
    pub(crate) fn call_numbered<C: Call>(&self, call: &C) -> (u64, Result<C::Answer, Error>) {
        let (connection, generation) = self.current();
        let answer = connection.call_blocking(call);
        self.note(generation, &answer);
        (generation, answer)
    }

    /// Like [`Self::call_blocking`], for a request about a session of the connection of this
    /// number.
    ///
    /// # Errors
    /// [`Error::Closed`] if the line has another connection by now: the session is gone.
    pub(crate) fn call_over<C: Call>(&self, number: u64, call: &C) -> Result<C::Answer, Error> {
        let (connection, generation) = self.current();
        if generation != number {
            return Err(Error::Closed);
        }
        let answer = connection.call_blocking(call);
        self.note(generation, &answer);
        answer
    }

    fn generation(&self) -> u64 {
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

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
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

    /// Waits until the connection of a line has failed and is still in use. May be cancelled.
    pub(super) async fn broken(&self) {
        while self.held().all(|line| !line.is_broken()) {
            self.failed.notified().await;
        }
    }

    /// Gives each line another connection.
    ///
    /// # Errors
    /// The error of `connect`. Some lines may have other connections.
    pub(crate) async fn renew<E>(
        &self,
        connect: impl AsyncFn() -> Result<Connection, E>,
    ) -> Result<(), E> {
        for line in self.held() {
            line.replace(connect().await?);
        }
        Ok(())
    }

    /// Gives another connection to each line whose connection has failed. keyd's sessions on the
    /// other lines stay.
    ///
    /// # Errors
    /// As [`Self::renew`].
    pub(super) async fn mend<E>(
        &self,
        connect: impl AsyncFn() -> Result<Connection, E>,
    ) -> Result<(), E> {
        for line in self.held().filter(|line| line.is_broken()) {
            line.replace(connect().await?);
        }
        Ok(())
    }

    /// The lines that somebody holds now.
    fn held(&self) -> impl Iterator<Item = Arc<Line>> + use<> {
        let mut lines = self.lock();
        lines.retain(|line| line.strong_count() > 0);
        lines.clone().into_iter().filter_map(|line| line.upgrade())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;

    use softsim_client::proto::Refusal;
    use softsim_client::proto::requests::{CloseSession, Status};

    use super::*;
    use crate::scripted_keyd::{self, encoded};

    /// A connection to a keyd that refuses everything.
    fn refusing() -> Connection {
        scripted_keyd::connect(|_| encoded::<Status>(Err(Refusal::NoProfile)))
    }

    async fn connect() -> Result<Connection, Infallible> {
        Ok(refusing())
    }

    #[tokio::test]
    async fn one_connection_that_fails_is_replaced_and_the_others_and_their_sessions_stay() {
        let lines = Lines::default();
        let garbled = scripted_keyd::connect(|_| b"garbled".into());
        let (failing, other) = (lines.add(garbled), lines.add(refusing()));
        let session = CloseSession { handle: 1 };
        let (of_failing, answer) = failing.call_numbered(&session);
        assert!(matches!(answer, Err(Error::Answer { .. })), "{answer:?}");
        let (of_other, answer) = other.call_numbered(&session);
        assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");

        lines.broken().await;
        lines.mend(connect).await.unwrap();
        failing.renewed(of_failing).await;
        let answer = failing.call_blocking(&session);
        assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");
        let answer = other.call_over(of_other, &session);
        assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");
        assert!(lines.held().all(|line| !line.is_broken()));
    }

    #[tokio::test]
    async fn a_session_is_never_asked_for_on_another_connection_than_its_own() {
        let lines = Lines::default();
        let keyd = lines.add(refusing());
        let session = CloseSession { handle: 1 };
        let (number, _) = keyd.call_numbered(&session);
        let unexpected = async || {
            Ok::<_, Infallible>(scripted_keyd::connect(|_| {
                unreachable!("the session is gone")
            }))
        };
        lines.renew(unexpected).await.unwrap();
        let answer = keyd.call_over(number, &session);
        assert!(matches!(answer, Err(Error::Closed)), "{answer:?}");
        assert!(!keyd.0.is_broken(), "the new connection is whole");
    }

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
