//! Full authentication: checks AUTN, then AT_MAC. Only if both are right, it gives RES, opens a
//! session and uses up the SQN.

use softsim_aka::agreement::{PrivateKey, PublicKey};
use softsim_aka::eap::{AkaKeys, AkaPrimeKeys, MacKey, emsk, forward_secret_emsk};
use softsim_aka::kdf::{self, NetworkName};
use softsim_aka::{CkPrime, IkPrime, KAusf, KEncr, Msk, SharedSecret, fiveg};
use softsim_keyd_proto::requests::{AkaChallenge, AkaPrimeChallenge};
use softsim_keyd_proto::{AkaAnswer, Group, Method, PacketFault, Refusal, SecretBytes};
use softsim_sandbox::random::SystemRng;
use softsim_usim::{SeparationBit, Verified};

use super::packet::{Challenge, Next};
use super::session::{Assigned, ProtectedResult, Session, Sessions, Unconfirmed};
use super::{is_5g, packet_refused, use_up};
use crate::sim::Sim;
use crate::vault::{Name, Reauthentication, Root, Slot, username};

/// WLAN offload with 5G credentials, in which the 5G core anchors no keys (TS 33.501 Annex S).
const OFFLOAD_5G: &[u8] = b"5G:NSWO";

/// The beginning of the username of a SUCI (TS 23.003 §28.7.3).
const SUCI: &[u8] = b"type";

/// The field of a SUCI of the null scheme.
const NULL_SCHEME: &[u8] = b".schid0.";

impl Sim<'_> {
    pub(crate) fn aka_prime_challenge(
        &mut self,
        sessions: &mut Sessions,
        request: AkaPrimeChallenge<'_>,
    ) -> Result<AkaAnswer, Refusal> {
        let challenge =
            Challenge::parse(request.packet, Method::AkaPrime).map_err(Refusal::Packet)?;
        let network_name = challenge.network_name().map_err(Refusal::Packet)?;
        let offer = request
            .forward_secrecy
            .map(|group| Ok((group, challenge.public_key(group)?)));
        let offer = offer.transpose().map_err(Refusal::Packet)?;
        let slot = self.profile_in_use(request.iccid)?;
        sessions.check_room()?;
        let autn = (&challenge.rand, &challenge.autn);
        let verified = match self.check_autn(slot, autn, SeparationBit::Required)? {
            Ok(verified) => verified,
            Err(auts) => return Ok(AkaAnswer::SynchronisationFailure { auts }),
        };

        // The identity that was sent enters the derivation (RFC 9048 §5.3.1). In a 5G serving
        // network, it is always the digits of the IMSI (TS 33.501 Annex F.3).
        let imsi = is_5g(network_name.as_bytes()).then(|| self.in_slot(slot));
        let imsi = imsi.transpose()?.map(|profile| profile.imsi.clone());
        let identity = imsi.as_ref().map(|imsi| imsi.digits().as_bytes());
        let identity = identity.unwrap_or(request.identity);
        let schedule = Schedule::new(&verified, network_name, identity);
        let keys = schedule.without_forward_secrecy();
        let k_aut = MacKey::from(keys.k_aut);
        let next = self.verified_next(&challenge, &k_aut, &keys.k_encr)?;
        let agreement = offer.map(Agreement::new).transpose();
        let agreement = agreement.map_err(|fault| packet_refused(self.counters, fault))?;
        let secret = agreement.as_ref().map(|agreement| &agreement.secret);
        let (k_re, msk) = match secret {
            None => (keys.k_re, keys.msk),
            Some(secret) => {
                let keys = schedule.with_forward_secrecy(secret);
                (keys.k_re, keys.msk)
            }
        };
        self.counters.forward_secret += u64::from(agreement.is_some());

        let kept = next.reauthentication.is_some() && may_reauthenticate(network_name);
        let root = kept.then(|| Root::AkaPrime {
            k_re,
            network_name: network_name.as_bytes().into(),
        });
        Ok(self.answer(
            sessions,
            slot,
            Answered {
                k_ausf: anchors(network_name).then(|| schedule.k_ausf(secret)),
                public_key: agreement.map(|agreement| agreement.ours),
                identity: request.identity,
                k_encr: keys.k_encr,
                verified,
                k_aut,
                root,
                next,
                result: ProtectedResult::of(challenge.result_ind()),
                msk,
            },
        ))
    }

    pub(crate) fn aka_challenge(
        &mut self,
        sessions: &mut Sessions,
        request: AkaChallenge<'_>,
    ) -> Result<AkaAnswer, Refusal> {
        let challenge = Challenge::parse(request.packet, Method::Aka).map_err(Refusal::Packet)?;
        let slot = self.profile_in_use(request.iccid)?;
        sessions.check_room()?;
        let separation_bit = if request.refuse_separation_bit {
            SeparationBit::Forbidden
        } else {
            SeparationBit::NotRequired
        };
        let autn = (&challenge.rand, &challenge.autn);
        let verified = match self.check_autn(slot, autn, separation_bit)? {
            Ok(verified) => verified,
            Err(auts) => return Ok(AkaAnswer::SynchronisationFailure { auts }),
        };

        let keys = AkaKeys::derive(&verified.ck, &verified.ik, request.identity);
        let k_aut = MacKey::from(keys.k_aut);
        let next = self.verified_next(&challenge, &k_aut, &keys.k_encr)?;
        Ok(self.answer(
            sessions,
            slot,
            Answered {
                k_ausf: None,
                public_key: None,
                identity: request.identity,
                k_encr: keys.k_encr,
                verified,
                k_aut,
                root: Some(Root::Aka(keys.mk)),
                next,
                result: ProtectedResult::of(challenge.result_ind()),
                msk: keys.msk,
            },
        ))
    }

    /// Checks AT_MAC of a challenge, and decrypts its identities.
    fn verified_next(
        &mut self,
        challenge: &Challenge<'_>,
        k_aut: &MacKey,
        k_encr: &KEncr,
    ) -> Result<Next, Refusal> {
        if !challenge.maced.verify(k_aut) {
            return Err(packet_refused(self.counters, PacketFault::Mac));
        }
        let next = challenge.encrypted.map(|encrypted| encrypted.next(k_encr));
        let next = next.transpose();
        Ok(next
            .map_err(|fault| packet_refused(self.counters, fault))?
            .unwrap_or_default())
    }

    /// Uses up the SQN and opens the session, after every check has succeeded.
    fn answer(&mut self, sessions: &mut Sessions, slot: Slot, answered: Answered<'_>) -> AkaAnswer {
        use_up(self.vault, slot, &answered.verified);
        self.counters.authentications += 1;
        let installation = self.vault.installation(slot);
        let installation = installation.expect("its SQN was used a moment ago");
        let Answered {
            next,
            k_encr,
            identity,
            ..
        } = answered;
        let reauthentication =
            (next.reauthentication).and_then(|name| self.usable_reauthentication(slot, name));
        let kept = reauthentication.zip(answered.root);
        let pseudonym =
            (next.pseudonym).and_then(|name| self.usable_pseudonym(slot, identity, name));
        // A pseudonym may look like a SUCI. Without a key, nobody has seen one.
        let one_time = is_one_time(identity) && self.can_conceal(slot);
        let in_pair = pseudonym.as_ref().filter(|_| !one_time);
        self.identity_challenged(slot, identity, in_pair);
        let unconfirmed = Unconfirmed {
            pseudonym: pseudonym.map(|name| Assigned {
                name,
                shown: Name::new(username(identity)),
                one_time,
            }),
            reauthentication: kept.map(|(identity, root)| Reauthentication {
                identity,
                shown: false,
                counter: 0,
                k_encr,
                k_aut: answered.k_aut.duplicate(),
                root,
            }),
            k_ausf: answered.k_ausf,
        };
        let Answered {
            k_aut, result, msk, ..
        } = answered;
        let session = Session::answered(installation, k_aut, result, unconfirmed, msk);
        AkaAnswer::Success {
            handle: sessions.open(session),
            res: SecretBytes::new(answered.verified.res.as_bytes().to_vec()),
            public_key: answered.public_key.map(|key| key.as_bytes().to_vec()),
        }
    }
}

