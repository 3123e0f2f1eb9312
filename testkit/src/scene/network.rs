//! The home network: AuC and EAP server, which send one request at a time.

use softsim_aka::agreement::PrivateKey;
use softsim_aka::{AlgorithmSet, Amf, Autn, Functions, Msk, Rand, SharedSecret, Sqn, SqnXorAk};
use softsim_eap::{Group, Method};
use softsim_eap_packet::{Attribute, Draft, Kind, Packet, Subtype};
use softsim_lab_simulators::eap_server::identity::IdentityMessages;

use super::{IDENTITY, credentials, request_of};
use crate::authentication_vector::{Vector, sqn_ms};
use crate::session::{Agreement, Round, Session};

/// The contents of a challenge. The default is valid; each test changes the fields that it tests.
#[derive(Clone)]
pub struct Challenge {
    /// EAP-AKA or EAP-AKA'.
    pub method: Method,
    /// The packet's identifier.
    pub identifier: u8,
    /// The values of AT_KDF.
    pub kdfs: Vec<u16>,
    /// AT_KDF_INPUT.
    pub network_name: Option<&'static str>,
    /// The values of AT_KDF_FS.
    pub kdfs_fs: Vec<u16>,
    /// The group of AT_PUB_ECDHE, if the challenge has this attribute.
    pub group: Option<Group>,
    /// AT_CHECKCODE.
    pub checkcode: Option<Vec<u8>>,
    /// Whether it has AT_RESULT_IND.
    pub result_ind: bool,
    /// AMF's separation bit.
    pub separation_bit: bool,
    /// AT_NEXT_PSEUDONYM.
    pub next_pseudonym: Option<&'static str>,
    /// AT_NEXT_REAUTH_ID.
    pub next_reauth_id: Option<&'static str>,
    /// The attribute that is left out.
    pub omitted: Option<Kind>,
    /// Additional attributes.
    pub extra: Vec<Attribute<'static>>,
    /// Whether AUTN's MAC is made with another K.
    pub wrong_autn: bool,
    /// Whether AT_MAC is made with another key.
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
    /// A challenge of EAP-AKA, which negotiates nothing.
    pub fn aka() -> Self {
        Challenge {
            method: Method::Aka,
            kdfs: Vec::new(),
            network_name: None,
            separation_bit: false,
            ..Challenge::default()
        }
    }

    /// A challenge that offers forward secrecy with these groups and a public key of the first
    /// group.
    pub fn forward_secret(groups: &[Group]) -> Self {
        Challenge {
            kdfs_fs: groups.iter().map(|group| group.number()).collect(),
            group: groups.first().copied(),
            ..Challenge::default()
        }
    }
}

/// The contents of a re-authentication request. The default is valid.
#[derive(Clone)]
pub struct Reauthentication {
    /// The packet's identifier.
    pub identifier: u8,
    /// AT_COUNTER.
    pub counter: u16,
    /// AT_NONCE_S.
    pub nonce_s: [u8; 16],
    /// AT_NEXT_REAUTH_ID.
    pub next_reauth_id: Option<&'static str>,
    /// AT_CHECKCODE.
    pub checkcode: Option<Vec<u8>>,
    /// Whether it has AT_RESULT_IND.
    pub result_ind: bool,
    /// The attribute that is left out.
    pub omitted: Option<Kind>,
    /// Whether AT_MAC is made with another key.
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

/// The home network of a scene's SIM.
pub struct Network {
    algorithm: Functions,
    /// The last challenge's SQN.
    pub sqn: u64,
    /// The identity from which the keys are derived.
    pub identity: Vec<u8>,
    /// The keys of the last challenge or re-authentication.
    pub session: Option<Session>,
    /// RAND and AUTN of the last challenge.
    pub last: ([u8; 16], [u8; 16]),
    rounds: Vec<u8>,
}

const IV: [u8; 16] = [0x33; 16];

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// A network that has sent no challenge yet.
    pub fn new() -> Self {
        Network {
            algorithm: credentials().functions(),
            sqn: 0x20,
            identity: IDENTITY.into(),
            session: None,
            last: ([0; 16], [0; 16]),
            rounds: Vec::new(),
        }
    }

