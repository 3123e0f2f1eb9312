//! The means of a scenario: valid requests, which it can modify, and the keys to sign them.

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_aka::{Amf, Auts, KAut, KAut128, NonceS, Sqn};
use softsim_eap::Method;
use softsim_eap_packet::{self as packet, Attribute, Kind, Notification, Subtype, build_encrypted};
use softsim_lab_aka::{Agreement, AuthenticationVector, Derived, Keys};
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::identity::IdentityMessages;
use softsim_lab_simulators::eap_server::{IdentityRequest, Session};
use softsim_sandbox::random::{self, SystemRng};

use super::forge::Forge;

/// The server's side of a scenario.
pub struct Stage {
    pub(super) method: Method,
    imsi: String,
    /// The identifier of the last response. Requests continue from it.
    pub(super) identifier: u8,
    identity: Vec<u8>,
    identity_messages: IdentityMessages,
    request: Vec<u8>,
    pub(super) last_response: Vec<u8>,
    /// The access network's name, where a scenario needs another.
    pub(super) network_name: &'static str,
    vector: Option<AuthenticationVector>,
    derived: Option<Derived>,
    ephemeral: Option<PrivateKey>,
    /// AT_KDF as last sent.
    pub(super) kdfs: Vec<u16>,
    pub(super) auts: Option<[u8; 14]>,
    pub(super) nonce_s: [u8; 16],
    pub(super) counter: u16,
    session_id: Vec<u8>,
    reauthenticated: bool,
    forward_secrecy: Option<Group>,
}

impl Stage {
    pub(super) fn new(method: Method, imsi: &str) -> Self {
        Self {
            method,
            imsi: imsi.into(),
            identifier: 0,
            identity: Vec::new(),
            identity_messages: IdentityMessages::default(),
            request: Vec::new(),
            last_response: Vec::new(),
            network_name: "WLAN",
            vector: None,
            derived: None,
            ephemeral: None,
            kdfs: Vec::new(),
            auts: None,
            nonce_s: [0; 16],
            counter: 0,
            session_id: Vec::new(),
            reauthenticated: false,
            forward_secrecy: None,
        }
    }

    /// Begins a conversation, and keeps what an earlier one agreed on.
    pub(super) fn begin(&mut self, identity: &[u8]) {
        self.identity = identity.to_vec();
        self.identity_messages = IdentityMessages::default();
        self.reauthenticated = false;
        self.forward_secrecy = None;
    }

    /// Restarts the method from the beginning, with the identity of EAP-Response/Identity.
    pub fn begin_again(&mut self) {
        self.identity_messages = IdentityMessages::default();
    }

    pub(super) fn sent(&mut self, request: &[u8]) {
        self.request = request.to_vec();
    }

    pub(super) fn identified(&mut self, identity: &[u8], response: &[u8]) {
        self.identity = identity.to_vec();
        self.identity_messages.remember(self.method, &self.request);
        self.identity_messages.remember(self.method, response);
    }

    pub(super) fn keys(&self) -> Option<&Keys> {
        self.derived.as_ref().map(|derived| &derived.keys)
    }

    pub(super) fn vector(&self) -> Option<&AuthenticationVector> {
        self.vector.as_ref()
    }

    /// The packet that was sent last, again.
    pub fn again(&self) -> Vec<u8> {
        self.request.clone()
    }

    /// A request of a subtype, without attributes.
    pub fn request(&self, subtype: Subtype) -> Forge {
        Forge::new(self.method, subtype, self.identifier.wrapping_add(1))
    }

    /// AKA-Identity that asks for all of these.
    pub fn identity_request(&self, requests: &[IdentityRequest]) -> Forge {
        requests
            .iter()
            .fold(self.request(Subtype::Identity), |forge, request| {
                forge.with(request.attribute())
            })
    }

    /// AT_CHECKCODE's right value.
    pub fn checkcode(&self) -> Vec<u8> {
        self.identity_messages.checkcode()
    }

    /// An honest challenge with the next vector, AT_MAC zero.
    pub fn challenge(&mut self, auc: &mut Auc) -> Forge {
        self.draw(auc);
        self.challenge_again()
    }

    /// An honest challenge with the same vector as before.
    pub fn challenge_again(&mut self) -> Forge {
        let vector = self.vector.as_ref().expect("a vector was drawn before");
        let checkcode = self.checkcode();
        let mut forge = self
            .request(Subtype::Challenge)
            .with(Attribute::Rand(vector.rand.as_bytes()))
            .with(Attribute::Autn(vector.autn.as_bytes()));
        self.kdfs.clear();
        if self.method == Method::AkaPrime {
            self.kdfs.push(1);
            let name = self.network_name.as_bytes();
            forge = forge
                .with(Attribute::Kdf(1))
                .with(Attribute::KdfInput(name));
        }
        forge
            .with(Attribute::Checkcode(&checkcode))
            .with(Attribute::Mac(&[0; 16]))
    }

