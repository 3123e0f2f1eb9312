//! A SIM as keyd would be, in the test's own process, and the home network that it belongs to.

use softsim_aka::agreement::{Group, PrivateKey, PublicKey};
use softsim_aka::kdf::{NetworkName, ck_ik_prime};
use softsim_aka::{
    Amf, Autn, Credentials, Functions, K, KAusf, Msk, NonceS, Opc, Rand, Sqn, fiveg,
};
use softsim_eap::{
    Answer, Ask, ChallengeAnswer, Identity, IdentityKind, IdentityRequest, Method, Nai,
    ReauthenticationAnswer,
};
use softsim_eap_packet::{AkaMessage, Attribute, Packet, parse_encrypted};
use softsim_lab_simulators::auc::{Auc, Subscriber};
use softsim_lab_simulators::eap_server::keys::{Derived, Keys};
use softsim_sandbox::random::SystemRng;
use softsim_usim::{
    AuthenticationFailure, HomeNetworkKey, IdentityPrefix, Imsi, MncLength, Realm, SeparationBit,
    SqnParameters, SqnState, Verified,
};

/// The IMSI of every SIM here.
pub const IMSI: &str = "001010000000001";
/// Its permanent identity for EAP-AKA'.
pub const NAI: &str = "6001010000000001@wlan.mnc001.mcc001.3gppnetwork.org";

/// A SIM that answers the peer's asks.
pub struct Sim {
    algorithm: Functions,
    imsi: Imsi,
    /// The sequence numbers that it has accepted.
    pub usim: SqnState,
    /// What its identities name as the realm.
    pub realm: Realm,
    /// Reveals the permanent identity even where a pseudonym is known.
    pub liberal: bool,
    /// The home network's key, with its identifier; without one, a SUCI conceals nothing.
    pub suci_key: Option<(u8, PublicKey)>,
    /// A username, and the method that gave it.
    pub pseudonym: Option<(Method, String)>,
    /// What the next fast re-authentication continues from.
    pub reauthentication: Option<Context>,
    /// Every identity that it gave to the peer, in order.
    pub shown: Vec<IdentityKind>,
    session: Option<Session>,
}

/// What a fast re-authentication continues from.
pub struct Context {
    /// The identity that the server gave for it.
    pub identity: String,
    /// The last counter that was accepted.
    pub counter: u16,
    keys: Keys,
}

/// The conversation under way.
struct Session {
    keys: Keys,
    msk: Msk,
    k_ausf: Option<KAusf>,
    /// Of a fast re-authentication.
    round: Option<Round>,
    next_pseudonym: Option<String>,
    next_reauthentication: Option<String>,
}

struct Round {
    counter: u16,
    too_small: bool,
    nonce_s: [u8; 16],
}

impl Sim {
    /// The SIM whose AuC is [`home`], which has accepted SQNs up to `floor`.
    pub fn new(floor: u64) -> Self {
        Self::with(&milenage(0x46), floor)
    }

    /// One with these credentials.
    pub fn with(credentials: &Credentials, floor: u64) -> Self {
        Self {
            algorithm: credentials.functions(),
            imsi: Imsi::new(IMSI.as_bytes(), MncLength::Two).unwrap(),
            usim: SqnState::new(SqnParameters::default(), Sqn::new(floor).unwrap()).unwrap(),
            realm: Realm::Wlan,
            liberal: false,
            suci_key: None,
            pseudonym: None,
            reauthentication: None,
            shown: Vec::new(),
            session: None,
        }
    }

    /// MSK of the last challenge or re-authentication that was answered.
    pub fn msk(&self) -> &Msk {
        &self.session.as_ref().unwrap().msk
    }

    /// K_AUSF of the last challenge, where a 5G core anchors one.
    pub fn k_ausf(&self) -> Option<&KAusf> {
        self.session.as_ref()?.k_ausf.as_ref()
    }

    /// Whether a challenge or re-authentication was ever answered.
    pub fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// EAP-Success was believed: the identities that came are good from now on.
    pub fn confirm(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        if let Some(name) = session.next_pseudonym.take() {
            self.pseudonym = Some((session.keys.method(), name));
        }
        let counter = session.round.as_ref().map_or(0, |round| round.counter);
        self.reauthentication = session
            .next_reauthentication
            .take()
            .map(|identity| Context {
                identity,
                counter,
                keys: session.keys.duplicate(),
            });
    }

