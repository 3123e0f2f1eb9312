//! What the key process is to the peer: keys, counters and identities.

use std::collections::VecDeque;

use softsim_aka::agreement::PrivateKey;
use softsim_aka::{AlgorithmSet, Amf, Autn, Auts, Milenage, Rand, Sqn};
use softsim_eap::{
    Answer, Ask, ChallengeAnswer, Group, IdentityKind, IdentityRequest, Method,
    ReauthenticationAnswer,
};
use softsim_eap_packet::{AkaMessage, Attribute, Packet, parse_encrypted};

use super::session::{Agreement, Session};
use super::{REALM, identity, milenage};

/// What a server gave for next time.
#[derive(Clone, Default)]
pub struct Next {
    pub pseudonym: Option<String>,
    pub reauthentication: Option<String>,
}

/// Checks AUTN, then AT_MAC, and only then gives RES and keeps SQN and keys.
pub struct Sim {
    milenage: Milenage,
    pub imsi: String,
    /// The highest SQN accepted.
    pub sqn: u64,
    /// Times that AKA was asked for.
    pub runs: usize,
    /// Times that a challenge or a re-authentication was found good.
    pub verified: usize,
    /// The identity of the last derivation.
    pub identity: Vec<u8>,
    pub session: Option<Session>,
    next: Next,
    /// After a success: what the server will know us by.
    pub known: Next,
    /// What the next re-authentication starts from.
    context: Option<Session>,
    /// The permanent identity isn't given.
    pub conservative: bool,
    /// There is no key of the home network to conceal the IMSI with.
    pub null_scheme: bool,
    /// Identities asked for.
    pub wanted: Vec<IdentityRequest>,
    /// Of the next encryptions; else one that is always the same.
    pub ivs: VecDeque<[u8; 16]>,
}

impl Sim {
    pub fn new(k_opc: [[u8; 16]; 2]) -> Self {
        Sim {
            milenage: milenage(k_opc),
            imsi: super::IMSI.to_owned(),
            sqn: 0,
            runs: 0,
            verified: 0,
            identity: Vec::new(),
            session: None,
            next: Next::default(),
            known: Next::default(),
            context: None,
            conservative: false,
            null_scheme: false,
            wanted: Vec::new(),
            ivs: VecDeque::new(),
        }
    }

    pub fn answer(&mut self, ask: &Ask) -> Answer {
        match ask {
            Ask::Identity { method, wanted } => self.who(*method, *wanted),
            Ask::Challenge {
                method,
                packet,
                identity,
                group,
                refuse_separation_bit,
            } => {
                self.runs += 1;
                self.identity = identity.clone();
                let refused = refuse_separation_bit.then_some(true);
                let refused = (*method == Method::AkaPrime).then_some(false).or(refused);
                Answer::Challenge(self.challenge(*method, packet, *group, refused))
            }
            Ask::Reauthentication {
                packet, identity, ..
            } => {
                self.identity = identity.clone();
                Answer::Reauthentication(self.reauthentication(packet))
            }
            Ask::Verify { packet } => Answer::Verify(self.verify(packet)),
            Ask::EncryptedCounter => self.encrypted_counter(),
            Ask::Mac { packet } => match &self.session {
                Some(session) => Answer::Mac(session.mac(packet)),
                None => Answer::Unavailable,
            },
        }
    }

    fn who(&mut self, method: Method, wanted: IdentityRequest) -> Answer {
        self.wanted.push(wanted);
        let prefix = match method {
            Method::Aka => '0',
            Method::AkaPrime => '6',
        };
        let permanent = format!("{prefix}{}@{REALM}", self.imsi);
        let reauthentication = match wanted {
            // Given once.
            IdentityRequest::Any => self.known.reauthentication.take(),
            _ => None,
        };
        let pseudonym = match wanted {
            IdentityRequest::Any | IdentityRequest::FullAuthentication => {
                self.known.pseudonym.clone()
            }
            _ => None,
        };
        Answer::Identity(match (wanted, reauthentication, pseudonym) {
            (_, Some(id), _) => identity(&id, IdentityKind::Reauthentication),
            (_, None, Some(id)) => identity(&id, IdentityKind::Pseudonym),
            (IdentityRequest::Anonymous, ..) => identity(super::ANONYMOUS, IdentityKind::Anonymous),
            (IdentityRequest::Suci, ..) if self.null_scheme => identity(
                &format!("type0.rid0.schid0.userid{}@{REALM}", &self.imsi[5..]),
                IdentityKind::NullSuci,
            ),
            (IdentityRequest::Suci, ..) => identity(
                &format!("type0.rid0.schid1.userid@{REALM}"),
                IdentityKind::Suci,
            ),
            _ if self.conservative => return Answer::Withheld,
            _ => identity(&permanent, IdentityKind::Permanent),
        })
    }

