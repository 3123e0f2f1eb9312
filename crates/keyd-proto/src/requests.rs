//! The request table: every request, the roles that may make it, its longest length, and whether it
//! may be repeated.

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
    /// keyd's answer, unless it refuses.
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

            /// The request's name in role files.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* }
            }

            /// The roles that may make the request. Role files can only restrict them.
            pub const fn roles(self) -> &'static [Role] {
                match self { $( Self::$name => &[$( Role::$role, )*], )* }
            }

            /// The longest such request in octets, including its kind.
            pub const fn max_length(self) -> usize {
                match self { $( Self::$name => $limit, )* }
            }

            /// Whether a client that lost the answer may repeat the request without a second
            /// effect.
            pub const fn repeatable(self) -> bool {
                match self { $( Self::$name => requests!(@$repeat), )* }
            }
        }
    };
    (@repeatable) => { true };
    (@once) => { false };
}

/// An account with a server that authenticates the device by a pre-shared key.
#[derive(Serialize, Deserialize)]
pub struct PskAccount<'a> {
    /// The instance of the LwM2M Security object, which identifies the account.
    pub account: u16,
    /// Its key, 16 to 64 octets. Without a key, the account keeps its present one.
    #[serde(borrow)]
    pub psk: Option<&'a [u8]>,
}

/// Doesn't print the key.
impl fmt::Debug for PskAccount<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PskAccount({})", self.account)
    }
}

