//! A SIM in the test's own process, which answers the peer as keyd does, and its home network's
//! AuC.

use std::collections::VecDeque;

use softsim_aka::agreement::{Group, PrivateKey, PublicKey};
use softsim_aka::{Amf, Autn, Credentials, Functions, KAusf, Msk, Rand, SharedSecret, Sqn};
use softsim_eap::{
    Answer, Ask, ChallengeAnswer, Identity, IdentityKind, IdentityRequest, Method, Nai,
    ReauthenticationAnswer,
};
use softsim_eap_packet::{AkaMessage, Attribute, Packet, parse_encrypted};
use softsim_lab_aka::Agreement;
use softsim_lab_simulators::auc::{Auc, Subscriber};
use softsim_sandbox::random::SystemRng;
use softsim_usim::{
    AuthenticationFailure, HomeNetworkKey, IdentityPrefix, Imsi, MncLength, Realm, SeparationBit,
    SqnParameters, SqnState,
};

use crate::home_network;
use crate::session::{Next, Round, Session};

/// The IMSI of a SIM unless a test sets another.
pub const IMSI: &str = "001010000000001";
/// Its permanent identity for EAP-AKA'.
pub const NAI: &str = "6001010000000001@wlan.mnc001.mcc001.3gppnetwork.org";

/// When the SIM reveals the permanent identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permanent {
    /// At each request.
    Always,
    /// As long as the SIM has no pseudonym.
    WithoutPseudonym,
    /// Never.
    Never,
}

/// A SIM that answers the peer.
pub struct Sim {
    algorithm: Functions,
    /// Its IMSI.
    pub imsi: Imsi,
    /// The sequence numbers that it has accepted.
    pub usim: SqnState,
    /// The realm of its identities.
    pub realm: Realm,
    /// When it reveals the permanent identity.
    pub permanent: Permanent,
    /// The home network's public key and its identifier. Without one, the SIM's SUCI uses the null
    /// scheme.
    pub suci_key: Option<(u8, PublicKey)>,
    /// The pseudonym, which is a username or a whole NAI, and the method in which the server gave
    /// it.
    pub pseudonym: Option<(Method, String)>,
    /// The context of the next fast re-authentication.
    pub reauthentication: Option<Context>,
    /// The IVs of the next encryptions. When it is empty, IVs are random.
    pub ivs: VecDeque<[u8; 16]>,
    /// The kinds of identity that the peer requested, in order.
    pub wanted: Vec<IdentityRequest>,
    /// The kinds of identity that the SIM gave, in order.
    pub shown: Vec<IdentityKind>,
    /// The identity from which the SIM last derived keys.
    pub identity: Vec<u8>,
    /// How often the peer asked for AKA.
    pub runs: usize,
    /// How many challenges and re-authentications the SIM verified.
    pub verified: usize,
    /// The keys of the last challenge or re-authentication that the SIM answered.
    pub session: Option<Session>,
    next: Next,
}

/// A re-authentication context: the keys from which a fast re-authentication continues.
pub struct Context {
    /// The re-authentication identity, which the SIM shows once.
    pub identity: String,
    shown: bool,
    session: Session,
}

impl Sim {
    /// The SIM whose AuC is [`home`], which has accepted SQNs up to `floor`.
    pub fn new(floor: u64) -> Self {
        Self::with(&milenage(0x46), floor)
    }

    /// A SIM with these credentials.
    pub fn with(credentials: &Credentials, floor: u64) -> Self {
        Self {
            algorithm: credentials.functions(),
            imsi: Imsi::new(IMSI.as_bytes(), MncLength::Two).unwrap(),
            usim: up_to(floor),
            realm: Realm::Wlan,
            permanent: Permanent::WithoutPseudonym,
            suci_key: None,
            pseudonym: None,
            reauthentication: None,
            ivs: VecDeque::new(),
            wanted: Vec::new(),
            shown: Vec::new(),
            identity: Vec::new(),
            runs: 0,
            verified: 0,
            session: None,
            next: Next::default(),
        }
    }

