//! The task after it lost keyd in the middle of a Commit, with a scripted keyd.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use softsim_client::keyd::Connection;
use softsim_client::proto::requests::{Stage, Status};
use softsim_client::proto::{Refusal, RequestKind, StageAnswer, kind_of};
use softsim_lwm2m::Accounts;

use super::*;
use crate::accounts::tests::accounts;
use crate::accounts::{Txid, digest};
use crate::scripted_keyd::{self, encoded};

const TXID: Txid = [7; 16];

/// What keyd was asked to change, and whether it tells its status.
#[derive(Clone, Default)]
struct Script {
    changes: Arc<Mutex<Vec<RequestKind>>>,
    tells: Arc<AtomicBool>,
}

impl Script {
    /// A keyd that commits the accounts, and whose answer to the Commit is lost.
    fn keyd(&self, accounts: &Accounts) -> Connection {
        let (script, digest) = (self.clone(), digest(accounts));
        scripted_keyd::connect(move |request| match kind_of(request).unwrap() {
            RequestKind::Status if !script.tells.load(Ordering::Relaxed) => {
                encoded::<Status>(Err(Refusal::NoProfile))
            }
            RequestKind::Status => encoded::<Status>(Ok(StatusAnswer {
                committed: Some(TXID),
                accounts: Some(digest),
                ..scripted_keyd::status()
            })),
            kind @ (RequestKind::Stage | RequestKind::Commit) => {
                script.changes.lock().unwrap().push(kind);
                match kind {
                    RequestKind::Stage => encoded::<Stage<'_>>(Ok(StageAnswer { staged: None })),
                    _ => b"no answer".into(),
                }
            }
            _ => encoded::<Status>(Err(Refusal::NoDeviceCertificate)),
        })
    }

    fn changes(&self) -> Vec<RequestKind> {
        self.changes.lock().unwrap().clone()
    }
}

async fn task(keyd: Connection, folder: &std::path::Path) -> Lwm2m {
    let (_, presence) = watch::channel(Presence::Serving);
    Lwm2m::prepare(
        (keyd.into(), presence, Device::default()),
        Names::without_helper(),
        Store::open(folder, Committed::default()),
        Some("urn:test".into()),
        None,
        watch::Sender::new(Snapshot::default()),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn while_a_commit_is_in_doubt_no_other_begins_until_keyd_tells_which_was_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let (script, accounts) = (Script::default(), accounts("coaps://new"));
    let mut task = task(script.keyd(&accounts), folder.path()).await;
    assert!(task.commit_accounts(TXID, &accounts).await.is_err());
    assert_eq!(script.changes(), [RequestKind::Commit]);

    // keyd returns, and refuses to tell its status.
    task.keyd_changed().await.unwrap();
    let server = ServerRole::Management(1);
    task.package(server, b"package").await.unwrap();
    assert_eq!(task.last_result, SimResult::Internal);
    assert!(task.commit_accounts([8; 16], &accounts).await.is_err());
    assert_eq!(script.changes(), [RequestKind::Commit]);
    assert_eq!(task.store.transaction(), None);

    script.tells.store(true, Ordering::Relaxed);
    task.reconcile().await.unwrap();
    assert_eq!(task.store.transaction(), Some(&*hex::encode(TXID)));
    task.package(server, b"package").await.unwrap();
    let begun = [RequestKind::Commit, RequestKind::Stage, RequestKind::Commit];
    assert_eq!(script.changes(), begun);
}