    /// Answers what the peer asks.
    pub fn answer(&mut self, ask: &Ask) -> Answer {
        match ask {
            Ask::Identity { method, wanted } => self.identity(*method, *wanted),
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
            Ask::Verify { packet } => {
                let packet = Packet::parse(packet).unwrap();
                Answer::Verify(self.verify(&packet.aka().unwrap()))
            }
            Ask::EncryptedCounter => {
                let session = self.session.as_ref().unwrap();
                let round = session.round.as_ref().unwrap();
                let mut inside = vec![Attribute::Counter(round.counter)];
                inside.extend(round.too_small.then_some(Attribute::CounterTooSmall));
                let (iv, data) = session.keys.encrypt(&inside);
                Answer::Encrypted { iv, data }
            }
            Ask::Mac { packet } => {
                let session = self.session.as_ref().unwrap();
                let reauthentication = packet[5] == 13;
                let round = session.round.as_ref().filter(|_| reauthentication);
                let extra = round.map_or(&[][..], |round| &round.nonce_s);
                Answer::Mac(session.keys.k_aut.at_mac(packet, extra))
            }
        }
    }

    fn identity(&mut self, method: Method, wanted: IdentityRequest) -> Answer {
        let (nai, kind) = match wanted {
            IdentityRequest::Any
            | IdentityRequest::FullAuthentication
            | IdentityRequest::Permanent => {
                let context = match wanted {
                    IdentityRequest::Any => self.reauthentication.as_ref(),
                    _ => None,
                };
                let context = context.filter(|context| context.keys.method() == method);
                let pseudonym = self.pseudonym.as_ref().filter(|(of, _)| *of == method);
                match (context, pseudonym, wanted) {
                    (Some(context), ..) => {
                        (context.identity.clone(), IdentityKind::Reauthentication)
                    }
                    (None, Some(_), IdentityRequest::Permanent) if !self.liberal => {
                        return Answer::Withheld;
                    }
                    (
                        None,
                        Some((_, name)),
                        IdentityRequest::Any | IdentityRequest::FullAuthentication,
                    ) => {
                        let anonymous = self.imsi.anonymous_identity(self.realm);
                        let nai = format!("{name}@{}", anonymous.realm());
                        (nai, IdentityKind::Pseudonym)
                    }
                    _ => (self.permanent(method), IdentityKind::Permanent),
                }
            }
            IdentityRequest::Anonymous => (
                self.imsi.anonymous_identity(self.realm).as_str().to_owned(),
                IdentityKind::Anonymous,
            ),
            IdentityRequest::Suci => self.suci(),
        };
        self.shown.push(kind);
        Answer::Identity(Identity {
            nai: Nai::new(nai).unwrap(),
            kind,
        })
    }

    fn permanent(&self, method: Method) -> String {
        let prefix = match method {
            Method::Aka => IdentityPrefix::Aka,
            Method::AkaPrime => IdentityPrefix::AkaPrime,
        };
        let nai = self.imsi.permanent_identity(prefix, self.realm);
        nai.as_str().to_owned()
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
        let (rand, autn) = (
            Rand::new(*message.rand().unwrap()),
            Autn::new(*message.autn().unwrap()),
        );
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
        let derived = match method {
            Method::Aka => Derived::aka(&verified.ck, &verified.ik, identity),
            Method::AkaPrime => {
                self.derive_prime(&verified, message, identity, ephemeral.as_ref())?
            }
        };
        if !derived.keys.authentic(message, &[]) {
            return Err(ChallengeAnswer::MacInvalid);
        }
        self.usim.accept(&verified).unwrap();
        let (next_pseudonym, next_reauthentication) = next_identities(&derived.keys, message);
        let name = message.kdf_input().unwrap_or_default();
        let anchors = name.starts_with(b"5G:") && name != b"5G:NSWO";
        self.session = Some(Session {
            k_ausf: anchors.then(|| fiveg::k_ausf(&derived.emsk)),
            keys: derived.keys,
            msk: derived.msk,
            round: None,
            next_pseudonym,
            next_reauthentication,
        });
        Ok(ChallengeAnswer::Success {
            res: verified.res.as_bytes().to_vec(),
            res_bits: verified.res.bits(),
            public_key: ephemeral.map(|key| key.public_key().as_bytes().to_vec()),
        })
    }

