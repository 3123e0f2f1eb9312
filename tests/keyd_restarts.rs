//! keyd is killed and restarted under a netd that works: netd goes on.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use softsim_client::netd::{AccessState, Management, Status};
use softsim_lab_harness::gateway;
use softsim_lab_harness::home::{Home, Options};
use softsim_testkit::processes::built;

/// How long a test waits for an event that either happens at once or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway that is registered, with an authorised access over RADIUS.
struct Scene {
    home: Home,
    netd: u32,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new(test: &str) -> Option<Self> {
        if !built(test, &["softsim-keyd", "softsim-netd"]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut home = Home::up(&folder.path().join("lab"), Options::default()).unwrap();
        let access = home.radius_access(&[home.radius()], "");
        let gateway = home.gateway_mut();
        gateway.stop_netd();
        gateway.set_accesses(access);
        home.start_netd().unwrap();
        assert_eq!(
            home.gateway().connect().unwrap().0.state,
            AccessState::Authorised
        );
        let scene = Self {
            netd: home.gateway().netd().unwrap().id(),
            home,
            _folder: folder,
        };
        scene.await_status("registered", |status| {
            matches!(status.management, Management::Registered { .. })
        });
        Some(scene)
    }

    fn gateway(&self) -> &gateway::Gateway {
        self.home.gateway()
    }

    fn await_status(&self, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.gateway().netd_status().unwrap();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{what}: {status:?}");
            sleep(Duration::from_millis(2));
        }
    }

    /// Kills keyd, and waits until netd knows.
    fn kill_keyd(&mut self) -> Status {
        self.home.gateway_mut().stop_keyd();
        self.await_status("lost", |status| status.keyd_lost.is_some())
    }

    fn restart_keyd(&mut self) -> Status {
        self.home.gateway_mut().start_keyd().unwrap();
        self.await_status("returned", |status| status.keyd_lost.is_none())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.gateway().folder().file("netd.log")).unwrap()
    }
}

#[test]
fn accesses_and_registrations_stay_and_the_next_authentication_is_keyds_again() {
    let Some(mut scene) = Scene::new("keyd restarts") else {
        return;
    };
    let registration = scene.await_status("", |_| true).management;
    for count in 1..=10 {
        for status in [scene.kill_keyd(), scene.restart_keyd()] {
            assert_eq!(status.accesses[0].state, AccessState::Authorised);
            assert_eq!(status.management, registration);
        }
        let before = scene.gateway().access().unwrap().counters.successes;
        let access = scene.gateway().connect().unwrap().0;
        assert_eq!(access.state, AccessState::Authorised, "{count}");
        assert_eq!(access.counters.successes, before + 1);
    }
    assert_eq!(scene.gateway().netd().unwrap().id(), scene.netd);
    let log = scene.log();
    for text in ["softsim-keyd is lost;", "softsim-keyd has returned"] {
        assert_eq!(log.matches(text).count(), 10, "{log}");
    }
}

#[test]
fn a_keyd_with_the_vault_of_another_device_ends_netd() {
    let Some(mut scene) = Scene::new("another device") else {
        return;
    };
    scene.kill_keyd();
    let vault = scene.gateway().folder().file("keyd");
    fs::rename(&vault, vault.with_extension("before")).unwrap();
    let gateway = scene.home.gateway_mut();
    gateway.start_keyd().unwrap();
    let status = gateway.await_end_of_netd(PATIENCE).unwrap();
    assert_eq!(status.code(), Some(69));
    let log = scene.log();
    assert!(log.contains("returned with another device"), "{log}");
}