    /// Makes the next challenge, with a new SQN and a RAND that depends on it.
    pub fn challenge(&mut self, what: &Challenge) -> Vec<u8> {
        self.sqn += 0x20;
        let rand = self.rand();
        let sqn = Sqn::new(self.sqn).expect("the tests count from a low SQN");
        let amf = Amf::new([u8::from(what.separation_bit) << 7, 0]);
        let vector = Vector::new(&self.algorithm, &Rand::new(rand), sqn, amf);
        let mut autn = *vector.autn.as_bytes();
        autn[15] ^= u8::from(what.wrong_autn);
        self.last = (rand, autn);
        let name = what.network_name.unwrap_or_default().as_bytes();
        let name = if name.is_empty() { b"WLAN" } else { name };
        let session = self.derive(what.method, &rand, vector.sqn_xor_ak, name, None);

        let mut secret = Vec::new();
        secret.extend(
            what.next_pseudonym
                .map(|id| Attribute::NextPseudonym(id.as_bytes())),
        );
        secret.extend(
            what.next_reauth_id
                .map(|id| Attribute::NextReauthId(id.as_bytes())),
        );
        let encrypted = (!secret.is_empty()).then(|| session.keys.encrypt_with(&IV, &secret));
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

    fn derive(
        &self,
        method: Method,
        rand: &[u8; 16],
        sqn_xor_ak: SqnXorAk,
        network_name: &[u8],
        shared_secret: Option<SharedSecret>,
    ) -> Session {
        let out = self.algorithm.f2345(&Rand::new(*rand));
        let agreement = Agreement {
            ck: &out.ck,
            ik: &out.ik,
            sqn_xor_ak,
            network_name,
            identity: &self.identity,
            shared_secret,
        };
        Session::full(method, &agreement)
    }

    fn rand(&self) -> [u8; 16] {
        std::array::from_fn(|i| self.sqn as u8 ^ i as u8)
    }

    /// A re-authentication request under the session's keys. Its identity is the re-authentication
    /// identity that the peer showed.
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
        let data = full.keys.encrypt_with(&IV, &secret);
        let mut attributes = vec![Attribute::Iv(&IV), Attribute::EncrData(&data)];
        attributes.extend(what.checkcode.as_deref().map(Attribute::Checkcode));
        attributes.extend(what.result_ind.then_some(Attribute::ResultInd));
        attributes.push(Attribute::Mac(&[0; 16]));
        attributes.retain(|attribute| Some(attribute.kind()) != what.omitted);
        let draft = request_of(
            full.keys.method(),
            what.identifier,
            Subtype::Reauthentication,
            &attributes,
        );
        let session = full.reauthenticated(
            &self.identity,
            Round {
                counter: what.counter,
                nonce_s: what.nonce_s,
                too_small: false,
            },
        );
        let packet = under_mac(&session, draft, what.wrong_mac);
        self.session = Some(session);
        packet
    }

    /// A notification with AT_MAC, made with the keys of the last challenge or re-authentication.
    /// After a re-authentication, it has that one's counter.
    pub fn notification(&self, identifier: u8, code: u16) -> Vec<u8> {
        let counter = self.session().round.map(|round| round.counter);
        self.notification_with(identifier, code, counter)
    }

    /// A notification with AT_MAC and this counter.
    pub fn notification_with(&self, identifier: u8, code: u16, counter: Option<u16>) -> Vec<u8> {
        let session = self.session();
        let data = counter.map(|counter| {
            session
                .keys
                .encrypt_with(&IV, &[Attribute::Counter(counter)])
        });
        let mut attributes = vec![Attribute::Notification(code)];
        attributes.extend(data.as_deref().map(|_| Attribute::Iv(&IV)));
        attributes.extend(data.as_deref().map(Attribute::EncrData));
        attributes.push(Attribute::Mac(&[0; 16]));
        let draft = request_of(
            session.keys.method(),
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

    /// Begins a new conversation, whose checkcode covers no identity round yet.
    pub fn forget_rounds(&mut self) {
        self.rounds.clear();
    }

    /// AT_CHECKCODE of EAP-AKA' over the identity rounds.
    pub fn checkcode(&self) -> Vec<u8> {
        self.checkcode_of(Method::AkaPrime)
    }

    /// AT_CHECKCODE of EAP-AKA over the identity rounds.
    pub fn checkcode_of_aka(&self) -> Vec<u8> {
        self.checkcode_of(Method::Aka)
    }

    fn checkcode_of(&self, method: Method) -> Vec<u8> {
        let mut messages = IdentityMessages::default();
        messages.remember(method, &self.rounds);
        messages.checkcode()
    }

    /// The session of the last challenge or re-authentication.
    pub fn session(&self) -> &Session {
        self.session.as_ref().expect("a challenge went before")
    }

    /// Derives the MSK of the last challenge from the peer's public key in its response.
    pub fn forward_secret_msk(&self, response: &[u8], group: Group, name: &str) -> Msk {
        let packet = Packet::parse(response).expect("the peer sends EAP");
        let message = packet.aka().expect("the peer sends the method");
        let theirs = group.public_key(message.pub_ecdhe().expect("AT_PUB_ECDHE"));
        let secret = private_key(group).agree(theirs.expect("a key of the group"));
        let (rand, autn) = self.last;
        self.derive(
            Method::AkaPrime,
            &rand,
            Autn::new(autn).sqn_xor_ak(),
            name.as_bytes(),
            Some(secret.expect("a good key")),
        )
        .msk
    }

    /// Takes SQN_MS from AUTS, and returns whether its MAC-S is valid for the last challenge's
    /// RAND.
    pub fn resynchronise(&mut self, auts: &[u8; 14]) -> bool {
        let ms = sqn_ms(&self.algorithm, &Rand::new(self.rand()), *auts);
        if let Some(ms) = ms {
            self.sqn = ms.value();
        }
        ms.is_some()
    }
}

fn under_mac(session: &Session, draft: Draft, wrong: bool) -> Vec<u8> {
    let mut mac = session.at_mac(draft.bytes());
    mac[0] ^= u8::from(wrong);
    draft.with_mac(&mac)
}

fn private_key(group: Group) -> PrivateKey {
    PrivateKey::from_octets(group, &[0x17; 32]).expect("a key of either group")
}