    /// `refused` is the value of the separation bit that counts as a wrong AUTN.
    fn challenge(
        &mut self,
        method: Method,
        octets: &[u8],
        group: Option<Group>,
        refused: Option<bool>,
    ) -> ChallengeAnswer {
        let packet = Packet::parse(octets).expect("the peer asks about what it could read");
        let message = packet
            .aka()
            .expect("the peer asks about what it could read");
        let (Some(rand), Some(autn)) = (message.rand(), message.autn()) else {
            return ChallengeAnswer::AutnRejected;
        };
        let (rand, autn) = (Rand::new(*rand), Autn::new(*autn));
        let out = self.milenage.f2345(&rand);
        let sqn = out.ak.reveal(autn.sqn_xor_ak());
        if self.milenage.f1(&rand, sqn, autn.amf()) != autn.mac_a()
            || Some(autn.amf().separation_bit()) == refused
        {
            return ChallengeAnswer::AutnRejected;
        }
        if sqn.value() <= self.sqn {
            return ChallengeAnswer::SyncFailure(self.auts(&rand));
        }
        let (public_key, shared_secret) = match group.map(|group| agree(group, &message)) {
            Some(Some((public, secret))) => (Some(public), Some(secret)),
            Some(None) => return ChallengeAnswer::PublicKeyInvalid,
            None => (None, None),
        };
        let session = Session::full(
            method,
            &self.milenage,
            &Agreement {
                rand: *rand.as_bytes(),
                sqn_xor_ak: autn.sqn_xor_ak(),
                network_name: message.kdf_input().unwrap_or_default(),
                identity: &self.identity,
                shared_secret,
            },
        );
        if !session.verifies(octets) {
            return ChallengeAnswer::MacInvalid;
        }
        self.sqn = sqn.value();
        self.verified += 1;
        self.next = next(&session.decrypt(octets));
        self.session = Some(session);
        ChallengeAnswer::Success {
            res: out.res.as_bytes().to_vec(),
            res_bits: out.res.bits(),
            public_key,
        }
    }

    fn auts(&self, rand: &Rand) -> [u8; 14] {
        let ms = Sqn::new(self.sqn).expect("an SQN that was accepted has 48 bits");
        let mac_s = self.milenage.f1_star(rand, ms, Amf::RESYNCHRONISATION);
        let concealed = self.milenage.f5_star(rand).conceal(ms);
        *Auts::from_parts(concealed, &mac_s).as_bytes()
    }

    fn reauthentication(&mut self, octets: &[u8]) -> ReauthenticationAnswer {
        let Some(context) = self.context.take().filter(|c| c.verifies(octets)) else {
            return ReauthenticationAnswer::Invalid;
        };
        let plaintext = context.decrypt(octets);
        let attributes = parse_encrypted(&plaintext).unwrap_or_default();
        let nonce_s = attributes.iter().find_map(|attribute| match attribute {
            Attribute::NonceS(nonce_s) => Some(**nonce_s),
            _ => None,
        });
        let (Some(nonce_s), Some((counter, _))) = (nonce_s, context.counter_in(octets)) else {
            return ReauthenticationAnswer::Invalid;
        };
        let mut session = context.reauthenticated(&self.identity, counter, nonce_s);
        if counter <= context.counter.unwrap_or(0) {
            session.counter_too_small = true;
            self.session = Some(session);
            return ReauthenticationAnswer::CounterTooSmall;
        }
        self.verified += 1;
        self.next = next(&plaintext);
        self.session = Some(session);
        ReauthenticationAnswer::Fresh { nonce_s }
    }

    fn verify(&self, octets: &[u8]) -> bool {
        let Some(session) = &self.session else {
            return false;
        };
        let counter = session.counter.map(|counter| (counter, false));
        session.verifies(octets) && (counter.is_none() || session.counter_in(octets) == counter)
    }

    fn encrypted_counter(&mut self) -> Answer {
        let iv = self.ivs.pop_front().unwrap_or([0x77; 16]);
        let Some((session, counter)) = self.session.as_ref().and_then(|s| Some((s, s.counter?)))
        else {
            return Answer::Unavailable;
        };
        let mut attributes = vec![Attribute::Counter(counter)];
        attributes.extend(
            session
                .counter_too_small
                .then_some(Attribute::CounterTooSmall),
        );
        let data = session.encrypt(&iv, &attributes);
        Answer::Encrypted { iv, data }
    }

    /// EAP-Success was believed: what the server gave becomes what it will know us by.
    pub fn confirm(&mut self) {
        let next = std::mem::take(&mut self.next);
        self.known.pseudonym = next.pseudonym.or(self.known.pseudonym.take());
        self.known.reauthentication = next.reauthentication;
        self.context = self.session.clone();
    }
}

fn agree(group: Group, message: &AkaMessage<'_>) -> Option<(Vec<u8>, softsim_aka::SharedSecret)> {
    let theirs = group.public_key(message.pub_ecdhe()?)?;
    let key = PrivateKey::from_octets(group, &[0x42; 32]).ok()?;
    let secret = key.agree(theirs).ok()?;
    Some((key.public_key().as_bytes().to_vec(), secret))
}

fn next(plaintext: &[u8]) -> Next {
    let mut next = Next::default();
    for attribute in parse_encrypted(plaintext).unwrap_or_default() {
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).ok();
        match attribute {
            Attribute::NextPseudonym(id) => next.pseudonym = text(id),
            Attribute::NextReauthId(id) => next.reauthentication = text(id),
            _ => {}
        }
    }
    next
}
