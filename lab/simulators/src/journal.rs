//! The events of a server, in order, which a test can read or wait for.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A growing list of events.
pub struct Journal<E> {
    events: Mutex<Vec<E>>,
    grown: Condvar,
}

impl<E> Default for Journal<E> {
    fn default() -> Self {
        Self {
            events: Mutex::new(Vec::new()),
            grown: Condvar::new(),
        }
    }
}

impl<E: Clone> Journal<E> {
    /// Adds an event.
    pub fn record(&self, event: E) {
        self.lock().push(event);
        self.grown.notify_all();
    }

    /// Everything so far.
    pub fn events(&self) -> Vec<E> {
        self.lock().clone()
    }

    /// The first matching event, which exists already or occurs within `patience`.
    pub fn wait_for(&self, patience: Duration, mut fits: impl FnMut(&E) -> bool) -> Option<E> {
        let mut seen = 0;
        let (events, _) = self
            .grown
            .wait_timeout_while(self.lock(), patience, |events| {
                while seen < events.len() && !fits(&events[seen]) {
                    seen += 1;
                }
                seen == events.len()
            })
            .unwrap_or_else(PoisonError::into_inner);
        events.get(seen).cloned()
    }

    /// A panic in another thread leaves the list intact, because only a push happens under the
    /// lock.
    fn lock(&self) -> MutexGuard<'_, Vec<E>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: fmt::Debug> fmt::Debug for Journal<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.events.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn an_event_is_found_whether_it_came_before_or_comes_later() {
        let journal = Arc::new(Journal::default());
        journal.record(1);
        assert_eq!(
            journal.wait_for(Duration::ZERO, |event| *event == 1),
            Some(1)
        );
        assert_eq!(journal.wait_for(Duration::ZERO, |event| *event == 2), None);
        let writer = Arc::clone(&journal);
        let thread = thread::spawn(move || writer.record(2));
        assert_eq!(
            journal.wait_for(Duration::from_secs(60), |event| *event == 2),
            Some(2)
        );
        thread.join().unwrap();
        assert_eq!(journal.events(), [1, 2]);
    }
}