    /// The MSK of the last challenge or re-authentication that the SIM answered.
    pub fn msk(&self) -> &Msk {
        &self.session.as_ref().unwrap().msk
    }

    /// The K_AUSF of the last challenge, if it has one.
    pub fn k_ausf(&self) -> Option<&KAusf> {
        self.session.as_ref()?.k_ausf.as_ref()
    }

    /// Whether the SIM has answered any challenge or re-authentication.
    pub fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Stores the identities that the server gave. The test calls this after the peer accepted
    /// EAP-Success.
    pub fn confirm(&mut self) {
        let Some(session) = &self.session else {
            return;
        };
        let next = std::mem::take(&mut self.next);
        if let Some(name) = next.pseudonym {
            self.pseudonym = Some((session.keys.method(), name));
        }
        self.reauthentication = next.reauthentication.map(|identity| Context {
            identity,
            shown: false,
            session: session.clone(),
        });
    }

    /// Answers a request of the peer.
    pub fn answer(&mut self, ask: &Ask) -> Answer {
        match ask {
            Ask::Identity {
                method,
                any_method,
                wanted,
                ..
            } => self.identity(*method, *any_method, *wanted),
            Ask::Challenge {
                method,
                packet,
                identity,
                group,
                refuse_separation_bit,
            } => {
                let separation_bit = match (method, refuse_separation_bit) {
                    (Method::AkaPrime, _) => SeparationBit::Required,
                    (Method::Aka, true) => SeparationBit::Forbidden,
                    (Method::Aka, false) => SeparationBit::NotRequired,
                };
                self.runs += 1;
                let packet = Packet::parse(packet).unwrap();
                let message = packet.aka().unwrap();
                let answer = self.challenge(*method, &message, identity, *group, separation_bit);
                Answer::Challenge(answer.unwrap_or_else(|refused| refused))
            }
            Ask::Reauthentication {
                packet, identity, ..
            } => {
                let packet = Packet::parse(packet).unwrap();
                let message = packet.aka().unwrap();
                let answer = self.reauthenticate(&message, identity);
                Answer::Reauthentication(answer.unwrap_or(ReauthenticationAnswer::Invalid))
            }
            Ask::Verify { packet } => Answer::Verify(self.verify(packet)),
            Ask::EncryptedCounter => self.encrypted_counter(),
            Ask::Mac { packet } => match &self.session {
                Some(session) => Answer::Mac(session.at_mac(packet)),
                None => Answer::Unavailable,
            },
        }
    }

    fn identity(&mut self, method: Method, any_method: bool, wanted: IdentityRequest) -> Answer {
        self.wanted.push(wanted);
        let shown = match wanted {
            IdentityRequest::Any => (self.context((!any_method).then_some(method)))
                .or_else(|| self.pseudonym(method))
                .or_else(|| self.permanent(method)),
            IdentityRequest::FullAuthentication => {
                (self.pseudonym(method)).or_else(|| self.permanent(method))
            }
            IdentityRequest::Permanent => self.permanent(method),
            IdentityRequest::Anonymous => {
                let nai = self.imsi.anonymous_identity(self.realm);
                Some((nai.as_str().to_owned(), IdentityKind::Anonymous))
            }
            IdentityRequest::Suci => Some(self.suci()),
        };
        let Some((nai, kind)) = shown else {
            return Answer::Withheld;
        };
        self.shown.push(kind);
        let nai = Nai::new(nai).unwrap();
        Answer::Identity(Identity { nai, kind })
    }

    fn context(&mut self, of: Option<Method>) -> Option<(String, IdentityKind)> {
        let context = self.reauthentication.as_mut()?;
        let fits = of.is_none_or(|method| context.session.keys.method() == method);
        if context.shown || !fits {
            return None;
        }
        context.shown = true;
        Some((context.identity.clone(), IdentityKind::Reauthentication))
    }

