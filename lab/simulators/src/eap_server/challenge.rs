//! Full authentication: challenge, negotiation, resynchronisation (RFC 4187 §6.3.1, RFC 9048 §3,
//! RFC 9678 §6).

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_aka::{Auts, Res, fiveg};
use softsim_eap_packet::{AkaMessage, Attribute, Subtype};
use softsim_lab_aka::{Agreement, AuthenticationVector, Derived};
use softsim_sandbox::random::SystemRng;

use super::config::KDF;
use super::register::{Context, Next, new_pseudonym, new_reauthentication};
use super::{Method, Reason, Server, Session, State, Step};
use crate::auc::Auc;

/// One challenge, and the data to check the response.
pub(super) struct Challenge {
    imsi: String,
    vector: AuthenticationVector,
    /// The identity of the key derivation.
    identity: Vec<u8>,
    derived: Derived,
    /// AT_KDF as sent.
    kdfs: Vec<u16>,
    /// AT_KDF_FS as sent, and the private half of AT_PUB_ECDHE.
    groups: Vec<Group>,
    ephemeral: Option<PrivateKey>,
    /// The identities in AT_ENCR_DATA.
    next: Next,
    /// Whether this challenge follows a resynchronisation.
    resynchronised: bool,
}

impl Server {
    /// Gets a vector and sends it.
    pub(super) fn challenge(
        &mut self,
        auc: &mut Auc,
        imsi: String,
        kdfs: Vec<u16>,
        groups: Vec<Group>,
        resynchronised: bool,
    ) -> Step {
        let vector = match auc.vector(&imsi) {
            Ok(vector) => vector,
            Err(error) => return self.notify_failure(Reason::Auc(error)),
        };
        let identity = match self.config.is_5gs() {
            true => imsi.clone().into_bytes(),
            false => self.identity.clone(),
        };
        let name = self.config.network_name.as_bytes();
        let derived = vector.agreement(name, &identity).keys(self.method);
        let next = Next {
            pseudonym: (self.config.pseudonyms).then(|| new_pseudonym(self.method)),
            reauthentication: (self.config.reauthentication)
                .then(|| new_reauthentication(self.method, &self.identity)),
        };
        self.send_challenge(Box::new(Challenge {
            imsi,
            vector,
            identity,
            derived,
            kdfs,
            ephemeral: ephemeral(&groups),
            groups,
            next,
            resynchronised,
        }))
    }

    fn send_challenge(&mut self, challenge: Box<Challenge>) -> Step {
        let checkcode = self.identity_messages.checkcode();
        let keys = &challenge.derived.keys;
        let mut builder = self
            .request(Subtype::Challenge)
            .attribute(Attribute::Rand(challenge.vector.rand.as_bytes()))
            .attribute(Attribute::Autn(challenge.vector.autn.as_bytes()));
        match self.method {
            Method::AkaPrime => {
                for kdf in &challenge.kdfs {
                    builder = builder.attribute(Attribute::Kdf(*kdf));
                }
                let name = self.config.network_name.as_bytes();
                builder = builder.attribute(Attribute::KdfInput(name));
                if let Some(ephemeral) = &challenge.ephemeral {
                    for group in &challenge.groups {
                        builder = builder.attribute(Attribute::KdfFs(group.number()));
                    }
                    let public_key = ephemeral.public_key();
                    builder = builder.attribute(Attribute::PubEcdhe(public_key.as_bytes()));
                }
            }
            Method::Aka => {
                if let Some(d) = self.config.bidding {
                    builder = builder.attribute(Attribute::Bidding(d));
                }
            }
        }
        builder = builder.attribute(Attribute::Checkcode(&checkcode));
        if self.config.result_indication {
            builder = builder.attribute(Attribute::ResultInd);
        }
        let next = challenge.next.attributes();
        if !next.is_empty() {
            builder = keys.encrypted(builder, &next);
        }
        let packet = keys.authenticated(builder, &[]);
        self.state = State::Challenge(challenge);
        Step::Request(packet)
    }

    /// Handles the response: a choice of functions, or RES.
    pub(super) fn challenge_answered(
        &mut self,
        challenge: Box<Challenge>,
        message: &AkaMessage<'_>,
    ) -> Step {
        let kdfs: Vec<_> = message.kdfs().collect();
        let kdfs_fs: Vec<_> = message.kdfs_fs().collect();
        match (message.res(), kdfs.as_slice(), kdfs_fs.as_slice()) {
            (None, [choice], []) => self.kdf_chosen(challenge, *choice),
            (None, [], [choice]) => self.group_chosen(challenge, *choice),
            _ => self.responded(*challenge, message),
        }
    }

    /// The peer chose a function other than the first: the same challenge again, with the choice in
    /// front of the whole list (RFC 9048 §3.2).
    fn kdf_chosen(&mut self, mut challenge: Box<Challenge>, choice: u16) -> Step {
        let first_offer = challenge.kdfs == self.config.kdfs;
        let offered = challenge.kdfs.iter().skip(1).any(|kdf| *kdf == choice);
        if !first_offer || !offered || choice != KDF {
            return self.notify_failure(Reason::Kdf);
        }
        challenge.kdfs.insert(0, choice);
        self.send_challenge(challenge)
    }

