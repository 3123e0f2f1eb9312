//! A SIM and a home network for the tests: they share K and OPc, and each plays its side by the book.

use sha2::{Digest, Sha256};
use softsim_aka::eap::{AkaPrimeKeys, at_mac, verify_at_mac};
use softsim_aka::kdf::{NetworkName, ck_ik_prime};
use softsim_aka::{AlgorithmSet, Amf, Autn, Auts, K, Milenage, Opc, Rand, Sqn, SqnXorAk};
use softsim_eap::packet::{self, Attribute, Builder, Code, Draft, Kind, Packet, Subtype, Type};
use softsim_eap::{Answer, Ask, ChallengeAnswer, Config, Nai, Note, Outcome, Output, Peer};

pub const IDENTITY: &str = "6001010123456789@wlan.mnc001.mcc001.3gppnetwork.org";
pub const K_OPC: [[u8; 16]; 2] = [[0x51; 16], [0x98; 16]];

fn milenage([k, opc]: [[u8; 16]; 2]) -> Milenage {
    Milenage::new(&K::new(k), &Opc::new(opc))
}

fn keys(
    milenage: &Milenage,
    rand: &[u8; 16],
    sqn_xor_ak: SqnXorAk,
    name: &[u8],
    identity: &[u8],
) -> AkaPrimeKeys {
    let out = milenage.f2345(&Rand::new(*rand));
    let name = NetworkName::new(name).expect("the tests name the network where keys are derived");
    let (ck_prime, ik_prime) = ck_ik_prime(&out.ck, &out.ik, name, sqn_xor_ak);
    AkaPrimeKeys::derive(&ck_prime, &ik_prime, identity)
}

fn six(octets: &[u8]) -> [u8; 6] {
    octets[..6].try_into().expect("six of them were taken")
}

/// What the key process is to the peer: checks AUTN, then AT_MAC, and only then gives RES and keeps SQN and keys.
pub struct Sim {
    milenage: Milenage,
    /// The highest SQN accepted.
    pub sqn: u64,
    /// Times that AKA was asked for.
    pub runs: usize,
    /// Times that AUTN and AT_MAC both held.
    pub verified: usize,
    /// The identity of the last derivation.
    pub identity: Vec<u8>,
    pub keys: Option<AkaPrimeKeys>,
}

impl Sim {
    pub fn new(k_opc: [[u8; 16]; 2]) -> Self {
        Sim {
            milenage: milenage(k_opc),
            sqn: 0,
            runs: 0,
            verified: 0,
            identity: Vec::new(),
            keys: None,
        }
    }

    pub fn answer(&mut self, ask: &Ask) -> Answer {
        match ask {
            Ask::Challenge { packet, identity } => {
                Answer::Challenge(self.challenge(packet, identity))
            }
            Ask::Verify { packet } => Answer::Verify(
                self.keys
                    .as_ref()
                    .is_some_and(|keys| mac_holds(keys, packet)),
            ),
            Ask::Mac { packet } => match &self.keys {
                Some(keys) => Answer::Mac(at_mac(&keys.k_aut, packet)),
                None => Answer::Unavailable,
            },
        }
    }

    fn challenge(&mut self, bytes: &[u8], identity: &[u8]) -> ChallengeAnswer {
        self.runs += 1;
        self.identity = identity.to_vec();
        let message = Packet::parse(bytes)
            .and_then(|packet| packet.aka().map_err(|_| packet::PacketError::NoType));
        let message = message.expect("the peer asks about challenges that it could read");
        let (Some(rand), Some(autn), Some(name)) =
            (message.rand(), message.autn(), message.kdf_input())
        else {
            return ChallengeAnswer::AutnRejected;
        };
        let autn = Autn::new(*autn);
        let out = self.milenage.f2345(&Rand::new(*rand));
        let sqn = out.ak.reveal(autn.sqn_xor_ak());
        if self.milenage.f1(&Rand::new(*rand), sqn, autn.amf()) != autn.mac_a()
            || !autn.amf().separation_bit()
        {
            return ChallengeAnswer::AutnRejected;
        }
        if sqn.value() <= self.sqn {
            let ms = Sqn::new(self.sqn).expect("an SQN that was accepted has 48 bits");
            let mac_s = self
                .milenage
                .f1_star(&Rand::new(*rand), ms, Amf::RESYNCHRONISATION);
            let concealed = self.milenage.f5_star(&Rand::new(*rand)).conceal(ms);
            return ChallengeAnswer::SyncFailure(*Auts::from_parts(concealed, &mac_s).as_bytes());
        }
        let keys = keys(&self.milenage, rand, autn.sqn_xor_ak(), name, identity);
        if !mac_holds(&keys, bytes) {
            return ChallengeAnswer::MacInvalid;
        }
        self.sqn = sqn.value();
        self.verified += 1;
        self.keys = Some(keys);
        ChallengeAnswer::Success {
            res: out.res.as_bytes().to_vec(),
            res_bits: out.res.bits(),
        }
    }
}

