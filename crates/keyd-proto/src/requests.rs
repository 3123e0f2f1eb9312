//! The request table: every request, who may hold it, how long it may be, whether it may be
//! repeated.

use core::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use softsim_eap_types::{Group, IdentityRequest, Method, Realm};

use crate::answers::{
    AkaAnswer, AkmaAnswer, CertificateAnswer, DeviceKeyAnswer, EncryptedAnswer, HelloAnswer,
    IdentityAnswer, MacAnswer, ProfilesAnswer, PublicKeyAnswer, ReauthenticationAnswer,
    SealingStatementAnswer, SecretAnswer, SignatureAnswer, StageAnswer, StatusAnswer, UmtsAnswer,
};
use crate::role::Role;
use crate::secret::SecretSlice;

/// A request with the type of its answer.
pub trait Call: Serialize {
    /// The request's line in the table.
    const KIND: RequestKind;
    /// What keyd answers when it doesn't refuse.
    type Answer: Serialize + DeserializeOwned;
}

macro_rules! requests {
    ($(
        $(#[$doc:meta])*
        $code:literal $name:ident $(<$life:lifetime>)? [$($role:ident)*] max $limit:literal $repeat:ident -> $answer:ty {
            $( $(#[$field_doc:meta])* $field:ident: $kind:ty, )*
        }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Serialize, Deserialize)]
            pub struct $name $(<$life>)? {
                $( $(#[$field_doc])* pub $field: $kind, )*
            }

            impl $(<$life>)? Call for $name $(<$life>)? {
                const KIND: RequestKind = RequestKind::$name;
                type Answer = $answer;
            }
        )*

        /// A line of the request table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum RequestKind {
            $( $(#[$doc])* $name = $code, )*
        }

        impl RequestKind {
            /// The table, in the order of the octets on the wire.
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            /// The request that an octet on the wire names.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $( $code => Some(Self::$name), )*
                    _ => None,
                }
            }

            /// The request's name, as role files write it.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* }
            }

            /// The roles that may hold the request at most; role files only take away.
            pub const fn roles(self) -> &'static [Role] {
                match self { $( Self::$name => &[$( Role::$role, )*], )* }
            }

            /// The longest such request, in octets, its kind included.
            pub const fn max_length(self) -> usize {
                match self { $( Self::$name => $limit, )* }
            }

            /// Whether a client that lost the answer may ask again without another effect.
            pub const fn repeatable(self) -> bool {
                match self { $( Self::$name => requests!(@$repeat), )* }
            }
        }
    };
    (@repeatable) => { true };
    (@once) => { false };
}

/// An account with a server that knows the device by a pre-shared key.
#[derive(Serialize, Deserialize)]
pub struct PskAccount<'a> {
    /// Names the account: the instance of the LwM2M Security object.
    pub account: u16,
    /// Its key, 16 to 64 octets; where it is absent, the account keeps the one it has.
    #[serde(borrow)]
    pub psk: Option<&'a [u8]>,
}

/// Without the key.
impl fmt::Debug for PskAccount<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PskAccount({})", self.account)
    }
}

