//! A gateway, which is our peer with keyd in memory, over a link that loses three packets of ten in
//! each direction, in simulated time: it ends authorised, and its permanent identity leaves at the
//! first contact only.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use softsim_eap::{
    Answer, Ask, ChallengeAnswer, Config, Identity, IdentityKind, IdentityRequest, Method, Nai,
    Outcome, Output, Peer, ReauthenticationAnswer,
};
use softsim_eap_packet::{Code, Type, typed};
use softsim_keyd::Client;
use softsim_keyd_proto::requests::{
    AkaChallenge, AkaPrimeChallenge, CloseSession, Confirm, EapMac, EapVerify, EncryptCounter,
    Reauthenticate, Status,
};
use softsim_keyd_proto::{self as proto, AkaAnswer, Counters, Realm, Refusal, Role};
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::{self, Register, Server, Step};
use softsim_testkit::device::{Device, K, OPC};
use softsim_testkit::dice::Dice;
use softsim_testkit::sim::auc_of;

/// How often a packet is sent before the carrier gives up, as with RADIUS.
const TRIES: usize = 3;

/// Attempts in which a gateway that isn't locked out succeeds; with these losses, one attempt in
/// five or so does.
const ATTEMPTS: usize = 200;

/// A gateway, and its home network.
struct Scene {
    device: Device,
    netd: Client,
    handle: Option<u32>,
    auc: Auc,
    config: eap_server::Config,
    dice: Dice,
}

impl Scene {
    fn new(config: eap_server::Config, dice: Dice) -> Self {
        let (device, _) = Device::provisioned();
        let credentials = softsim_testkit::home_network::milenage(K, OPC);
        Self {
            netd: device.client(Role::Network),
            device,
            handle: None,
            auc: auc_of(&credentials, [0x80, 0]),
            config,
            dice,
        }
    }

    /// Three packets of ten are lost.
    fn is_lost(&mut self) -> bool {
        self.dice.below(10) < 3
    }

    /// Sends a response until its answer comes; none if the carrier gives up. The server handles it
    /// once, and repeats its answer.
    fn exchange(&mut self, server: &mut Server, response: &[u8]) -> Option<Vec<u8>> {
        let mut answer = None;
        for _ in 0..TRIES {
            if self.is_lost() {
                continue;
            }
            let sent = answer.get_or_insert_with(|| match server.handle(&mut self.auc, response) {
                Step::Request(packet) | Step::Success(packet, _) | Step::Failure(packet, _) => {
                    Some(packet)
                }
                Step::Discard => None,
            });
            let sent = sent.clone();
            if !self.is_lost() {
                return sent;
            }
        }
        None
    }

    /// One attempt. Whether the gateway is authorised afterwards.
    fn attempt(&mut self) -> bool {
        let mut peer = Peer::new(Config::new());
        let mut server = Server::new(self.config.clone()).unwrap();
        peer.handle_packet(&typed(Code::Request, 0, Type::Identity, &[]).unwrap());
        let mut authorised = false;
        while let Some(output) = peer.poll() {
            match output {
                Output::Ask(ask) => {
                    let answer = self.answer(ask);
                    peer.answer(answer);
                }
                Output::Note(_) | Output::Refused => {}
                Output::Send(response) => match self.exchange(&mut server, &response) {
                    Some(request) => peer.handle_packet(&request),
                    None => peer.carrier_failed(),
                },
                Output::Done(Outcome::Success(_)) => {
                    let handle = self.handle.unwrap();
                    self.call(&Confirm { handle, msk: None }).unwrap();
                    authorised = true;
                }
                Output::Done(Outcome::Failure(_)) => {}
            }
        }
        if let Some(handle) = self.handle.take() {
            self.call(&CloseSession { handle }).unwrap();
        }
        self.device.wait(Duration::from_secs(5));
        authorised
    }

    /// How many attempts it takes to be authorised.
    #[track_caller]
    fn connect(&mut self) -> usize {
        let attempts = (1..=ATTEMPTS).find(|_| self.attempt());
        attempts.expect("locked out")
    }

    fn call<C: proto::Call>(&mut self, call: &C) -> Result<C::Answer, Refusal> {
        let answer = self.device.call(&mut self.netd, call);
        self.device.keyd.flush().unwrap();
        answer
    }

    fn counters(&mut self) -> Counters {
        let status = self.device.ask(Role::Admin, &Status {}).unwrap();
        status.counters.unwrap()
    }