/// Whether AT_MAC of these octets was made with these keys.
pub fn mac_holds(keys: &AkaPrimeKeys, bytes: &[u8]) -> bool {
    let Ok(packet) = Packet::parse(bytes) else {
        return false;
    };
    let Ok(message) = packet.aka() else {
        return false;
    };
    match (message.bytes_under_mac(), message.mac()) {
        (Some(under), Some(mac)) => verify_at_mac(&keys.k_aut, &under, mac),
        _ => false,
    }
}

/// What a challenge of the home network looks like; each test bends what it is about.
#[derive(Clone)]
pub struct Challenge {
    pub identifier: u8,
    pub kdfs: Vec<u16>,
    pub network_name: Option<&'static str>,
    pub checkcode: Option<Vec<u8>>,
    pub result_ind: bool,
    pub separation_bit: bool,
    pub omitted: Option<Kind>,
    pub extra: Vec<Attribute<'static>>,
    pub wrong_autn: bool,
    pub wrong_mac: bool,
}

impl Default for Challenge {
    fn default() -> Self {
        Challenge {
            identifier: 10,
            kdfs: vec![1],
            network_name: Some("WLAN"),
            checkcode: None,
            result_ind: false,
            separation_bit: true,
            omitted: None,
            extra: Vec::new(),
            wrong_autn: false,
            wrong_mac: false,
        }
    }
}

/// The home network: AuC and EAP server, one request at a time.
pub struct Network {
    milenage: Milenage,
    pub sqn: u64,
    /// What the keys are derived for.
    pub identity: Vec<u8>,
    pub keys: Option<AkaPrimeKeys>,
    rounds: Sha256,
}

impl Network {
    pub fn new() -> Self {
        Network {
            milenage: milenage(K_OPC),
            sqn: 0x20,
            identity: IDENTITY.into(),
            keys: None,
            rounds: Sha256::new(),
        }
    }

    /// The next challenge: a new SQN, and a RAND that follows from it.
    pub fn challenge(&mut self, what: &Challenge) -> Vec<u8> {
        self.sqn += 0x20;
        let rand = std::array::from_fn(|i| self.sqn as u8 ^ i as u8);
        let sqn = Sqn::new(self.sqn).expect("the tests count from a low SQN");
        let amf = Amf::new(if what.separation_bit {
            [0x80, 0]
        } else {
            [0, 0]
        });
        let out = self.milenage.f2345(&Rand::new(rand));
        let concealed = out.ak.conceal(sqn);
        let mac_a = self.milenage.f1(&Rand::new(rand), sqn, amf);
        let mut autn = *Autn::from_parts(concealed, amf, &mac_a).as_bytes();
        autn[15] ^= u8::from(what.wrong_autn);
        let name = what.network_name.unwrap_or_default().as_bytes();
        let derived = if name.is_empty() { b"WLAN" } else { name };
        let keys = keys(&self.milenage, &rand, concealed, derived, &self.identity);

        let mut attributes = vec![Attribute::Rand(&rand), Attribute::Autn(&autn)];
        attributes.extend(what.kdfs.iter().map(|kdf| Attribute::Kdf(*kdf)));
        attributes.extend(
            what.network_name
                .map(|name| Attribute::KdfInput(name.as_bytes())),
        );
        attributes.extend(what.checkcode.as_deref().map(Attribute::Checkcode));
        attributes.extend(what.result_ind.then_some(Attribute::ResultInd));
        attributes.extend(&what.extra);
        attributes.push(Attribute::Mac(&[0; 16]));
        attributes.retain(|attribute| Some(attribute.kind()) != what.omitted);
        let draft = request(what.identifier, Subtype::Challenge, &attributes);
        let mut mac = at_mac(&keys.k_aut, draft.bytes());
        mac[0] ^= u8::from(what.wrong_mac);
        self.keys = Some(keys);
        draft.with_mac(&mac)
    }

    /// A notification under AT_MAC, with the keys of the last challenge.
    pub fn notification(&self, identifier: u8, code: u16) -> Vec<u8> {
        let draft = request(
            identifier,
            Subtype::Notification,
            &[Attribute::Notification(code), Attribute::Mac(&[0; 16])],
        );
        let keys = self.keys.as_ref().expect("a challenge went before");
        let mac = at_mac(&keys.k_aut, draft.bytes());
        draft.with_mac(&mac)
    }

    /// Adds an identity round to the checkcode.
    pub fn round(&mut self, request: &[u8], response: &[u8]) {
        self.rounds.update(request);
        self.rounds.update(response);
    }

    /// A new conversation begins.
    pub fn forget_rounds(&mut self) {
        self.rounds = Sha256::new();
    }

    pub fn checkcode(&self) -> Vec<u8> {
        self.rounds.clone().finalize().to_vec()
    }