/// A challenge that passed every check, and its keys.
struct Answered<'a> {
    verified: Verified,
    identity: &'a [u8],
    next: Next,
    result: ProtectedResult,
    k_encr: KEncr,
    k_aut: MacKey,
    /// None if no re-authentication context is to be kept.
    root: Option<Root>,
    k_ausf: Option<KAusf>,
    msk: Msk,
    public_key: Option<PublicKey>,
}

/// The key schedule of EAP-AKA' (RFC 9048 §3.3), which derives further keys only when they are
/// needed.
struct Schedule<'a> {
    ck: CkPrime,
    ik: IkPrime,
    identity: &'a [u8],
}

impl<'a> Schedule<'a> {
    fn new(verified: &Verified, network_name: NetworkName<'_>, identity: &'a [u8]) -> Self {
        let Verified {
            ck, ik, sqn_xor_ak, ..
        } = verified;
        let (ck, ik) = kdf::ck_ik_prime(ck, ik, network_name, *sqn_xor_ak);
        Self { ck, ik, identity }
    }

    fn without_forward_secrecy(&self) -> AkaPrimeKeys {
        AkaPrimeKeys::derive(&self.ck, &self.ik, self.identity)
    }

    fn with_forward_secrecy(&self, secret: &SharedSecret) -> AkaPrimeKeys {
        AkaPrimeKeys::derive_forward_secret(&self.ck, &self.ik, secret, self.identity)
    }

    fn k_ausf(&self, secret: Option<&SharedSecret>) -> KAusf {
        let Self { ck, ik, identity } = self;
        fiveg::k_ausf(&match secret {
            None => emsk(ck, ik, identity),
            Some(secret) => forward_secret_emsk(ck, ik, secret, identity),
        })
    }
}

/// The result of an ephemeral Diffie-Hellman. Our private key is dropped when it is made.
struct Agreement {
    secret: SharedSecret,
    ours: PublicKey,
}

impl Agreement {
    fn new((group, theirs): (Group, &[u8])) -> Result<Self, PacketFault> {
        let key = PrivateKey::generate(group, &mut SystemRng);
        Ok(Self {
            secret: key.agree(theirs).map_err(|_| PacketFault::PublicKey)?,
            ours: key.public_key(),
        })
    }
}

/// Whether the identity is a SUCI that is another one each time. That of the null scheme isn't.
fn is_one_time(identity: &[u8]) -> bool {
    let is_null = |octets: &[u8]| octets == NULL_SCHEME;
    identity.starts_with(SUCI) && !identity.windows(NULL_SCHEME.len()).any(is_null)
}

/// Whether the authentication is a 5G core's primary one, which anchors keys.
fn anchors(network_name: NetworkName<'_>) -> bool {
    is_5g(network_name.as_bytes()) && network_name.as_bytes() != OFFLOAD_5G
}

/// Whether a fast re-authentication may follow. 5G has none, and there is none if the network name
/// is too long to be stored.
fn may_reauthenticate(network_name: NetworkName<'_>) -> bool {
    !is_5g(network_name.as_bytes()) && network_name.as_bytes().len() <= Root::MAX_NETWORK_NAME
}
