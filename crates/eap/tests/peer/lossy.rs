//! A link that loses, repeats and reorders: the exchange still ends in success, and AKA runs once.

use proptest::prelude::*;
use softsim_eap::{Ask, Config, ForwardSecrecy, Group, Outcome, OuterIdentity};
use softsim_eap_packet::{self as packet, Attribute, Packet, Subtype, Type};
use softsim_testkit::scene::*;

/// A server that sends its request until the response with its identifier comes.
struct Server {
    network: Network,
    /// A re-authentication instead of a challenge.
    reauthenticates: bool,
    identifier: u8,
    request: Vec<u8>,
    /// The lists of AT_KDF and AT_KDF_FS, whose first values the peer doesn't support.
    kdfs: Vec<u16>,
    kdfs_fs: Vec<u16>,
    over: bool,
}

impl Server {
    fn new(network: Network, identifier: u8, reauthenticates: bool) -> Self {
        Server {
            network,
            reauthenticates,
            identifier,
            request: typed(identifier, Type::Identity, b""),
            kdfs: vec![2, 1],
            kdfs_fs: vec![9, 1],
            over: false,
        }
    }

    fn response(&mut self, response: &[u8]) {
        if response[1] != self.identifier || self.over {
            return;
        }
        self.identifier += 1;
        let message = Packet::parse(response).unwrap().aka();
        let subtype = message.as_ref().map(|message| message.subtype).ok();
        self.request = match (subtype, message) {
            (Some(Subtype::Identity), _) => {
                self.network.round(&self.request, response);
                self.network.identity = at_identity(response);
                self.proof()
            }
            (Some(Subtype::Challenge), Ok(message)) if message.res().is_none() => {
                let front =
                    |list: &mut Vec<u16>, choice: Vec<u16>| list.splice(..0, choice).for_each(drop);
                front(&mut self.kdfs, message.kdfs().collect());
                front(&mut self.kdfs_fs, message.kdfs_fs().collect());
                self.proof()
            }
            (Some(Subtype::SynchronizationFailure), Ok(message)) => {
                assert!(self.network.resynchronise(message.auts().unwrap()));
                self.proof()
            }
            (Some(Subtype::Challenge | Subtype::Reauthentication), _) => {
                self.network.notification(self.identifier, 32768)
            }
            (Some(Subtype::Notification), _) => {
                self.over = true;
                packet::success(self.identifier - 1).to_vec()
            }
            _ => aka_identity(self.identifier, &[Attribute::AnyIdReq]),
        };
    }

    fn proof(&mut self) -> Vec<u8> {
        let checkcode = Some(self.network.checkcode());
        if self.reauthenticates {
            return self.network.reauthentication(&Reauthentication {
                identifier: self.identifier,
                checkcode,
                result_ind: true,
                ..Reauthentication::default()
            });
        }
        self.network.challenge(&Challenge {
            identifier: self.identifier,
            kdfs: self.kdfs.clone(),
            kdfs_fs: self.kdfs_fs.clone(),
            checkcode,
            result_ind: true,
            next_reauth_id: Some(REAUTHENTICATION_ID.into()),
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
    /// The packet is delivered after the next one.
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

/// Runs server and peer until the server has nothing left to send.
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
        // Server and peer must negotiate both functions, and the server's SQN is too low.
        scene.sim.usim = up_to(0x1000);
        let mut server = Server::new(Network::new(), 0, false);
        let steps = run(&mut scene, &mut server, &mut fates.into_iter());
        let done = outcomes(&steps);
        prop_assert!(matches!(done[..], [Outcome::Success(success)] if success.forward_secrecy), "{done:?}");
        // The SIM runs AKA once for AUTS and once for RES.
        prop_assert_eq!(scene.sim.runs, 2);

        // A fast re-authentication follows, under the keys of the full authentication.
        server.network.session = scene.sim.session.clone();
        server.network.forget_rounds();
        scene.reconfigure(Config::new());
        let mut server = Server::new(server.network, 100, true);
        let steps = run(&mut scene, &mut server, &mut again.into_iter());
        let done = outcomes(&steps);
        prop_assert!(matches!(done[..], [Outcome::Success(success)] if success.reauthenticated), "{done:?}");
        let asked = steps.iter().flat_map(|step| &step.asks);
        prop_assert_eq!(asked.filter(|ask| matches!(ask, Ask::Reauthentication { .. })).count(), 1);
        prop_assert_eq!(scene.sim.runs, 2);
    }
}