    pub fn keys(&self) -> &AkaPrimeKeys {
        self.keys.as_ref().expect("a challenge went before")
    }

    /// SQN_MS out of AUTS, if its MAC-S is right for the last challenge's RAND.
    pub fn resynchronise(&mut self, auts: &[u8; 14]) -> bool {
        let rand = Rand::new(std::array::from_fn(|i| self.sqn as u8 ^ i as u8));
        let ms = self
            .milenage
            .f5_star(&rand)
            .reveal(SqnXorAk::new(six(auts)));
        let right =
            self.milenage.f1_star(&rand, ms, Amf::RESYNCHRONISATION) == Auts::new(*auts).mac_s();
        self.sqn = ms.value();
        right
    }
}

/// A request of EAP-AKA'.
pub fn request(identifier: u8, subtype: Subtype, attributes: &[Attribute<'_>]) -> Draft {
    let builder = Builder::new(Code::Request, identifier, Type::AkaPrime, subtype);
    let builder = attributes
        .iter()
        .fold(builder, |builder, attribute| builder.attribute(*attribute));
    builder.finish().expect("the tests build what fits")
}

pub fn aka_identity(identifier: u8, wanted: &[Attribute<'_>]) -> Vec<u8> {
    request(identifier, Subtype::Identity, wanted).into_bytes()
}

pub fn typed(identifier: u8, kind: Type, data: &[u8]) -> Vec<u8> {
    packet::typed(Code::Request, identifier, kind, data).expect("the tests build what fits")
}

/// Everything that one packet led to.
#[derive(Debug, Default)]
pub struct Step {
    pub sent: Vec<Vec<u8>>,
    pub asks: Vec<Ask>,
    pub notes: Vec<Note>,
    pub done: Vec<Outcome>,
}

impl Step {
    /// The one response, as EAP-AKA': its subtype and the names of its attributes.
    pub fn response(&self) -> (Subtype, String) {
        let message = Packet::parse(self.bytes())
            .and_then(|packet| packet.aka().map_err(|_| packet::PacketError::NoType));
        let message = message.expect("the response is EAP-AKA'");
        let names: Vec<_> = message
            .attributes
            .iter()
            .map(|attribute| attribute.kind().to_string())
            .collect();
        (message.subtype, names.join(" "))
    }

    /// The octets of the one response.
    pub fn bytes(&self) -> &[u8] {
        assert_eq!(self.sent.len(), 1, "one response: {:#?}", self.notes);
        &self.sent[0]
    }

    pub fn is_client_error(&self) -> bool {
        self.sent.len() == 1 && self.sent[0][4..] == [50, 14, 0, 0, 22, 1, 0, 0]
    }

    pub fn is_authentication_reject(&self) -> bool {
        self.sent.len() == 1 && self.sent[0][4..] == [50, 2, 0, 0]
    }

    pub fn is_silence(&self) -> bool {
        self.sent.is_empty() && self.asks.is_empty() && self.done.is_empty()
    }
}

/// Peer, SIM and network side by side.
pub struct Scene {
    pub peer: Peer,
    pub sim: Sim,
    pub network: Network,
}

impl Scene {
    pub fn new() -> Self {
        Scene::with(Config::new(Nai::new(IDENTITY).expect("a good identity")))
    }

    pub fn with(config: Config) -> Self {
        Scene {
            peer: Peer::new(config),
            sim: Sim::new(K_OPC),
            network: Network::new(),
        }
    }

    /// Gives the peer a packet and the SIM every ask.
    pub fn feed(&mut self, packet: &[u8]) -> Step {
        self.peer.handle_packet(packet);
        self.settle()
    }

    pub fn settle(&mut self) -> Step {
        let mut step = Step::default();
        while let Some(output) = self.peer.poll() {
            match output {
                Output::Send(packet) => step.sent.push(packet),
                Output::Note(note) => step.notes.push(note),
                Output::Done(outcome) => step.done.push(outcome),
                Output::Ask(ask) => {
                    let answer = self.sim.answer(&ask);
                    step.asks.push(ask);
                    self.peer.answer(answer);
                }
            }
        }
        step
    }

    /// A challenge and what the peer does with it.
    pub fn challenge(&mut self, what: &Challenge) -> Step {
        let packet = self.network.challenge(what);
        self.feed(&packet)
    }

    pub fn success(&mut self, identifier: u8) -> Step {
        self.feed(&packet::success(identifier))
    }

    pub fn failure(&mut self, identifier: u8) -> Step {
        self.feed(&packet::failure(identifier))
    }

    /// An authentication as far as the verified challenge, answered under identifier 10.
    pub fn verified(what: &Challenge) -> Self {
        let mut scene = Scene::new();
        let step = scene.challenge(what);
        assert_eq!(step.response().0, Subtype::Challenge);
        assert!(mac_holds(scene.network.keys(), step.bytes()));
        scene
    }
}