requests! {
    /// Begins a connection, and returns the protocol's version, the role and the limits. If keyd
    /// refuses it, the connection ends.
    0 Hello [Network Admin App Supplicant] max 16 repeatable -> HelloAnswer {
        /// The client's [`crate::PROTOCOL_VERSION`].
        version: u16,
    }

    /// What is enforced, the profiles and the counters, but no secret. The role app learns only
    /// whether there is a profile.
    1 Status [Network Admin App] max 16 repeatable -> StatusAnswer {}

    /// Answered as [`Status`], as soon as [`StatusAnswer::changes`] differs from what the client
    /// has seen. keyd reads no other request of the connection until then, so that answers stay in
    /// order; a client ends its waiting by closing the connection.
    ///
    /// No role file permits it to the role admin, whose client doesn't wait yet.
    6 Wait [Network Admin] max 16 repeatable -> StatusAnswer {
        /// The number in the last status that the client has seen; 0 gets an answer at once.
        seen: u64,
    }

    /// An identity to show to an access network. keyd decides which one may be shown, according to
    /// `--identity-privacy`.
    ///
    /// keyd gives out a re-authentication identity once, to the role network only. It also gives
    /// out a pseudonym only once if the server assigned it in an exchange that began with a SUCI
    /// (RFC 9048 §5.2).
    ///
    /// A server that asks for the permanent identity inside the method has refused the pseudonym
    /// that it saw before. keyd then shows its other pseudonym next, and counts for how long the
    /// refusals go on.
    2 Identity<'a> [Network Supplicant] max 320 once -> IdentityAnswer {
        /// The profile; if absent, the enabled one.
        #[serde(borrow)]
        iccid: Option<&'a str>,
        /// The method that it is for. The first character of a permanent identity states it.
        method: Method,
        /// Whether a re-authentication identity of the other method will do, too: the client speaks
        /// both, and the server has not chosen one yet.
        any_method: bool,
        /// Which kind of identity is wanted.
        kind: IdentityRequest,
        /// Whether the server asks inside the method (AKA-Identity) a client that isn't authorised.
        /// If not, the request is no refusal, and a permanent identity is never shown out of
        /// patience.
        inside: bool,
        /// The realm of an identity that keyd builds. Identities that a server assigned are shown
        /// unchanged.
        realm: Realm,
        /// The access network's name as configured. A fast re-authentication must be on the network
        /// of its full authentication (RFC 9048 §3.3).
        network_name: &'a str,
    }

    /// Runs EAP-AKA' on a whole EAP-Request/AKA'-Challenge (RFC 9048 §3).
    ///
    /// keyd checks AUTN first, then AT_MAC over the packet. Only if both are right does it store
    /// the SQN, give RES and open a session.
    3 AkaPrimeChallenge<'a> [Network] max 4096 once -> AkaAnswer {
        /// The profile; if absent, the enabled one.
        #[serde(borrow)]
        iccid: Option<&'a str>,
        /// The identity that enters the key derivation (RFC 9048 §3.3).
        identity: &'a [u8],
        /// The packet as received, including the EAP header.
        packet: &'a [u8],
        /// The agreed group of AT_KDF_FS; AT_PUB_ECDHE holds a public key of it (RFC 9678 §6.3).
        /// Without a group, keyd ignores both attributes.
        forward_secrecy: Option<Group>,
    }

    /// Runs EAP-AKA on a whole EAP-Request/AKA-Challenge (RFC 4187 §9.3), with the checks of
    /// [`AkaPrimeChallenge`].
    4 AkaChallenge<'a> [Network] max 4096 once -> AkaAnswer {
        /// The profile; if absent, the enabled one.
        #[serde(borrow)]
        iccid: Option<&'a str>,
        /// The identity that enters the key derivation (RFC 4187 §7).
        identity: &'a [u8],
        /// The packet as received, including the EAP header.
        packet: &'a [u8],
        /// Whether keyd must refuse a vector for EAP-AKA', whose AMF separation bit is 1.
        refuse_separation_bit: bool,
    }

    /// Runs a fast re-authentication of either method (RFC 4187 §5). keyd checks AT_MAC, the
    /// encrypted counter and NONCE_S, and uses up the re-authentication context before the answer
    /// leaves.
    5 Reauthenticate<'a> [Network] max 4096 once -> ReauthenticationAnswer {
        /// The profile; if absent, the enabled one.
        #[serde(borrow)]
        iccid: Option<&'a str>,
        /// The re-authentication identity that was shown.
        identity: &'a [u8],
        /// The packet as received, including the EAP header.
        packet: &'a [u8],
    }

    /// Computes AT_MAC of our response, which must have EAP code 2 and the session's method. In a
    /// re-authentication response, AT_MAC also covers NONCE_S (RFC 4187 §9.8).
    10 EapMac<'a> [Network] max 4096 repeatable -> MacAnswer {
        /// A session of this connection.
        handle: u32,
        /// The response, in which the 16 octets of AT_MAC are zero.
        packet: &'a [u8],
    }

    /// Verifies AT_MAC of a later request of the server (EAP code 1). After a re-authentication, it
    /// also verifies that the request holds the session's AT_COUNTER, encrypted (RFC 4187 §6.1).
    11 EapVerify<'a> [Network] max 4096 repeatable -> () {
        /// A session of this connection.
        handle: u32,
        /// The request as received.
        packet: &'a [u8],
    }

    /// Wipes a session before its connection ends.
    13 CloseSession [Network] max 16 once -> () {
        /// A session of this connection.
        handle: u32,
    }

    /// AT_IV and AT_ENCR_DATA of a response in a re-authentication. They hold the session's
    /// AT_COUNTER, and AT_COUNTER_TOO_SMALL if the counter was too small (RFC 4187 §9.8). The
    /// client doesn't choose what is encrypted.
    14 EncryptCounter [Network] max 16 repeatable -> EncryptedAnswer {
        /// A session of this connection.
        handle: u32,
    }

    /// Reports that the peer accepted an EAP-Success. From now on, keyd shows the pseudonym of this
    /// session first. It stores the re-authentication context, and anchors the keys of a 5G core
    /// (TS 33.501 §6.1).
    ///
    /// If both sides asked for protected results (RFC 4187 §6.2), keyd refuses until [`EapVerify`]
    /// has verified the notification of success.
    15 Confirm<'a> [Network] max 96 repeatable -> () {
        /// A session of this connection.
        handle: u32,
        /// The MSK of the server, 64 octets, if the carrier has it, as in a RADIUS Access-Accept
        /// (RFC 2548 §2.4.2 and §2.4.3). It must be the session's. keyd's own MSK never leaves.
        #[serde(borrow)]
        msk: Option<SecretSlice<'a>>,
    }

    /// Reports that an authentication failed after the server got a pseudonym, so that the next one
    /// shows the other pseudonym, or, after both were refused before the method, none. keyd refuses
    /// it if it gave out no pseudonym since the last refusal. Silence is no such failure.
    16 IdentityRefused<'a> [Network] max 64 once -> () {
        /// The profile; if absent, the enabled one.
        #[serde(borrow)]
        iccid: Option<&'a str>,
        /// Whether it counts for the patience at whose end the permanent identity is shown: the
        /// server had asked for an identity for full authentication inside the method
        /// (AT_FULLAUTH_ID_REQ) and got a pseudonym, and the client may show the permanent
        /// identity.
        counts: bool,
    }

    /// The device certificate, DER.
    20 DeviceCertificate [Network Admin] max 16 repeatable -> CertificateAnswer {}

    /// Signs the CertificateVerify of a DTLS 1.2 handshake with the device key (RFC 5246 §7.4.8).
    ///
    /// keyd checks the order of the messages, its own certificate, and that the transcript ends in
    /// ClientKeyExchange.
    21 SignHandshake<'a> [Network] max 16384 repeatable -> SignatureAnswer {
        /// All handshake messages so far, in the form that enters the handshake hash (RFC 6347
        /// §4.2.6).
        transcript: &'a [u8],
    }

    /// The master secret of a DTLS 1.2 handshake with the PSK of an account: an extended master
    /// secret (RFC 7627 §4), with plain PSK (RFC 4279 §2) and a cipher suite of SHA-256. keyd uses
    /// no other label.
    ///
    /// No role file permits it, because netd has no servers with a PSK yet.
    22 PskMasterSecret [Network] max 64 repeatable -> SecretAnswer {
        /// The account.
        account: u16,
        /// SHA-256 over the handshake messages up to ClientKeyExchange.
        session_hash: [u8; 32],
    }

    /// Opens, verifies and stages a sealed profile or a signed command. Without a package, it
    /// begins an empty transaction.
    30 Stage<'a> [Network Admin] max 4096 repeatable -> StageAnswer {
        /// The id of the transaction, which replaces a staged one of this role.
        txid: [u8; 16],
        /// The package, version 1: a sealed profile or a command that an operator signed.
        #[serde(borrow)]
        package: Option<&'a [u8]>,
    }

    /// Makes the staged transaction durable. A second Commit of the same transaction gets the same
    /// answer; the role network gets it even after a restart, unless the transaction changed
    /// nothing. A refused Commit ends the transaction.
    31 Commit [Network Admin] max 64 repeatable -> () {
        /// The staged transaction.
        txid: [u8; 16],
        /// SHA-256 of the LwM2M accounts that netd keeps from now on. It becomes durable with the
        /// transaction, and [`Status`] returns it. Without it, the present one stays. Only the role
        /// network may set it.
        accounts: Option<[u8; 32]>,
    }

    /// Drops a staged transaction.
    32 Abort [Network] max 32 repeatable -> () {
        /// The staged transaction.
        txid: [u8; 16],
    }

    /// Lists a page of the installed profiles: ICCID, state and algorithm.
    33 ListProfiles [Admin] max 16 repeatable -> ProfilesAnswer {
        /// The first slot to list: 0, or the one that the previous answer named.
        from: u32,
    }

    /// Enables a profile, and disables the previously enabled one.
    34 Enable<'a> [Admin] max 64 repeatable -> () {
        /// The profile.
        iccid: &'a str,
    }

    /// Disables a profile.
    35 Disable<'a> [Admin] max 64 repeatable -> () {
        /// The profile.
        iccid: &'a str,
    }

    /// Deletes a disabled profile and leaves a tombstone, so that its SQN can't be rewound.
    36 Delete<'a> [Admin] max 64 repeatable -> () {
        /// The profile.
        iccid: &'a str,
    }

    /// Adds the PSK accounts to the staged transaction, or begins one with them. They are the
    /// complete new list: the Commit deletes accounts that aren't named.
    ///
    /// No role file permits it, like [`PskMasterSecret`].
    37 StageAccounts<'a> [Network] max 4096 repeatable -> () {
        /// The id of the transaction.
        txid: [u8; 16],
        /// At most 16 accounts, each named once.
        #[serde(borrow)]
        accounts: Vec<PskAccount<'a>>,
    }

    /// Signs a message of an application with the application key, never with the device key.
    ///
    /// The signature is over the SHA-256 of `softsim application signature v1`, a zero octet, the
    /// client's uid (4 octets, big endian), the length of the context (1 octet), the context and
    /// the message.
    40 Sign<'a> [App] max 4096 repeatable -> SignatureAnswer {
        /// The purpose of the signature, at most 64 octets.
        context: &'a str,
        /// The message.
        message: &'a [u8],
    }

    /// The public half of the application key, as a SubjectPublicKeyInfo.
    41 ApplicationKey [App] max 16 repeatable -> PublicKeyAnswer {}

    /// K_AF, the key of one application function, and the identifier that belongs to it (TS 33.535
    /// §6.2). keyd derives them from the last primary authentication with a 5G core.
    ///
    /// keyd gives them only for a function that the host names for the user (`--app-af`). It
    /// compares the name letter by letter: a subdomain is another name.
    42 AkmaKey<'a> [App] max 320 repeatable -> AkmaAnswer {
        /// The function's domain name, in lower case, at most 253 octets.
        af: &'a str,
        /// The security protocol of Ua* (TS 33.535 Annex A.4).
        ua_star: [u8; 5],
    }

    /// Generates the device, sealing and application keys inside keyd. keyd refuses if they exist.
    50 GenerateDeviceKey [Admin] max 16 once -> DeviceKeyAnswer {}

    /// A PKCS #10 request for the device key. Its subject is only CN, the device id in hexadecimal.
    51 CertificateRequest [Admin] max 16 repeatable -> CertificateAnswer {}

    /// Stores the device certificate; its key must be the device key.
    52 SetDeviceCertificate<'a> [Admin] max 4096 repeatable -> () {
        /// The certificate, DER, at most 2,048 octets.
        certificate: &'a [u8],
    }

    /// The sealing public key and the device id, signed by the device key (COSE_Sign1).
    53 SealingStatement [Network Admin] max 16 repeatable -> SealingStatementAnswer {}

    /// Adds an operator whose packages keyd opens.
    54 AddTrustAnchor<'a> [Admin] max 256 repeatable -> () {
        /// The operator's public key: a P-256 SubjectPublicKeyInfo, DER.
        issuer: &'a [u8],
    }

    /// Removes an operator, whose packages keyd then no longer opens. Its profiles stay.
    55 RemoveTrustAnchor<'a> [Admin] max 256 repeatable -> () {
        /// The operator's public key: a P-256 SubjectPublicKeyInfo, DER.
        issuer: &'a [u8],
    }

    /// Forgets the pseudonyms and the re-authentication context of a profile. Use it if the network
    /// has lost them and keyd withholds the permanent identity.
    56 ForgetIdentities<'a> [Admin] max 64 repeatable -> () {
        /// The profile; if absent, the enabled one.
        #[serde(borrow)]
        iccid: Option<&'a str>,
    }

    /// Sets the kept time back, for example after an operator signed a package that begins too
    /// late. keyd takes any time from its own build up to the kept time; [`Status`] has both.
    57 SetTimeBack [Admin] max 16 repeatable -> () {
        /// The time to keep instead, in seconds since 1970.
        seconds: u64,
    }

    /// Runs AKA for a supplicant that derives EAP's keys itself (TS 33.102 §6.3), and gives out
    /// RES, CK and IK.
    ///
    /// It is possible only if the host gave keyd a socket for the role, and the sealed profile
    /// consents.
    60 UmtsAuthenticate<'a> [Supplicant] max 128 once -> UmtsAnswer {
        /// The profile; if absent, the enabled one.
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
