//! The settings of the server.

use std::fmt;
use std::sync::Arc;

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_eap_packet::{Attribute, Notification};
use softsim_eap_types::Method;

use super::register::Register;

/// AT_KDF 1: CK' and IK' as in RFC 9048 §3.3, the only function this server has.
pub(super) const KDF: u16 = 1;

/// The settings of the server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The methods on offer. The server begins with the first.
    pub methods: Vec<Method>,
    /// The access network's identity, for AT_KDF_INPUT. One that begins with `5G:` makes the
    /// server one of 5GS.
    pub network_name: String,
    /// An identity request to begin with, whatever EAP-Response/Identity was.
    pub ask_identity: Option<IdentityRequest>,
    /// Whether the server asks for the permanent identity when it knows no other. If not, it asks
    /// for one for full authentication again, as FreeRADIUS 4 does.
    pub asks_permanent: bool,
    /// The functions to offer in AT_KDF, in order of preference; 1 should be one of them.
    pub kdfs: Vec<u16>,
    /// The groups to offer for forward secrecy, in order of preference; without any, none is
    /// offered.
    pub groups: Vec<Group>,
    /// Whether the server refuses a peer that accepts no group on offer.
    pub require_forward_secrecy: bool,
    /// Whether to offer protected success indications (AT_RESULT_IND).
    pub result_indication: bool,
    /// The D bit of AT_BIDDING in EAP-AKA; without one, the attribute is left out.
    pub bidding: Option<bool>,
    /// Whether to give a new pseudonym in every full authentication.
    pub pseudonyms: bool,
    /// Whether to give re-authentication identities, and to re-authenticate by them.
    pub reauthentication: bool,
    /// Refuses every authenticated peer with this notification.
    pub deny: Option<Notification>,
    /// The private keys for SUCIs.
    pub suci_keys: SuciKeys,
    /// The register that conversations share.
    pub register: Register,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            methods: vec![Method::AkaPrime],
            network_name: "WLAN".into(),
            ask_identity: Some(IdentityRequest::Any),
            asks_permanent: true,
            kdfs: vec![KDF],
            groups: Vec::new(),
            require_forward_secrecy: false,
            result_indication: false,
            bidding: None,
            pseudonyms: false,
            reauthentication: false,
            deny: None,
            suci_keys: SuciKeys::default(),
            register: Register::default(),
        }
    }
}

impl Config {
    /// Whether the access network belongs to a 5G core (TS 24.501 §9.12.1).
    pub(super) fn is_5gs(&self) -> bool {
        self.network_name.starts_with("5G:")
    }

    /// Whether K_AUSF is anchored: in 5GS, but not for offload to WLAN (TS 33.501 Annex S).
    pub(super) fn anchors_k_ausf(&self) -> bool {
        self.is_5gs() && self.network_name != "5G:NSWO"
    }
}

/// Which identity AKA-Identity asks for, from the least revealing on (RFC 4187 §4.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityRequest {
    /// AT_ANY_ID_REQ.
    Any,
    /// AT_FULLAUTH_ID_REQ.
    FullAuth,
    /// AT_PERMANENT_ID_REQ.
    Permanent,
}

impl IdentityRequest {
    /// The next request, if the answer named no subscriber.
    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::Any => Some(Self::FullAuth),
            Self::FullAuth => Some(Self::Permanent),
            Self::Permanent => None,
        }
    }

    /// The attribute that asks for it.
    pub fn attribute(self) -> Attribute<'static> {
        match self {
            Self::Any => Attribute::AnyIdReq,
            Self::FullAuth => Attribute::FullauthIdReq,
            Self::Permanent => Attribute::PermanentIdReq,
        }
    }
}

/// A private key of the home network, and its identifier.
pub struct SuciKey {
    /// The home network public key identifier.
    pub id: u8,
    /// Its private half; the group is that of the protection scheme.
    pub key: PrivateKey,
}

/// The private keys that decrypt SUCIs (TS 33.501 §6.12.5). Clones share them.
#[derive(Clone, Default)]
pub struct SuciKeys(pub(super) Arc<[SuciKey]>);

impl SuciKeys {
    /// These keys.
    pub fn new(keys: impl IntoIterator<Item = SuciKey>) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl fmt::Debug for SuciKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SuciKeys({})", self.0.len())
    }
}