    fn derive_prime(
        &self,
        verified: &Verified,
        message: &AkaMessage<'_>,
        identity: &[u8],
        ephemeral: Option<&PrivateKey>,
    ) -> Result<Derived, ChallengeAnswer> {
        let name = NetworkName::new(message.kdf_input().unwrap()).unwrap();
        let identity = match name.as_bytes().starts_with(b"5G:") {
            true => self.imsi.digits().as_bytes(),
            false => identity,
        };
        let (ck_prime, ik_prime) =
            ck_ik_prime(&verified.ck, &verified.ik, name, verified.sqn_xor_ak);
        let Some(ephemeral) = ephemeral else {
            return Ok(Derived::aka_prime(&ck_prime, &ik_prime, identity));
        };
        let length = ephemeral.group().public_key_length();
        let public_key = &message.pub_ecdhe().unwrap()[..length];
        let secret = ephemeral
            .agree(public_key)
            .map_err(|_| ChallengeAnswer::PublicKeyInvalid)?;
        Ok(Derived::forward_secret(
            &ck_prime, &ik_prime, &secret, identity,
        ))
    }

    fn reauthenticate(
        &mut self,
        message: &AkaMessage<'_>,
        identity: &[u8],
    ) -> Option<ReauthenticationAnswer> {
        let context = self.reauthentication.take()?;
        if context.identity.as_bytes() != identity || !context.keys.authentic(message, &[]) {
            return None;
        }
        let (counter, nonce_s) = counter_and_nonce(&context.keys, message)?;
        let (_, next_reauthentication) = next_identities(&context.keys, message);
        let too_small = counter <= context.counter;
        let nonce = NonceS::new(nonce_s);
        self.session = Some(Session {
            msk: context.keys.reauthenticate(identity, counter, &nonce).msk,
            keys: context.keys,
            k_ausf: None,
            round: Some(Round {
                counter,
                too_small,
                nonce_s,
            }),
            next_pseudonym: None,
            next_reauthentication,
        });
        Some(match too_small {
            true => ReauthenticationAnswer::CounterTooSmall,
            false => ReauthenticationAnswer::Fresh { nonce_s },
        })
    }

    fn verify(&self, message: &AkaMessage<'_>) -> bool {
        let session = self.session.as_ref().unwrap();
        let counter = match &session.round {
            Some(round) => session.keys.counter_in(message) == Some(round.counter),
            None => true,
        };
        counter && session.keys.authentic(message, &[])
    }
}

fn counter_and_nonce(keys: &Keys, message: &AkaMessage<'_>) -> Option<(u16, [u8; 16])> {
    let data = keys.decrypted(message)?;
    let inside = parse_encrypted(&data).ok()?;
    let nonce_s = inside.iter().find_map(|attribute| match attribute {
        Attribute::NonceS(nonce_s) => Some(**nonce_s),
        _ => None,
    })?;
    Some((keys.counter_in(message)?, nonce_s))
}

/// AT_NEXT_PSEUDONYM and AT_NEXT_REAUTH_ID.
fn next_identities(keys: &Keys, message: &AkaMessage<'_>) -> (Option<String>, Option<String>) {
    let data = keys.decrypted(message).unwrap_or_default();
    let (mut pseudonym, mut reauthentication) = (None, None);
    for attribute in parse_encrypted(&data).unwrap_or_default() {
        match attribute {
            Attribute::NextPseudonym(name) => {
                pseudonym = Some(String::from_utf8(name.to_vec()).unwrap());
            }
            Attribute::NextReauthId(name) => {
                reauthentication = Some(String::from_utf8(name.to_vec()).unwrap());
            }
            _ => {}
        }
    }
    (pseudonym, reauthentication)
}

/// Credentials of Milenage with this K throughout.
pub fn milenage(k: u8) -> Credentials {
    Credentials::Milenage {
        k: K::new([k; 16]),
        opc: Opc::new([0xcd; 16]),
    }
}

/// An AuC as [`auc_of`] makes one, of [`milenage`].
pub fn auc(k: u8, amf: [u8; 2]) -> Auc {
    auc_of(&milenage(k), amf)
}

/// An AuC with one subscriber and RANDs that count up.
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
