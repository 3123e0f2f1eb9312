//! The home network: AuC and EAP server, one request at a time.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use softsim_aka::agreement::PrivateKey;
use softsim_aka::{AlgorithmSet, Amf, Autn, Auts, Milenage, Rand, Sqn, SqnXorAk};
use softsim_eap::{Group, Method};
use softsim_eap_packet::{Attribute, Draft, Kind, Packet, Subtype};

use super::session::{Agreement, Session};
use super::{IDENTITY, K_OPC, milenage, request_of};

/// What a challenge of the home network looks like; each test bends what it is about.
#[derive(Clone)]
pub struct Challenge {
    pub method: Method,
    pub identifier: u8,
    pub kdfs: Vec<u16>,
    pub network_name: Option<&'static str>,
    pub kdfs_fs: Vec<u16>,
    /// The group of AT_PUB_ECDHE, if there is one.
    pub group: Option<Group>,
    pub checkcode: Option<Vec<u8>>,
    pub result_ind: bool,
    pub separation_bit: bool,
    pub next_pseudonym: Option<&'static str>,
    pub next_reauth_id: Option<&'static str>,
    pub omitted: Option<Kind>,
    pub extra: Vec<Attribute<'static>>,
    pub wrong_autn: bool,
    pub wrong_mac: bool,
}

impl Default for Challenge {
    fn default() -> Self {
        Challenge {
            method: Method::AkaPrime,
            identifier: 10,
            kdfs: vec![1],
            network_name: Some("WLAN"),
            kdfs_fs: Vec::new(),
            group: None,
            checkcode: None,
            result_ind: false,
            separation_bit: true,
            next_pseudonym: None,
            next_reauth_id: None,
            omitted: None,
            extra: Vec::new(),
            wrong_autn: false,
            wrong_mac: false,
        }
    }
}

impl Challenge {
    /// One of EAP-AKA, which negotiates nothing.
    pub fn aka() -> Self {
        Challenge {
            method: Method::Aka,
            kdfs: Vec::new(),
            network_name: None,
            separation_bit: false,
            ..Challenge::default()
        }
    }

    /// One that offers forward secrecy, with a key in the first group.
    pub fn forward_secret(groups: &[Group]) -> Self {
        Challenge {
            kdfs_fs: groups.iter().map(|group| group.number()).collect(),
            group: groups.first().copied(),
            ..Challenge::default()
        }
    }
}

/// What a re-authentication of the home network looks like.
#[derive(Clone)]
pub struct Reauthentication {
    pub identifier: u8,
    pub counter: u16,
    pub nonce_s: [u8; 16],
    pub next_reauth_id: Option<&'static str>,
    pub checkcode: Option<Vec<u8>>,
    pub result_ind: bool,
    pub omitted: Option<Kind>,
    pub wrong_mac: bool,
}

impl Default for Reauthentication {
    fn default() -> Self {
        Reauthentication {
            identifier: 20,
            counter: 1,
            nonce_s: [0xa5; 16],
            next_reauth_id: None,
            checkcode: None,
            result_ind: false,
            omitted: None,
            wrong_mac: false,
        }
    }
}

pub struct Network {
    milenage: Milenage,
    pub sqn: u64,
    /// What the keys are derived for.
    pub identity: Vec<u8>,
    pub session: Option<Session>,
    /// RAND and AUTN of the last challenge.
    pub last: ([u8; 16], [u8; 16]),
    rounds: Vec<u8>,
}

const IV: [u8; 16] = [0x33; 16];

impl Network {
    pub fn new() -> Self {
        Network {
            milenage: milenage(K_OPC),
            sqn: 0x20,
            identity: IDENTITY.into(),
            session: None,
            last: ([0; 16], [0; 16]),
            rounds: Vec::new(),
        }
    }

