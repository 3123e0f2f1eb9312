//! The walk of a hostile netd through the program's sockets.
//!
//! It is separate from the other tests, because a process that is being started holds its parent's
//! files for a moment, locked vaults among them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::thread::sleep;
use std::time::Duration;

use softsim_client::keyd::Error;
use softsim_keyd::vault::{FileStorage, Kek, Vault};
use softsim_keyd_proto::requests::Status;
use softsim_keyd_proto::{Call, Refusal, Role, decode_answer};
use softsim_sandbox::seqpacket;
use softsim_testkit::device::copy_of;
use softsim_testkit::dice::Dice;
use softsim_testkit::host::{Host, Running, receive};
use softsim_testkit::walk::{Keyd, Walk, thorough};

const PROGRAM: &str = env!("CARGO_BIN_EXE_softsim-keyd");

/// The program; `None` only while it restarts.
struct Program {
    host: Host,
    running: Option<Running>,
}

impl Keyd for Program {
    type Connection = seqpacket::Connection;

    fn connect(&mut self) -> seqpacket::Connection {
        self.host.raw(Role::Network)
    }

    /// Sends a request. If keyd answers RetryAfter with less than a second, it waits and sends the
    /// request again.
    fn exchange(&mut self, connection: &mut seqpacket::Connection, datagram: &[u8]) -> Vec<u8> {
        loop {
            connection.send(datagram).unwrap();
            let answer = receive(connection);
            match decode_answer::<Status>(&answer) {
                Ok(Err(Refusal::RetryAfter { milliseconds })) if milliseconds < 1000 => {
                    sleep(Duration::from_millis(milliseconds.into()));
                }
                _ => return answer,
            }
        }
    }

    fn administer<C: Call>(&mut self, call: &C) -> C::Answer {
        loop {
            match self.host.connect(Role::Admin).call(call) {
                Err(Error::Refused(Refusal::RetryAfter { milliseconds })) => {
                    sleep(Duration::from_millis(milliseconds.into()));
                }
                answer => return answer.unwrap(),
            }
        }
    }

    fn restart(&mut self) {
        self.running = None;
        self.running = Some(self.host.start());
    }

    fn vault(&self) -> Vault {
        let copy = copy_of(&self.host.path("state"));
        let storage = FileStorage::open(copy.path()).unwrap().unwrap();
        Vault::open(storage, &Kek::read(&self.host.path("kek")).unwrap()).unwrap()
    }
}

#[test]
fn over_the_socket_netd_learns_nothing_forbidden_either() {
    let mut dice = Dice::of_test("hostile netd over the socket");
    let host = Host::new(PROGRAM).with("--identity-privacy=conservative");
    let running = Some(host.start());
    let mut walk = Walk::new(Program { host, running }, &mut dice);
    walk.at_random(if thorough() { 10_000 } else { 4_000 }, &mut dice);
    walk.finish(&mut dice);
}