    fn pseudonym(&self, method: Method) -> Option<(String, IdentityKind)> {
        let (_, name) = self.pseudonym.as_ref().filter(|(of, _)| *of == method)?;
        let nai = match name.contains('@') {
            true => name.clone(),
            false => format!(
                "{name}@{}",
                self.imsi.anonymous_identity(self.realm).realm()
            ),
        };
        Some((nai, IdentityKind::Pseudonym))
    }

    fn permanent(&self, method: Method) -> Option<(String, IdentityKind)> {
        match self.permanent {
            Permanent::Always => {}
            Permanent::WithoutPseudonym if self.pseudonym(method).is_none() => {}
            Permanent::WithoutPseudonym | Permanent::Never => return None,
        }
        let prefix = match method {
            Method::Aka => IdentityPrefix::Aka,
            Method::AkaPrime => IdentityPrefix::AkaPrime,
        };
        let nai = self.imsi.permanent_identity(prefix, self.realm);
        Some((nai.as_str().to_owned(), IdentityKind::Permanent))
    }

    fn suci(&self) -> (String, IdentityKind) {
        let Some((id, public_key)) = &self.suci_key else {
            let nai = self.imsi.null_suci("0", self.realm).unwrap();
            return (nai.as_str().to_owned(), IdentityKind::NullSuci);
        };
        let key = HomeNetworkKey {
            id: *id,
            octets: public_key.as_bytes(),
        };
        let ephemeral = PrivateKey::generate(public_key.group(), &mut SystemRng);
        let nai = self.imsi.suci("0", key, &ephemeral, self.realm).unwrap();
        (nai.as_str().to_owned(), IdentityKind::Suci)
    }

    fn challenge(
        &mut self,
        method: Method,
        message: &AkaMessage<'_>,
        identity: &[u8],
        group: Option<Group>,
        separation_bit: SeparationBit,
    ) -> Result<ChallengeAnswer, ChallengeAnswer> {
        let (Some(rand), Some(autn)) = (message.rand(), message.autn()) else {
            return Err(ChallengeAnswer::AutnRejected);
        };
        let (rand, autn) = (Rand::new(*rand), Autn::new(*autn));
        let checked = self
            .usim
            .check(&self.algorithm, &rand, &autn, separation_bit);
        let verified = checked.map_err(|failure| match failure {
            AuthenticationFailure::SyncFailure(auts) => {
                ChallengeAnswer::SyncFailure(*auts.as_bytes())
            }
            _ => ChallengeAnswer::AutnRejected,
        })?;
        let ephemeral = group.map(|group| PrivateKey::generate(group, &mut SystemRng));
        let shared_secret = match &ephemeral {
            Some(ephemeral) => Some(agreed(ephemeral, message)?),
            None => None,
        };
        let network_name = message.kdf_input().unwrap_or_default();
        self.identity = identity.to_vec();
        let agreement = Agreement {
            ck: &verified.ck,
            ik: &verified.ik,
            sqn_xor_ak: verified.sqn_xor_ak,
            network_name,
            identity: match network_name.starts_with(b"5G:") {
                true => self.imsi.digits().as_bytes(),
                false => identity,
            },
            shared_secret: shared_secret.as_ref(),
        };
        let session = Session::full(agreement.keys(method), network_name);
        if !session.keys.authentic(message, &[]) {
            return Err(ChallengeAnswer::MacInvalid);
        }
        self.usim.accept(&verified).unwrap();
        self.verified += 1;
        self.next = Next::of(&session.keys, message);
        self.session = Some(session);
        Ok(ChallengeAnswer::Success {
            res: verified.res.as_bytes().to_vec(),
            res_bits: verified.res.bits(),
            public_key: ephemeral.map(|key| key.public_key().as_bytes().to_vec()),
        })
    }