    /// The next challenge: a new SQN, and a RAND that follows from it.
    pub fn challenge(&mut self, what: &Challenge) -> Vec<u8> {
        self.sqn += 0x20;
        let rand = self.rand();
        let sqn = Sqn::new(self.sqn).expect("the tests count from a low SQN");
        let amf = Amf::new([u8::from(what.separation_bit) << 7, 0]);
        let out = self.milenage.f2345(&Rand::new(rand));
        let concealed = out.ak.conceal(sqn);
        let mac_a = self.milenage.f1(&Rand::new(rand), sqn, amf);
        let mut autn = *Autn::from_parts(concealed, amf, &mac_a).as_bytes();
        autn[15] ^= u8::from(what.wrong_autn);
        self.last = (rand, autn);
        let name = what.network_name.unwrap_or_default().as_bytes();
        let session = Session::full(
            what.method,
            &self.milenage,
            &Agreement {
                rand,
                sqn_xor_ak: concealed,
                network_name: if name.is_empty() { b"WLAN" } else { name },
                identity: &self.identity,
                shared_secret: None,
            },
        );

        let mut secret = Vec::new();
        secret.extend(
            what.next_pseudonym
                .map(|id| Attribute::NextPseudonym(id.as_bytes())),
        );
        secret.extend(
            what.next_reauth_id
                .map(|id| Attribute::NextReauthId(id.as_bytes())),
        );
        let encrypted = session.encrypt_some(&secret);
        let key = what.group.map(|group| private_key(group).public_key());

        let mut attributes = vec![Attribute::Rand(&rand), Attribute::Autn(&autn)];
        attributes.extend(what.kdfs.iter().map(|kdf| Attribute::Kdf(*kdf)));
        let name = what.network_name.map(str::as_bytes);
        attributes.extend(name.map(Attribute::KdfInput));
        attributes.extend(what.kdfs_fs.iter().map(|kdf| Attribute::KdfFs(*kdf)));
        attributes.extend(key.as_ref().map(|key| Attribute::PubEcdhe(key.as_bytes())));
        attributes.extend(encrypted.as_deref().map(|_| Attribute::Iv(&IV)));
        attributes.extend(encrypted.as_deref().map(Attribute::EncrData));
        attributes.extend(what.checkcode.as_deref().map(Attribute::Checkcode));
        attributes.extend(what.result_ind.then_some(Attribute::ResultInd));
        attributes.extend(&what.extra);
        attributes.push(Attribute::Mac(&[0; 16]));
        attributes.retain(|attribute| Some(attribute.kind()) != what.omitted);
        let draft = request_of(
            what.method,
            what.identifier,
            Subtype::Challenge,
            &attributes,
        );
        let packet = under_mac(&session, draft, what.wrong_mac);
        self.session = Some(session);
        packet
    }

    fn rand(&self) -> [u8; 16] {
        std::array::from_fn(|i| self.sqn as u8 ^ i as u8)
    }

    /// A re-authentication under the keys of the session, whose identity is the one to be used up.
    pub fn reauthentication(&mut self, what: &Reauthentication) -> Vec<u8> {
        let full = self.session.as_ref().expect("a success went before");
        let mut secret = vec![
            Attribute::Counter(what.counter),
            Attribute::NonceS(&what.nonce_s),
        ];
        secret.extend(
            what.next_reauth_id
                .map(|id| Attribute::NextReauthId(id.as_bytes())),
        );
        let data = full.encrypt(&IV, &secret);
        let mut attributes = vec![Attribute::Iv(&IV), Attribute::EncrData(&data)];
        attributes.extend(what.checkcode.as_deref().map(Attribute::Checkcode));
        attributes.extend(what.result_ind.then_some(Attribute::ResultInd));
        attributes.push(Attribute::Mac(&[0; 16]));
        attributes.retain(|attribute| Some(attribute.kind()) != what.omitted);
        let draft = request_of(
            full.method,
            what.identifier,
            Subtype::Reauthentication,
            &attributes,
        );
        let session = full.reauthenticated(&self.identity, what.counter, what.nonce_s);
        let packet = under_mac(&session, draft, what.wrong_mac);
        self.session = Some(session);
        packet
    }

