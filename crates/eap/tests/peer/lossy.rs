//! A link that loses and repeats: the exchange still ends in success, and AKA runs once.

use crate::support::*;
use proptest::prelude::*;
use softsim_eap::Outcome;
use softsim_eap::packet::{self, Attribute, Type};

/// A server that sends its request until the response with its identifier comes.
struct Server {
    network: Network,
    stage: u8,
    request: Vec<u8>,
}

impl Server {
    fn new() -> Self {
        Server {
            network: Network::new(),
            stage: 0,
            request: typed(0, Type::Identity, b""),
        }
    }

    fn response(&mut self, response: &[u8]) {
        if response[1] != self.stage || self.stage == 4 {
            return;
        }
        self.stage += 1;
        self.request = match self.stage {
            1 => aka_identity(1, &[Attribute::AnyIdReq]),
            2 => {
                self.network.round(&self.request, response);
                self.network.challenge(&Challenge {
                    identifier: 2,
                    checkcode: Some(self.network.checkcode()),
                    result_ind: true,
                    ..Challenge::default()
                })
            }
            3 => self.network.notification(3, 32768),
            _ => packet::success(3).to_vec(),
        };
    }
}

/// What happens to one packet: lost, delivered, delivered twice, delivered after the request before it.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Lost,
    Once,
    Twice,
    AfterTheOneBefore,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = [Fate::Lost, Fate::Once, Fate::Twice, Fate::AfterTheOneBefore];
    proptest::collection::vec(proptest::sample::select(fate.to_vec()), 0..40)
}

fn deliveries<'a>(fate: Fate, packet: &'a [u8], before: &'a [u8]) -> Vec<&'a [u8]> {
    match fate {
        Fate::Lost => vec![],
        Fate::Once => vec![packet],
        Fate::Twice => vec![packet, packet],
        Fate::AfterTheOneBefore => vec![before, packet],
    }
}

proptest! {
    #[test]
    fn a_lossy_link_still_ends_in_success(fates in fates()) {
        let mut scene = Scene::new();
        let mut server = Server::new();
        let mut fates = fates.into_iter();
        let (mut before, mut request) = (server.request.clone(), server.request.clone());
        let mut done = Vec::new();
        for _ in 0..60 {
            if request != server.request {
                before = std::mem::replace(&mut request, server.request.clone());
            }
            for packet in deliveries(fates.next().unwrap_or(Fate::Once), &request, &before) {
                let step = scene.feed(packet);
                done.extend(step.done);
                for response in &step.sent {
                    for response in deliveries(fates.next().unwrap_or(Fate::Once), response, response) {
                        server.response(response);
                    }
                }
            }
        }
        prop_assert_eq!(done, [Outcome::Success]);
        prop_assert_eq!(scene.sim.runs, 1);
    }
}
