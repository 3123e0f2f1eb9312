//! A link that loses, repeats and reorders: the exchange still ends in success, and AKA runs once.

use crate::support::*;
use proptest::prelude::*;
use softsim_eap::packet::{self, Attribute, Type};
use softsim_eap::{Ask, Config, ForwardSecrecy, Group, Outcome, OuterIdentity};

/// A server that sends its request until the response with its identifier comes.
struct Server {
    network: Network,
    /// A re-authentication instead of a challenge.
    reauthenticates: bool,
    first: u8,
    stage: u8,
    request: Vec<u8>,
}

impl Server {
    fn new(network: Network, first: u8, reauthenticates: bool) -> Self {
        Server {
            network,
            reauthenticates,
            first,
            stage: 0,
            request: typed(first, Type::Identity, b""),
        }
    }

    fn response(&mut self, response: &[u8]) {
        if response[1] != self.first + self.stage || self.stage == 4 {
            return;
        }
        self.stage += 1;
        let identifier = self.first + self.stage;
        self.request = match self.stage {
            1 => aka_identity(identifier, &[Attribute::AnyIdReq]),
            2 => {
                self.network.round(&self.request, response);
                self.network.identity = at_identity(response);
                self.proof(identifier)
            }
            3 => self.network.notification(identifier, 32768),
            _ => packet::success(identifier - 1).to_vec(),
        };
    }

    fn proof(&mut self, identifier: u8) -> Vec<u8> {
        let checkcode = Some(self.network.checkcode());
        if self.reauthenticates {
            return self.network.reauthentication(&Reauthentication {
                identifier,
                checkcode,
                result_ind: true,
                ..Reauthentication::default()
            });
        }
        self.network.challenge(&Challenge {
            identifier,
            checkcode,
            result_ind: true,
            next_reauth_id: Some(REAUTHENTICATION_ID),
            ..Challenge::forward_secret(&[Group::X25519])
        })
    }
}

/// What happens to one packet.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Lost,
    Once,
    Twice,
    /// Kept back, and delivered after the next one.
    Late,
}

/// Three packets of ten are lost, of the others some come twice or in another order.
fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        30 => Just(Fate::Lost),
        40 => Just(Fate::Once),
        15 => Just(Fate::Twice),
        15 => Just(Fate::Late),
    ];
    proptest::collection::vec(fate, 0..400)
}

/// One direction of the link.
#[derive(Default)]
struct Link {
    kept: Vec<Vec<u8>>,
}

impl Link {
    fn carry(&mut self, fate: Fate, packet: &[u8]) -> Vec<Vec<u8>> {
        let packet = packet.to_vec();
        let mut delivered = match fate {
            Fate::Lost => vec![],
            Fate::Once => vec![packet],
            Fate::Twice => vec![packet.clone(), packet],
            Fate::Late => {
                self.kept.push(packet);
                return vec![];
            }
        };
        delivered.append(&mut self.kept);
        delivered
    }
}

/// Runs the server against the peer until the server has nothing more to send that could change anything.
fn run(
    scene: &mut Scene,
    server: &mut Server,
    fates: &mut impl Iterator<Item = Fate>,
) -> Vec<Step> {
    let (mut there, mut back) = (Link::default(), Link::default());
    let mut steps = Vec::new();
    for _ in 0..250 {
        let request = server.request.clone();
        for packet in there.carry(fates.next().unwrap_or(Fate::Once), &request) {
            let step = scene.feed(&packet);
            for sent in &step.sent {
                for response in back.carry(fates.next().unwrap_or(Fate::Once), sent) {
                    server.response(&response);
                }
            }
            steps.push(step);
        }
    }
    steps
}

fn outcomes(steps: &[Step]) -> Vec<Outcome> {
    steps.iter().flat_map(|step| step.done.clone()).collect()
}

proptest! {
    #[test]
    fn a_link_that_loses_repeats_and_reorders_still_ends_in_success(fates in fates(), again in fates()) {
        let mut scene = Scene::unasked(Config {
            outer: OuterIdentity::Suci,
            forward_secrecy: ForwardSecrecy::Require,
            ..Config::new()
        });
        let mut server = Server::new(Network::new(), 0, false);
        let steps = run(&mut scene, &mut server, &mut fates.into_iter());
        let done = outcomes(&steps);
        prop_assert!(matches!(done[..], [Outcome::Success(success)] if success.forward_secrecy), "{done:?}");
        prop_assert_eq!(scene.sim.runs, 1);

        // And once more as a fast re-authentication, with the keys of before.
        server.network.session = scene.sim.session.clone();
        server.network.forget_rounds();
        scene.reconfigure(Config::new());
        let mut server = Server::new(server.network, 100, true);
        let steps = run(&mut scene, &mut server, &mut again.into_iter());
        let done = outcomes(&steps);
        prop_assert!(matches!(done[..], [Outcome::Success(success)] if success.reauthenticated), "{done:?}");
        let asked = steps.iter().flat_map(|step| &step.asks);
        prop_assert_eq!(asked.filter(|ask| matches!(ask, Ask::Reauthentication { .. })).count(), 1);
        prop_assert_eq!(scene.sim.runs, 1);
    }
}
