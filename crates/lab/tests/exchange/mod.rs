//! One EAP-AKA' conversation in memory: our peer and a SIM on one side, the lab's server and AuC on the other.
#![allow(clippy::unwrap_used, clippy::panic)]

use softsim_aka::Msk;
use softsim_eap::packet::{Code, Type, typed};
use softsim_eap::{Config, Nai, Outcome, Output, Peer};
use softsim_lab::auc::Auc;
use softsim_lab::eap_server::{self, Reason, Server, Step};

use super::sim::{NAI, Sim};

/// How a conversation ended, on both sides.
pub(crate) struct End {
    pub(crate) peer: Option<Outcome>,
    /// `None` where the server still waits.
    pub(crate) server: Option<Result<Msk, Reason>>,
    /// Packets that passed, in both directions.
    pub(crate) packets: usize,
}

/// Lets peer and server talk until one of them is done or has nothing to say. `on_the_way` sees every packet, with
/// its number, before it arrives.
pub(crate) fn converse(
    config: eap_server::Config,
    auc: &mut Auc,
    sim: &mut Sim,
    mut on_the_way: impl FnMut(usize, &mut Vec<u8>),
) -> End {
    let mut peer = Peer::new(Config::new(Nai::new(NAI).unwrap()));
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
            Output::Note(_) => {}
            Output::Done(outcome) => end.peer = Some(outcome),
            Output::Send(mut response) => {
                on_the_way(end.packets, &mut response);
                let mut request = match server.handle(auc, &response) {
                    Step::Request(packet) => packet,
                    Step::Success(packet, session) => {
                        end.server = Some(Ok(session.msk));
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