    /// The same for the group of forward secrecy, with a key of the chosen one (RFC 9678 §6.2).
    fn group_chosen(&mut self, mut challenge: Box<Challenge>, choice: u16) -> Step {
        let first_offer = challenge.groups == self.config.groups;
        let mut others = challenge.groups.iter().skip(1);
        let Some(choice) = others
            .find(|group| group.number() == choice)
            .copied()
            .filter(|_| first_offer)
        else {
            return self.notify_failure(Reason::Kdf);
        };
        challenge.groups.insert(0, choice);
        challenge.ephemeral = ephemeral(&challenge.groups);
        self.send_challenge(challenge)
    }

    /// AT_MAC, then everything that AT_MAC protects.
    fn responded(&mut self, mut challenge: Challenge, message: &AkaMessage<'_>) -> Step {
        if !challenge.derived.keys.authentic(message, &[]) {
            return self.notify_failure(Reason::Mac);
        }
        if !self.checkcode_fits(message) {
            return self.notify_failure(Reason::Checkcode);
        }
        let xres = &challenge.vector.xres;
        let right =
            |(bits, res)| bits == xres.bits() && Res::new(res).is_ok_and(|res| res == *xres);
        if !message.res().is_some_and(right) {
            return self.notify_failure(Reason::Res);
        }
        let name = self.config.network_name.as_bytes();
        let forward_secrecy = match challenge.agree(name, message) {
            Ok(group) => group,
            Err(reason) => return self.notify_failure(reason),
        };
        if self.config.require_forward_secrecy && forward_secrecy.is_none() {
            return self.notify_failure(Reason::ForwardSecrecy);
        }
        let k_ausf = (self.config.anchors_k_ausf() && self.method == Method::AkaPrime)
            .then(|| fiveg::k_ausf(&challenge.derived.emsk));
        let session = Session {
            imsi: challenge.imsi.clone(),
            method: self.method,
            session_id: session_id(&challenge, self.method),
            reauthenticated: false,
            forward_secrecy,
            k_ausf,
            msk: challenge.derived.msk,
            emsk: challenge.derived.emsk,
        };
        let context = |keys| Context {
            imsi: challenge.imsi,
            keys,
            counter: 1,
            network_name: self.config.network_name.clone(),
        };
        let keys = challenge.derived.keys;
        self.config
            .register
            .remember(challenge.next, context(keys.duplicate()));
        self.authenticated(keys, None, Box::new(session), message.result_ind())
    }

    /// A new vector, once (RFC 4187 §6.3.1); the lists of functions stay the same (RFC 9048 §3.2,
    /// RFC 9678 §6.5.7).
    pub(super) fn resynchronise(
        &mut self,
        auc: &mut Auc,
        challenge: Challenge,
        message: &AkaMessage<'_>,
    ) -> Step {
        if self.method == Method::AkaPrime && message.kdfs().ne(challenge.kdfs.iter().copied()) {
            return self.notify_failure(Reason::Kdf);
        }
        let Some(auts) = message.auts().filter(|_| !challenge.resynchronised) else {
            return self.notify_failure(Reason::Resynchronisation);
        };
        let Challenge {
            imsi,
            kdfs,
            groups,
            vector,
            ..
        } = challenge;
        match auc.resynchronise(&imsi, &vector.rand, &Auts::new(*auts)) {
            Ok(_) => self.challenge(auc, imsi, kdfs, groups, true),
            Err(error) => self.notify_failure(Reason::Auc(error)),
        }
    }
}

impl Challenge {
    /// If the response has AT_PUB_ECDHE, derives keys with forward secrecy (RFC 9678 §6.3).
    fn agree(
        &mut self,
        network_name: &[u8],
        message: &AkaMessage<'_>,
    ) -> Result<Option<Group>, Reason> {
        let (Some(ephemeral), Some(value)) = (&self.ephemeral, message.pub_ecdhe()) else {
            return Ok(None);
        };
        let group = ephemeral.group();
        let (public_key, padding) = value
            .split_at_checked(group.public_key_length())
            .ok_or(Reason::PublicKey)?;
        if padding.len() > 3 || padding.iter().any(|octet| *octet != 0) {
            return Err(Reason::PublicKey);
        }
        let secret = ephemeral.agree(public_key).map_err(|_| Reason::PublicKey)?;
        let agreement = Agreement {
            shared_secret: Some(&secret),
            ..self.vector.agreement(network_name, &self.identity)
        };
        self.derived = agreement.keys(Method::AkaPrime);
        Ok(Some(group))
    }
}

impl Next {
    pub(super) fn attributes(&self) -> Vec<Attribute<'_>> {
        let pseudonym = self.pseudonym.as_deref();
        let reauthentication = self.reauthentication.as_deref();
        pseudonym
            .map(|name| Attribute::NextPseudonym(name.as_bytes()))
            .into_iter()
            .chain(reauthentication.map(|name| Attribute::NextReauthId(name.as_bytes())))
            .collect()
    }
}

/// A fresh key of the first group on offer.
fn ephemeral(groups: &[Group]) -> Option<PrivateKey> {
    let group = groups.first()?;
    Some(PrivateKey::generate(*group, &mut SystemRng))
}

/// Type ‖ RAND ‖ AUTN (RFC 9048 §6).
fn session_id(challenge: &Challenge, method: Method) -> Vec<u8> {
    let vector = &challenge.vector;
    [
        &[method.number()],
        vector.rand.as_bytes().as_slice(),
        vector.autn.as_bytes(),
    ]
    .concat()
}