    /// keyd's answer to a question of the peer.
    fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Identity {
                method,
                any_method,
                wanted,
                inside,
            } => self.identity(method, any_method, wanted, inside),
            Ask::Challenge {
                method,
                packet,
                identity,
                group,
                refuse_separation_bit,
            } => {
                let answer = match method {
                    Method::AkaPrime => self.call(&AkaPrimeChallenge {
                        iccid: None,
                        identity: &identity,
                        packet: &packet,
                        forward_secrecy: group,
                    }),
                    Method::Aka => self.call(&AkaChallenge {
                        iccid: None,
                        identity: &identity,
                        packet: &packet,
                        refuse_separation_bit,
                    }),
                };
                Answer::Challenge(self.challenged(answer.unwrap()))
            }
            Ask::Reauthentication {
                packet, identity, ..
            } => {
                let answer = self.call(&Reauthenticate {
                    iccid: None,
                    identity: &identity,
                    packet: &packet,
                });
                let proto::ReauthenticationAnswer::Fresh {
                    handle, nonce_s, ..
                } = answer.unwrap()
                else {
                    panic!("counters only rise here");
                };
                self.handle = Some(handle);
                Answer::Reauthentication(ReauthenticationAnswer::Fresh { nonce_s })
            }
            Ask::Verify { packet } => {
                let handle = self.handle.unwrap();
                let packet = &packet[..];
                Answer::Verify(self.call(&EapVerify { handle, packet }).is_ok())
            }
            Ask::EncryptedCounter => {
                let handle = self.handle.unwrap();
                let answer = self.call(&EncryptCounter { handle }).unwrap();
                Answer::Encrypted {
                    iv: answer.iv,
                    data: answer.data,
                }
            }
            Ask::Mac { packet } => {
                let handle = self.handle.unwrap();
                let packet = &packet[..];
                Answer::Mac(self.call(&EapMac { handle, packet }).unwrap().mac)
            }
        }
    }

    fn identity(
        &mut self,
        method: Method,
        any_method: bool,
        kind: IdentityRequest,
        inside: bool,
    ) -> Answer {
        let answer = self.call(&proto::requests::Identity {
            iccid: None,
            method,
            any_method,
            kind,
            inside,
            realm: Realm::Wlan,
            network_name: "WLAN",
        });
        match answer {
            Ok(answer) => {
                assert!(inside || answer.kind != IdentityKind::Permanent || !self.is_known());
                Answer::Identity(Identity {
                    nai: Nai::new(answer.nai).unwrap(),
                    kind: answer.kind,
                })
            }
            Err(Refusal::IdentityWithheld) => Answer::Withheld,
            Err(refusal) => panic!("{refusal}"),
        }
    }

    fn is_known(&mut self) -> bool {
        let status = self.device.ask(Role::Admin, &Status {}).unwrap();
        status.identities.unwrap().pseudonyms > 0
    }

    fn challenged(&mut self, answer: AkaAnswer) -> ChallengeAnswer {
        match answer {
            AkaAnswer::Success { handle, res, .. } => {
                self.handle = Some(handle);
                let res = res.expose().to_vec();
                ChallengeAnswer::Success {
                    res_bits: 8 * res.len() as u16,
                    res,
                    public_key: None,
                }
            }
            AkaAnswer::SynchronisationFailure { auts } => ChallengeAnswer::SyncFailure(auts),
        }
    }
}

/// The servers: one that keeps every pseudonym, and one that keeps one as hostapd does, with and
/// without result indications and fast re-authentication.
fn servers() -> impl Iterator<Item = eap_server::Config> {
    [Register::default(), Register::with_one_pseudonym_each()]
        .into_iter()
        .flat_map(|register| {
            [(false, false), (true, false), (false, true), (true, true)].map(
                |(result_indication, reauthentication)| eap_server::Config {
                    methods: vec![Method::AkaPrime, Method::Aka],
                    pseudonyms: true,
                    result_indication,
                    reauthentication,
                    register: register.clone(),
                    ..eap_server::Config::default()
                },
            )
        })
}

#[test]
fn with_three_packets_of_ten_lost_each_way_a_gateway_is_never_locked_out() {
    let mut dice = Dice::of_test("lossy link");
    for config in servers() {
        config.register.forget_pseudonyms();
        let mut scene = Scene::new(config, dice.fork());
        scene.connect();
        let at_first_contact = scene.counters().permanent_identities;
        let attempts: usize = (0..100).map(|_| scene.connect()).sum();
        let counters = scene.counters();
        println!(
            "{attempts} attempts for 100 authentications, {} refusals",
            counters.pseudonyms_refused
        );
        assert_eq!(counters.permanent_identities, at_first_contact);
        assert_eq!(counters.patience_over, 0);
    }
}

#[test]
fn a_server_that_lost_its_pseudonyms_has_its_gateway_back_after_ten_minutes_also_over_a_lossy_link()
{
    let mut dice = Dice::of_test("lossy link, lost pseudonyms");
    for config in servers() {
        let mut scene = Scene::new(config, dice.fork());
        scene.connect();
        for _ in 0..5 {
            scene.config.register.forget_pseudonyms();
            scene.config.register.forget_reauthentications();
            let before = scene.counters().permanent_identities;
            // Two minutes of withheld identities leave the policy as it is.
            for _ in 0..10 {
                assert!(!scene.attempt());
            }
            assert_eq!(scene.counters().permanent_identities, before);
            // An attempt that shows it may get lost, and then the rests grow.
            let attempts = (1..200_000).find(|_| scene.attempt());
            attempts.expect("locked out");
            assert!(scene.counters().permanent_identities > before);
            for _ in 0..3 {
                scene.connect();
            }
        }
    }
}