    fn reauthenticate(
        &mut self,
        message: &AkaMessage<'_>,
        identity: &[u8],
    ) -> Option<ReauthenticationAnswer> {
        let Context {
            identity: given,
            session,
            ..
        } = self.reauthentication.take()?;
        self.identity = identity.to_vec();
        if given.as_bytes() != identity || !session.keys.authentic(message, &[]) {
            return None;
        }
        let counter = session.keys.counter_in(message)?;
        let round = Round {
            counter,
            nonce_s: nonce_s_in(&session, message)?,
            too_small: counter <= session.round.map_or(0, |last| last.counter),
        };
        self.next = Next::of(&session.keys, message);
        self.session = Some(session.reauthenticated(identity, round));
        if round.too_small {
            return Some(ReauthenticationAnswer::CounterTooSmall);
        }
        self.verified += 1;
        Some(ReauthenticationAnswer::Fresh {
            nonce_s: round.nonce_s,
        })
    }

    fn verify(&self, octets: &[u8]) -> bool {
        let Some(session) = &self.session else {
            return false;
        };
        let counter = session.round.map(|round| (round.counter, false));
        session.verifies(octets) && (counter.is_none() || session.counter_in(octets) == counter)
    }

    fn encrypted_counter(&mut self) -> Answer {
        let Some((session, round)) = self.session.as_ref().and_then(|s| Some((s, s.round?))) else {
            return Answer::Unavailable;
        };
        let mut inside = vec![Attribute::Counter(round.counter)];
        inside.extend(round.too_small.then_some(Attribute::CounterTooSmall));
        let (iv, data) = match self.ivs.pop_front() {
            Some(iv) => (iv, session.keys.encrypt_with(&iv, &inside)),
            None => session.keys.encrypt(&inside),
        };
        Answer::Encrypted { iv, data }
    }
}

/// The sequence number state of a USIM whose highest SQN is this.
pub fn up_to(sqn: u64) -> SqnState {
    SqnState::new(SqnParameters::default(), Sqn::new(sqn).unwrap()).unwrap()
}

fn agreed(
    ephemeral: &PrivateKey,
    message: &AkaMessage<'_>,
) -> Result<SharedSecret, ChallengeAnswer> {
    let theirs = (message.pub_ecdhe()).and_then(|value| ephemeral.group().public_key(value));
    theirs
        .and_then(|theirs| ephemeral.agree(theirs).ok())
        .ok_or(ChallengeAnswer::PublicKeyInvalid)
}

fn nonce_s_in(session: &Session, message: &AkaMessage<'_>) -> Option<[u8; 16]> {
    let data = session.keys.decrypted(message)?;
    let inside = parse_encrypted(&data).ok()?;
    inside.iter().find_map(|attribute| match attribute {
        Attribute::NonceS(nonce_s) => Some(**nonce_s),
        _ => None,
    })
}

/// Milenage's credentials with a K of 16 equal octets.
pub fn milenage(k: u8) -> Credentials {
    home_network::milenage([k; 16], [0xcd; 16])
}

/// [`auc_of`] with the credentials of [`milenage`].
pub fn auc(k: u8, amf: [u8; 2]) -> Auc {
    auc_of(&milenage(k), amf)
}

/// An AuC with one subscriber, whose RANDs count up.
pub fn auc_of(credentials: &Credentials, amf: [u8; 2]) -> Auc {
    let mut count = 0u8;
    let mut auc = Auc::new(move |octets| {
        count = count.wrapping_add(1);
        octets.fill(count);
    });
    let subscriber = Subscriber::new(credentials, Amf::new(amf), Sqn::default(), 5);
    auc.insert(IMSI, subscriber);
    auc
}

/// The AuC of the SIMs that [`Sim::new`] makes.
pub fn home() -> Auc {
    auc(0x46, [0x80, 0])
}
