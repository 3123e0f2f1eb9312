//! One EAP conversation in memory, between our peer with a SIM and the lab's server with its AuC.

use softsim_eap::{Config, Outcome, Output, Peer};
use softsim_eap_packet::{Code, Type, typed};
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::{self, Reason, Server, Session, Step};

use crate::sim::Sim;

/// How a conversation ended, on both sides.
pub struct End {
    /// The peer's outcome; `None` if it still waits.
    pub peer: Option<Outcome>,
    /// The server's session or its reason to give up; `None` if it still waits.
    pub server: Option<Result<Session, Reason>>,
    /// The number of packets in both directions.
    pub packets: usize,
}

impl End {
    /// The server's session.
    ///
    /// # Panics
    /// If the server has no session.
    pub fn session(&self) -> &Session {
        self.server.as_ref().unwrap().as_ref().unwrap()
    }

    /// Why the server gave up.
    ///
    /// # Panics
    /// If the server didn't give up.
    pub fn reason(&self) -> Reason {
        *self.server.as_ref().unwrap().as_ref().unwrap_err()
    }
}

/// [`converse_as`] with a peer in its default configuration, which accepts the lab's server.
pub fn converse(
    config: eap_server::Config,
    auc: &mut Auc,
    sim: &mut Sim,
    on_the_way: impl FnMut(usize, &mut Vec<u8>),
) -> End {
    converse_as(Config::new(), config, auc, sim, on_the_way)
}

/// Exchanges packets between peer and server until one of them is done or has nothing to send.
/// `on_the_way` gets every packet, with its number, before it arrives.
pub fn converse_as(
    peer: Config,
    config: eap_server::Config,
    auc: &mut Auc,
    sim: &mut Sim,
    mut on_the_way: impl FnMut(usize, &mut Vec<u8>),
) -> End {
    let mut peer = Peer::new(peer);
    let mut server = Server::new(config).unwrap();
    let mut end = End {
        peer: None,
        server: None,
        packets: 0,
    };
    peer.handle_packet(&typed(Code::Request, 0, Type::Identity, &[]).unwrap());
    while let Some(output) = peer.poll() {
        match output {
            Output::Ask(ask) => peer.answer(sim.answer(&ask)),
            Output::Note(_) | Output::Refused => {}
            Output::Done(outcome) => {
                if matches!(outcome, Outcome::Success(_)) {
                    sim.confirm();
                }
                end.peer = Some(outcome);
            }
            Output::Send(mut response) => {
                on_the_way(end.packets, &mut response);
                let mut request = match server.handle(auc, &response) {
                    Step::Request(packet) => packet,
                    Step::Success(packet, session) => {
                        end.server = Some(Ok(*session));
                        packet
                    }
                    Step::Failure(packet, reason) => {
                        end.server = Some(Err(reason));
                        packet
                    }
                    Step::Discard => continue,
                };
                on_the_way(end.packets + 1, &mut request);
                end.packets += 2;
                assert!(end.packets < 40, "the conversation does not end");
                peer.handle_packet(&request);
            }
        }
    }
    end
}