    /// An honest challenge that offers other lists of AT_KDF.
    pub fn challenge_with_kdfs(&mut self, auc: &mut Auc, kdfs: &[u16]) -> Forge {
        let forge = self.challenge(auc);
        self.with_kdfs(forge, kdfs)
    }

    /// The same with the vector of before.
    pub fn challenge_again_with_kdfs(&mut self, kdfs: &[u16]) -> Forge {
        let forge = self.challenge_again();
        self.with_kdfs(forge, kdfs)
    }

    fn with_kdfs(&mut self, forge: Forge, kdfs: &[u16]) -> Forge {
        self.kdfs = kdfs.to_vec();
        let forge = forge.without(Kind::KDF).without(Kind::MAC);
        kdfs.iter()
            .fold(forge, |forge, kdf| forge.with(Attribute::Kdf(*kdf)))
            .with(Attribute::Mac(&[0; 16]))
    }

    /// Adds AT_KDF_FS with these numbers, and a fresh key of this group.
    pub fn offer(&mut self, mut forge: Forge, kdfs_fs: &[u16], group: Group) -> Forge {
        let ephemeral = PrivateKey::generate(group, &mut SystemRng);
        for kdf in kdfs_fs {
            forge = forge.with(Attribute::KdfFs(*kdf));
        }
        let public_key = ephemeral.public_key();
        self.ephemeral = Some(ephemeral);
        forge.with(Attribute::PubEcdhe(public_key.as_bytes()))
    }

    /// A request with its AT_MAC, by the keys of the last challenge.
    pub fn sign(&self, forge: &Forge) -> Vec<u8> {
        match self.keys() {
            Some(keys) => forge.signed(keys),
            None => forge.unsigned(),
        }
    }

    /// A request with an AT_MAC that anybody could make: of a key of zeros.
    pub fn sign_with_zeros(&self, forge: &Forge) -> Vec<u8> {
        let keys = match self.method {
            Method::Aka => Keys::with_k_aut(KAut128::new([0; 16]).into()),
            Method::AkaPrime => Keys::with_k_aut(KAut::new([0; 32]).into()),
        };
        forge.signed(&keys)
    }

    /// AKA-Notification with AT_MAC zero.
    pub fn notification(&self, code: Notification) -> Forge {
        self.request(Subtype::Notification)
            .with(Attribute::Notification(code.0))
            .with(Attribute::Mac(&[0; 16]))
    }

