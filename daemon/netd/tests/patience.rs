//! netd repeats a request that keyd refuses as too early, for some seconds.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use softsim_client::keyd::Connection;
use softsim_client::proto::requests::Commit;
use softsim_client::proto::{Refusal, RequestKind, encode_answer, kind_of};
use softsim_netd::keyd::{RequestError, commit};
use support::Keyd;

/// A keyd that wants to be asked later this many milliseconds, so many times; and how often it was
/// asked.
fn keyd(path: &Path, milliseconds: u32, times: usize) -> (Keyd, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let keyd = Keyd::start_with(path, move |request| {
        if kind_of(request).unwrap() == RequestKind::Hello {
            return support::answer(request);
        }
        let answer = match counted.fetch_add(1, Ordering::Relaxed) < times {
            true => Err(Refusal::RetryAfter { milliseconds }),
            false => Ok(()),
        };
        let mut buffer = [0; 64];
        encode_answer::<Commit>(&answer, &mut buffer)
            .unwrap()
            .to_vec()
    });
    (keyd, asked)
}

async fn committed(milliseconds: u32, times: usize) -> (Result<(), RequestError>, usize) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("network.sock");
    let (_keyd, asked) = keyd(&path, milliseconds, times);
    let connection = Connection::connect(&path).unwrap();
    let answer = commit(&connection.into(), [7; 16], None).await;
    (answer, asked.load(Ordering::Relaxed))
}

#[tokio::test]
async fn request_is_repeated_after_each_short_retry_after() {
    let (answer, asked) = committed(3, 20).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(asked, 21);
}

#[tokio::test]
async fn long_retry_after_is_an_error_at_once() {
    let (answer, asked) = committed(57_001, 1).await;
    let message = answer.unwrap_err().to_string();
    assert!(
        message.ends_with("too many requests: ask again in 58 s"),
        "{message}"
    );
    assert_eq!(asked, 1);
}