    /// A notification under AT_MAC, with the keys of the last challenge or re-authentication, and
    /// the counter of the latter.
    pub fn notification(&self, identifier: u8, code: u16) -> Vec<u8> {
        self.notification_with(identifier, code, self.session().counter)
    }

    pub fn notification_with(&self, identifier: u8, code: u16, counter: Option<u16>) -> Vec<u8> {
        let session = self.session();
        let data = counter.map(|counter| session.encrypt(&IV, &[Attribute::Counter(counter)]));
        let mut attributes = vec![Attribute::Notification(code)];
        attributes.extend(data.as_deref().map(|_| Attribute::Iv(&IV)));
        attributes.extend(data.as_deref().map(Attribute::EncrData));
        attributes.push(Attribute::Mac(&[0; 16]));
        let draft = request_of(
            session.method,
            identifier,
            Subtype::Notification,
            &attributes,
        );
        under_mac(session, draft, false)
    }

    /// Adds an identity round to the checkcode.
    pub fn round(&mut self, request: &[u8], response: &[u8]) {
        self.rounds.extend(request);
        self.rounds.extend(response);
    }

    /// A new conversation begins.
    pub fn forget_rounds(&mut self) {
        self.rounds.clear();
    }

    pub fn checkcode(&self) -> Vec<u8> {
        Sha256::digest(&self.rounds).to_vec()
    }

    pub fn checkcode_of_aka(&self) -> Vec<u8> {
        Sha1::digest(&self.rounds).to_vec()
    }

    pub fn session(&self) -> &Session {
        self.session.as_ref().expect("a challenge went before")
    }

    /// The MSK after the peer's half of the ephemeral key exchange came, for the last challenge on
    /// this network.
    pub fn forward_secret_msk(&self, response: &[u8], group: Group, name: &str) -> Vec<u8> {
        let packet = Packet::parse(response).expect("the peer sends EAP");
        let message = packet.aka().expect("the peer sends the method");
        let theirs = group.public_key(message.pub_ecdhe().expect("AT_PUB_ECDHE"));
        let secret = private_key(group).agree(theirs.expect("a key of the group"));
        let (rand, autn) = self.last;
        let agreement = Agreement {
            rand,
            sqn_xor_ak: Autn::new(autn).sqn_xor_ak(),
            network_name: name.as_bytes(),
            identity: &self.identity,
            shared_secret: Some(secret.expect("a good key")),
        };
        Session::full(Method::AkaPrime, &self.milenage, &agreement).msk
    }

    /// SQN_MS out of AUTS, if its MAC-S is right for the last challenge's RAND.
    pub fn resynchronise(&mut self, auts: &[u8; 14]) -> bool {
        let rand = Rand::new(self.rand());
        let concealed = auts[..6].try_into().expect("six of them were taken");
        let ms = self
            .milenage
            .f5_star(&rand)
            .reveal(SqnXorAk::new(concealed));
        let right =
            self.milenage.f1_star(&rand, ms, Amf::RESYNCHRONISATION) == Auts::new(*auts).mac_s();
        self.sqn = ms.value();
        right
    }
}

impl Session {
    fn encrypt_some(&self, attributes: &[Attribute<'_>]) -> Option<Vec<u8>> {
        (!attributes.is_empty()).then(|| self.encrypt(&IV, attributes))
    }
}

fn under_mac(session: &Session, draft: Draft, wrong: bool) -> Vec<u8> {
    let mut mac = session.mac(draft.bytes());
    mac[0] ^= u8::from(wrong);
    draft.with_mac(&mac)
}

fn private_key(group: Group) -> PrivateKey {
    PrivateKey::from_octets(group, &[0x17; 32]).expect("a key of either group")
}