    /// Puts AT_IV and AT_ENCR_DATA with these attributes before AT_MAC.
    pub fn encrypt(&self, forge: Forge, inside: &[Attribute<'_>]) -> Forge {
        let plaintext = build_encrypted(inside).expect("scenarios encrypt what fits");
        self.encrypt_octets(forge, plaintext)
    }

    /// The same with octets that may be no attributes.
    pub fn encrypt_octets(&self, forge: Forge, mut data: Vec<u8>) -> Forge {
        let keys = self.keys().expect("a challenge came before");
        let mut iv = [0; 16];
        random::fill(&mut iv);
        softsim_aka::eap::encrypt(&keys.k_encr, &softsim_aka::Iv::new(iv), &mut data)
            .expect("whole blocks");
        forge
            .without(Kind::MAC)
            .with(Attribute::Iv(&iv))
            .with(Attribute::EncrData(&data))
            .with(Attribute::Mac(&[0; 16]))
    }

    /// AKA-Reauthentication with this counter, signed, by the keys of the last full authentication.
    pub fn reauthentication(&mut self, counter: u16) -> Vec<u8> {
        let forge = self.reauthentication_with(counter, &[]);
        self.reauthenticated_by(&forge)
    }

    /// AKA-Reauthentication with this counter and more attributes inside AT_ENCR_DATA, AT_MAC zero.
    pub fn reauthentication_with(&mut self, counter: u16, more: &[Attribute<'_>]) -> Forge {
        random::fill(&mut self.nonce_s);
        self.counter = counter;
        let nonce_s = self.nonce_s;
        let inside = [Attribute::Counter(counter), Attribute::NonceS(&nonce_s)];
        let inside: Vec<_> = inside.into_iter().chain(more.iter().copied()).collect();
        let checkcode = self.checkcode();
        let forge = self
            .request(Subtype::Reauthentication)
            .with(Attribute::Checkcode(&checkcode));
        self.encrypt(forge, &inside)
    }

    /// Signs a request to re-authenticate, and takes over the keys that follow from it.
    pub fn reauthenticated_by(&mut self, forge: &Forge) -> Vec<u8> {
        let packet = self.sign(forge);
        let mac = packet[packet.len() - 16..].to_vec();
        let nonce_s = NonceS::new(self.nonce_s);
        if let Some(derived) = &mut self.derived {
            let fresh = derived
                .keys
                .reauthenticate(&self.identity, self.counter, &nonce_s);
            (derived.msk, derived.emsk) = (fresh.msk, fresh.emsk);
            let kind = [self.method.number()];
            self.session_id = [&kind, &self.nonce_s[..], &mac].concat();
            self.reauthenticated = true;
        }
        packet
    }

    /// Draws the next vector of the AuC, and derives the keys of it.
    pub fn draw(&mut self, auc: &mut Auc) {
        let vector = auc.vector(&self.imsi).expect("the lab has this subscriber");
        self.derived = Some(self.agreement(&vector).keys(self.method));
        self.session_id = [
            &[self.method.number()],
            vector.rand.as_bytes().as_slice(),
            vector.autn.as_bytes(),
        ]
        .concat();
        self.reauthenticated = false;
        self.vector = Some(vector);
    }

    /// The inputs of the key derivation; a 5G core derives from the IMSI.
    fn agreement<'a>(&'a self, vector: &'a AuthenticationVector) -> Agreement<'a> {
        let identity = match self.network_name.starts_with("5G:") {
            true => self.imsi.as_bytes(),
            false => &self.identity,
        };
        vector.agreement(self.network_name.as_bytes(), identity)
    }

    /// Advances the AuC's sequence numbers further than Δ allows.
    pub fn jump_ahead(&self, auc: &mut Auc) {
        if let Some(subscriber) = auc.subscriber(&self.imsi) {
            let far = Sqn::new(subscriber.sqn().value() + (1 << 40)).expect("below 2^48");
            subscriber.set_sqn(far);
        }
    }

    /// Sets the AMF of the AuC's future vectors.
    pub fn set_amf(&self, auc: &mut Auc, amf: Amf) {
        if let Some(subscriber) = auc.subscriber(&self.imsi) {
            subscriber.set_amf(amf);
        }
    }

    /// EAP-Success, whatever has happened; its identifier is this far from the right one.
    pub fn early_success(&self, off: u8) -> Vec<u8> {
        packet::success(self.identifier.wrapping_add(off)).to_vec()
    }

    /// EAP-Failure, whatever has happened; its identifier is this far from the right one.
    pub fn early_failure(&self, off: u8) -> Vec<u8> {
        packet::failure(self.identifier.wrapping_add(off)).to_vec()
    }

    /// Takes SQN_MS from the peer's AUTS.
    pub fn resynchronise(&self, auc: &mut Auc) {
        if let (Some(auts), Some(vector)) = (self.auts, &self.vector) {
            auc.resynchronise(&self.imsi, &vector.rand, &Auts::new(auts))
                .expect("the peer's AUTS verifies");
        }
    }

    /// The peer's public key, and with it the keys of MK_ECDHE.
    pub(super) fn agree(&mut self, public_key: &[u8]) -> Result<(), String> {
        let ephemeral = self.ephemeral.as_ref().ok_or("no public key was offered")?;
        let group = ephemeral.group();
        let public_key = public_key
            .get(..group.public_key_length())
            .ok_or("AT_PUB_ECDHE is too short")?;
        let secret = ephemeral
            .agree(public_key)
            .map_err(|error| error.to_string())?;
        let vector = self.vector.as_ref().ok_or("no vector was drawn")?;
        let agreement = Agreement {
            shared_secret: Some(&secret),
            ..self.agreement(vector)
        };
        self.derived = Some(agreement.keys(Method::AkaPrime));
        self.forward_secrecy = Some(group);
        Ok(())
    }

    pub(super) fn session(&mut self) -> Option<Session> {
        let derived = self.derived.as_ref()?;
        Some(Session {
            imsi: self.imsi.clone(),
            method: self.method,
            msk: softsim_aka::Msk::new(*derived.msk.as_bytes()),
            emsk: softsim_aka::Emsk::new(*derived.emsk.as_bytes()),
            session_id: self.session_id.clone(),
            reauthenticated: self.reauthenticated,
            forward_secrecy: self.forward_secrecy,
            k_ausf: None,
        })
    }
}