requests! {
    /// Opens the conversation; tells the protocol's version, the role and the limits.
    /// Where it is refused, the conversation ends.
    0 Hello [Network Admin App Supplicant] max 16 repeatable -> HelloAnswer {
        /// The client's [`crate::PROTOCOL_VERSION`].
        version: u16,
    }

    /// What is enforced, which profiles are there, what was counted; no secret. The role app is
    /// told no more of the SIM than whether there is one.
    1 Status [Network Admin App] max 16 repeatable -> StatusAnswer {}

    /// An identity to show to an access network. What may be shown is decided here, by
    /// `--identity-privacy`.
    ///
    /// That of a fast re-authentication is given out once, to the role network; so is a pseudonym
    /// that came in an exchange which a SUCI began (RFC 9048 §5.2).
    2 Identity<'a> [Network Supplicant] max 320 once -> IdentityAnswer {
        /// The profile; the enabled one where it is absent.
        #[serde(borrow)]
        iccid: Option<&'a str>,
        /// The method that it is for, which a permanent identity tells in its first character.
        method: Method,
        /// How telling it may be.
        kind: IdentityRequest,
        /// The realm of an identity that is made here: a server's own are shown as they came.
        realm: Realm,
        /// The access network's name as configured: fast re-authentication stays on the network of
        /// its full authentication (RFC 9048 §3.3).
        network_name: &'a str,
    }

    /// Runs EAP-AKA' on a whole EAP-Request/AKA'-Challenge (RFC 9048 §3).
    ///
    /// AUTN is checked first, then AT_MAC over the packet; only when both hold are the SQN stored,
    /// RES released and a session opened.
    3 AkaPrimeChallenge<'a> [Network] max 4096 once -> AkaAnswer {
        /// The profile; the enabled one where it is absent.
        #[serde(borrow)]
        iccid: Option<&'a str>,
        /// The identity that enters the key derivation (RFC 9048 §3.3).
        identity: &'a [u8],
        /// The packet as it came, EAP header included.
        packet: &'a [u8],
        /// The agreed AT_KDF_FS, whose public key stands in AT_PUB_ECDHE (RFC 9678 §6.3); without
        /// it both are ignored.
        forward_secrecy: Option<Group>,
    }

    /// Runs EAP-AKA on a whole EAP-Request/AKA-Challenge (RFC 4187 §9.3), with the checks of
    /// [`AkaPrimeChallenge`].
    4 AkaChallenge<'a> [Network] max 4096 once -> AkaAnswer {
        /// The profile; the enabled one where it is absent.
        #[serde(borrow)]
        iccid: Option<&'a str>,
        /// The identity that enters the key derivation (RFC 4187 §7).
        identity: &'a [u8],
        /// The packet as it came, EAP header included.
        packet: &'a [u8],
        /// Whether a vector made for EAP-AKA', its AMF separation bit 1, is refused.
        refuse_separation_bit: bool,
    }

    /// Takes a fast re-authentication of either method (RFC 4187 §5): AT_MAC, the encrypted counter
    /// and NONCE_S are checked here, and the counter is stored before the answer leaves.
    5 Reauthenticate<'a> [Network] max 4096 once -> ReauthenticationAnswer {
        /// The profile; the enabled one where it is absent.
        #[serde(borrow)]
        iccid: Option<&'a str>,
        /// The re-authentication identity that was shown.
        identity: &'a [u8],
        /// The packet as it came, EAP header included.
        packet: &'a [u8],
    }

    /// AT_MAC of a response of ours; only packets with EAP code 2 and the session's method are
    /// taken. That of a re-authentication response covers NONCE_S too (RFC 4187 §9.8).
    10 EapMac<'a> [Network] max 4096 repeatable -> MacAnswer {
        /// A session of this connection.
        handle: u32,
        /// The response with the 16 octets of AT_MAC zero.
        packet: &'a [u8],
    }

    /// Verifies AT_MAC of a later request of the server (EAP code 1); after a re-authentication
    /// also that it holds the session's AT_COUNTER, encrypted (RFC 4187 §6.1).
    11 EapVerify<'a> [Network] max 4096 repeatable -> () {
        /// A session of this connection.
        handle: u32,
        /// The request as it came.
        packet: &'a [u8],
    }

    /// Wipes a session before its connection ends.
    13 CloseSession [Network] max 16 once -> () {
        /// A session of this connection.
        handle: u32,
    }

    /// AT_IV and AT_ENCR_DATA of a response in a re-authentication: they hold the session's
    /// AT_COUNTER, and AT_COUNTER_TOO_SMALL where it was (RFC 4187 §9.8). What is encrypted is
    /// decided here.
    14 EncryptCounter [Network] max 16 repeatable -> EncryptedAnswer {
        /// A session of this connection.
        handle: u32,
    }

    /// EAP-Success was received and believed: the pseudonym and the re-authentication identity that
    /// came in this session are stored, and the keys of a 5G core are anchored (TS 33.501 §6.1).
    ///
    /// Where both sides asked for protected results (RFC 4187 §6.2), [`EapVerify`] has to have seen
    /// that of success.
    15 Confirm<'a> [Network] max 96 repeatable -> () {
        /// A session of this connection.
        handle: u32,
        /// The MSK that came from the server where one comes, as in a RADIUS Access-Accept (RFC
        /// 2548 §2.4.2 and §2.4.3): 64 octets, which have to be the session's. The MSK itself never
        /// leaves.
        #[serde(borrow)]
        msk: Option<SecretSlice<'a>>,
    }

    /// The device certificate, DER.
    20 DeviceCertificate [Network] max 16 repeatable -> CertificateAnswer {}

    /// Signs the CertificateVerify of a DTLS 1.2 handshake with the device key (RFC 5246 §7.4.8).
    ///
    /// The order of the messages, the own certificate and the end in ClientKeyExchange are checked.
    21 SignHandshake<'a> [Network] max 16384 repeatable -> SignatureAnswer {
        /// All handshake messages so far, as they enter the handshake hash (RFC 6347 §4.2.6).
        transcript: &'a [u8],
    }

    /// The master secret of a DTLS 1.2 handshake with the PSK of an account: with extended master
    /// secret (RFC 7627 §4), plain PSK (RFC 4279 §2) and a cipher suite of SHA-256. No other label
    /// is derived with.
    ///
    /// No role file gives it: netd has no servers with a PSK yet.
    22 PskMasterSecret [Network] max 64 repeatable -> SecretAnswer {
        /// The account.
        account: u16,
        /// SHA-256 over the handshake messages up to ClientKeyExchange.
        session_hash: [u8; 32],
    }

    /// Opens, verifies and stages a sealed profile or a signed command; without one, begins an
    /// empty transaction.
    30 Stage<'a> [Network Admin] max 4096 repeatable -> StageAnswer {
        /// Names the transaction; a new one replaces a staged one of this role.
        txid: [u8; 16],
        /// The package, version 1: a sealed profile or a command that an operator signed.
        #[serde(borrow)]
        package: Option<&'a [u8]>,
    }

    /// Makes the staged transaction durable; a second Commit of the same one is answered alike, to
    /// the role network also after a restart, but for one that changed nothing. A refused Commit
    /// ends the transaction.
    31 Commit [Network Admin] max 64 repeatable -> () {
        /// The staged transaction.
        txid: [u8; 16],
        /// SHA-256 of the LwM2M accounts that netd keeps from now on: it becomes durable with the
        /// transaction, and [`Status`] gives it back. Without one, the one that is there stays. The
        /// role network's alone.
        accounts: Option<[u8; 32]>,
    }

    /// Forgets a staged transaction.
    32 Abort [Network] max 32 repeatable -> () {
        /// The staged transaction.
        txid: [u8; 16],
    }

    /// Some of the installed profiles: ICCID, state and algorithm.
    33 ListProfiles [Admin] max 16 repeatable -> ProfilesAnswer {
        /// The first slot to look into: 0, or what the answer before named.
        from: u32,
    }

    /// Enables a profile and disables the one that was enabled.
    34 Enable<'a> [Admin] max 64 repeatable -> () {
        /// The profile.
        iccid: &'a str,
    }

    /// Takes a profile out of use.
    35 Disable<'a> [Admin] max 64 repeatable -> () {
        /// The profile.
        iccid: &'a str,
    }

    /// Deletes a disabled profile and leaves a tombstone, so that its SQN can't be rewound.
    36 Delete<'a> [Admin] max 64 repeatable -> () {
        /// The profile.
        iccid: &'a str,
    }

    /// Adds the PSK accounts to the staged transaction, or begins one with them. They are all that
    /// there are to be: what isn't named goes with the Commit.
    ///
    /// No role file gives it, as [`PskMasterSecret`].
    37 StageAccounts<'a> [Network] max 4096 repeatable -> () {
        /// The transaction.
        txid: [u8; 16],
        /// At most 16 accounts, each named once.
        #[serde(borrow)]
        accounts: Vec<PskAccount<'a>>,
    }

    /// Signs a message of an application with the application key, never with the device key.
    ///
    /// Signed is SHA-256 over `softsim application signature v1`, a zero octet, the client's uid (4
    /// octets, big endian), the length of the context (1 octet), the context and the message.
    40 Sign<'a> [App] max 4096 repeatable -> SignatureAnswer {
        /// What the signature is for, at most 64 octets.
        context: &'a str,
        /// The message.
        message: &'a [u8],
    }

    /// The public half of the application key, as a SubjectPublicKeyInfo.
    41 ApplicationKey [App] max 16 repeatable -> PublicKeyAnswer {}

    /// The key of one application function, K_AF, and the identifier that goes with it (TS 33.535
    /// §6.2), made of the last primary authentication with a 5G core.
    ///
    /// Only of a function that the host names for the user (`--app-af`), letter by letter: what
    /// ends in its name is another one.
    42 AkmaKey<'a> [App] max 320 repeatable -> AkmaAnswer {
        /// The function's domain name, in lower case, at most 253 octets.
        af: &'a str,
        /// The security protocol of Ua* (TS 33.535 Annex A.4).
        ua_star: [u8; 5],
    }

    /// Makes the device, sealing and application keys inside keyd; refused when they exist.
    50 GenerateDeviceKey [Admin] max 16 once -> DeviceKeyAnswer {}

    /// A PKCS #10 request for the device key: CN is the device id in hexadecimal, nothing else.
    51 CertificateRequest [Admin] max 16 repeatable -> CertificateAnswer {}

    /// Stores the device certificate; its key must be the device key.
    52 SetDeviceCertificate<'a> [Admin] max 4096 repeatable -> () {
        /// The certificate, DER, at most 2,048 octets.
        certificate: &'a [u8],
    }

    /// The sealing public key and the device id, signed by the device key (COSE_Sign1).
    53 SealingStatement [Network Admin] max 16 repeatable -> SealingStatementAnswer {}

    /// Adds an operator whose packages are opened.
    54 AddTrustAnchor<'a> [Admin] max 256 repeatable -> () {
        /// The operator's public key: a P-256 SubjectPublicKeyInfo, DER.
        issuer: &'a [u8],
    }

    /// Takes an operator away whose packages are opened; its profiles stay.
    55 RemoveTrustAnchor<'a> [Admin] max 256 repeatable -> () {
        /// The operator's public key: a P-256 SubjectPublicKeyInfo, DER.
        issuer: &'a [u8],
    }

    /// Forgets the pseudonym and the re-authentication identity of a profile: the way out where the
    /// network has lost them and the permanent identity is withheld.
    56 ForgetIdentities<'a> [Admin] max 64 repeatable -> () {
        /// The profile; the enabled one where it is absent.
        #[serde(borrow)]
        iccid: Option<&'a str>,
    }

    /// Runs AKA for a supplicant that makes EAP's keys itself (TS 33.102 §6.3): RES, CK and IK
    /// leave.
    ///
    /// Only where the host gave keyd a socket for the role, and the sealed profile consents.
    60 UmtsAuthenticate<'a> [Supplicant] max 128 once -> UmtsAnswer {
        /// The profile; the enabled one where it is absent.
        #[serde(borrow)]
        iccid: Option<&'a str>,
        /// RAND.
        rand: [u8; 16],
        /// AUTN.
        autn: [u8; 16],
    }
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Commit {
    /// A Commit that leaves the digest of netd's accounts as it is.
    pub const fn new(txid: [u8; 16]) -> Self {
        let accounts = None;
        Self { txid, accounts }
    }
}
