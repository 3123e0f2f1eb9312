//! The walk of a hostile netd through keyd in this process, without sockets, as fast as keyd
//! answers.

use softsim_keyd::Client;
use softsim_keyd::vault::{FileStorage, Kek, Vault};
use softsim_keyd_proto::{Call, IdentityPrivacy, RequestKind, Role};
use softsim_testkit::device::{Device, copy_of};
use softsim_testkit::dice::Dice;
use softsim_testkit::walk::{Keyd, Walk, thorough};

/// The policy that lets the walk run for as long as it likes.
const PRIVACY: IdentityPrivacy = IdentityPrivacy::Conservative;

/// A device; `None` only while it restarts.
struct InProcess(Option<Device>);

impl InProcess {
    fn blank() -> Self {
        Self(Some(Device::blank().with_privacy(PRIVACY)))
    }

    fn device(&mut self) -> &mut Device {
        self.0.as_mut().unwrap()
    }
}

impl Keyd for InProcess {
    type Connection = Client;

    fn connect(&mut self) -> Client {
        self.device().client(Role::Network)
    }

    fn exchange(&mut self, client: &mut Client, datagram: &[u8]) -> Vec<u8> {
        let answer = self.device().exchange(client, datagram).to_vec();
        self.device().keyd.flush().unwrap();
        answer
    }

    fn administer<C: Call>(&mut self, call: &C) -> C::Answer {
        self.device().ask(Role::Admin, call).unwrap()
    }

    fn restart(&mut self) {
        self.0 = self.0.take().map(|device| device.with_privacy(PRIVACY));
    }

    fn vault(&self) -> Vault {
        let copy = copy_of(self.0.as_ref().unwrap().directory.path());
        let storage = FileStorage::open(copy.path()).unwrap().unwrap();
        Vault::open(storage, &Kek::development()).unwrap()
    }
}

#[test]
fn in_whatever_order_netd_asks_it_learns_nothing_forbidden() {
    let mut dice = Dice::of_test("hostile netd at random");
    let mut walk = Walk::new(InProcess::blank(), &mut dice);
    walk.at_random(if thorough() { 200_000 } else { 8_000 }, &mut dice);
    walk.finish(&mut dice);
}

#[test]
fn after_any_requests_any_other_gives_netd_nothing_forbidden() {
    let mut dice = Dice::of_test("hostile netd, all pairs or triples");
    let mut walk = Walk::new(InProcess::blank(), &mut dice);
    for first in RequestKind::ALL {
        for second in RequestKind::ALL {
            if !thorough() {
                walk.in_order(&[*first, *second], &mut dice);
                continue;
            }
            for third in RequestKind::ALL {
                walk.in_order(&[*first, *second, *third], &mut dice);
            }
        }
    }
    walk.finish(&mut dice);
}
