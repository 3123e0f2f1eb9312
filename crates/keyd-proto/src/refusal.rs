//! Why keyd refuses a request: what was expected, and what it got.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::requests::RequestKind;
use crate::role::Role;
use crate::time::Utc;

/// Why a request was refused. Nothing has changed in keyd, except with [`Refusal::Storage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Another protocol version was expected.
    #[error("expected protocol version {expected}, got {got}")]
    Version {
        /// keyd's.
        expected: u16,
        /// The client's.
        got: u16,
    },
    /// No request has this octet.
    #[error(fmt = unknown_request)]
    UnknownRequest {
        /// The octet; none if the datagram was empty.
        got: Option<u8>,
    },
    /// The role may not make the request.
    #[error("{request} is not permitted to the role {role}")]
    NotPermitted {
        /// The request.
        request: RequestKind,
        /// The role of the socket.
        role: Role,
    },
    /// The request is longer than its limit.
    #[error("{request} is longer than {limit} octets")]
    TooLong {
        /// The request.
        request: RequestKind,
        /// Its limit in octets.
        limit: u32,
    },
    /// The fields don't have the request's shape.
    #[error("the fields of {request} are malformed")]
    Malformed {
        /// The request.
        request: RequestKind,
    },
    /// A field's value is out of range.
    #[error("{name}: expected {expected}, got {got}")]
    Field {
        /// The field.
        name: String,
        /// What was expected.
        expected: String,
        /// What was given.
        got: String,
    },
    /// This uid makes too many requests.
    #[error(fmt = retry_after)]
    RetryAfter {
        /// When to repeat the request, in milliseconds from now.
        milliseconds: u32,
    },
    /// No profile is enabled.
    #[error("expected an enabled profile, got none")]
    NoProfile,
    /// No installed profile has this ICCID.
    #[error("no installed profile has this ICCID")]
    UnknownProfile,
    /// AUTN is wrong. The server gets Authentication-Reject (RFC 4187 §6.3.1).
    #[error("AUTN: {0}")]
    Autn(AutnFault),
    /// The EAP packet is invalid. The server gets Client-Error.
    #[error("EAP packet: {0}")]
    Packet(PacketFault),
    /// The handle is not one of this connection.
    #[error("session handle {got} is not one of this connection")]
    UnknownHandle {
        /// The handle.
        got: u32,
    },
    /// The connection holds as many handles as it may.
    #[error("this connection holds {limit} sessions already")]
    TooManyHandles {
        /// The limit.
        limit: u8,
    },
    /// The server's MSK isn't the session's.
    #[error("expected the server's MSK to be the session's, got another")]
    OtherMsk,
    /// Both sides asked for protected results, but there was no notification of success (RFC 4187
    /// §6.2).
    #[error("expected the server's protected notification of success first, got none")]
    NoProtectedSuccess,
    /// The handshake transcript doesn't have the shape of a client's DTLS 1.2 handshake.
    #[error("handshake transcript: {0}")]
    Handshake(HandshakeFault),
    /// The transaction isn't the staged one.
    #[error("{0}")]
    Transaction(TransactionFault),
    /// The sealed package was not accepted.
    #[error("sealed package: {0}")]
    Package(PackageFault),
    /// There is no room for another one.
    #[error("the store is full: it has room for {capacity} {what}")]
    StoreFull {
        /// What there is no room for.
        what: Room,
        /// How many of them there is room for.
        capacity: u32,
    },
    /// An operator has caused as many tombstones as it may, so that others find room for theirs.
    #[error("expected at most {limit} tombstones of issuer {}, got one more", Hex(.issuer))]
    Quota {
        /// The operator.
        issuer: [u8; 32],
        /// The number of tombstones that it may cause.
        limit: u32,
    },
    /// Tombstones of operators that aren't trusted any more take the room that another one needs.
    #[error("expected room for {expected} tombstones of another operator, got room for {got}")]
    NoRoomForOperator {
        /// How many tombstones each operator may cause.
        expected: u32,
        /// For how many there is room beside those that others may cause or have caused.
        got: u32,
    },
    /// A profile must be disabled before it can be deleted.
    #[error("expected a disabled profile, got an enabled one")]
    ProfileEnabled,
    /// `softsimctl enrol` has not been run.
    #[error("there is no device key yet: enrol first")]
    NoDeviceKey,
    /// The device key exists, and is made only once.
    #[error("the device key exists and is made only once")]
    DeviceKeyExists,
    /// No device certificate is stored.
    #[error("no device certificate is stored: enrol first")]
    NoDeviceCertificate,
    /// The certificate is not for the device key.
    #[error("the certificate is not for the device key")]
    CertificateKey,
    /// The storage failed, and it is unknown whether the change is stored. keyd exits, and systemd
    /// restarts it with the stored state.
    #[error("keyd's storage failed; it restarts on its stored state")]
    Storage,
    /// This uid, or all users together whom only a group admits, hold as many connections to the
    /// role's socket as they may; keyd closes this one.
    #[error("this user, or all whom a group admits, hold {limit} connections already")]
    TooManyConnections {
        /// The limit.
        limit: u8,
    },
    /// A signed command would change a profile that another operator installed.
    #[error(
        "a command may change profiles of its own issuer only, and this one would change another issuer's"
    )]
    ForeignProfile,
    /// The profile has the XOR test algorithm, which protects nothing, and keyd was started without
    /// `--allow-test-profiles`.
    #[error(
        "the profile's test algorithm protects nothing, and keyd runs without --allow-test-profiles"
    )]
    TestAlgorithm,
    /// There is no such account.
    #[error("there is no account {got}")]
    UnknownAccount {
        /// The account.
        got: u16,
    },
    /// keyd doesn't show the requested identity (`--identity-privacy`).
    #[error("the permanent identity is withheld by --identity-privacy")]
    IdentityWithheld,
    /// The profile has no key of the home network to conceal its identity with, and the null scheme
    /// isn't allowed.
    #[error("the profile has no key of the home network to conceal its identity with")]
    NoHomeNetworkKey,
    /// keyd gave out no pseudonym for full authentication that a network can have refused.
    #[error("no pseudonym was given out that the network can have refused")]
    NothingRefused,
    /// There is no re-authentication context for this identity.
    #[error("there is no re-authentication context for this identity")]
    NoReauthentication,
    /// The server's counter was too small, so the session can only answer AT_COUNTER_TOO_SMALL.
    #[error("the server's counter was too small: the session can only answer AT_COUNTER_TOO_SMALL")]
    CounterTooSmall,
    /// No primary authentication with a 5G core has anchored keys.
    #[error("no primary authentication with a 5G core has anchored keys")]
    NotAnchored,
    /// This user may have no key of the application function (`--app-af`).
    #[error(
        "this user may not have a key of this application function: --app-af names those that it may have"
    )]
    ApplicationFunction,
    /// The sealed profile doesn't consent to giving out raw CK and IK.
    #[error("the profile doesn't consent to giving out raw CK and IK")]
    NoConsent,
    /// keyd can't tell this user from others, since its user namespace has no number for it.
    #[error(
        "expected a user that softsim-keyd can tell from others, got uid {uid}, which stands for all that have no \
         number there: the likely cause is PrivateUsers=yes in its unit"
    )]
    HiddenUser {
        /// The uid that keyd sees.
        uid: u32,
    },
}

/// What keyd has limited room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Room {
    /// Profiles.
    #[error("profiles")]
    Profiles,
    /// Tombstones of deleted profiles.
    #[error("tombstones")]
    Tombstones,
    /// Trust anchors.
    #[error("trust anchors")]
    TrustAnchors,
    /// Issuers whose sequences are stored.
    #[error("issuers, whose sequences it never forgets")]
    Issuers,
    /// PSK accounts.
    #[error("accounts")]
    Accounts,
    /// Records that one transaction changes.
    #[error("changes at once")]
    Changes,
}

/// What was wrong with AUTN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AutnFault {
    /// MAC-A differs from XMAC-A (TS 33.102 §6.3.3).
    #[error(
        "MAC-A differs from XMAC-A, so K or OPc of the profile differs from the operator's (or OP stands where \
         OPc should), or a stranger answered"
    )]
    Mac,
    /// The AMF separation bit is 0 (RFC 9048 §3.3).
    #[error("expected the AMF separation bit to be 1, got 0")]
    SeparationBit,
    /// The AMF separation bit is 1, which the policy for EAP-AKA refuses.
    #[error("expected the AMF separation bit to be 0, got 1")]
    SeparationBitSet,
}

/// What was wrong with an EAP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PacketFault {
    /// Another EAP code, method or subtype was expected.
    #[error("expected the code, method and subtype of the exchange, got others")]
    Type,
    /// The EAP length differs from the packet's.
    #[error("its length field differs from its length")]
    Length,
    /// An attribute is malformed, occurs twice, stands in the wrong place, or is unknown and not
    /// skippable.
    #[error("an attribute is malformed, repeated or out of place")]
    Attribute,
    /// A required attribute is missing; its type.
    #[error("attribute {0} is missing")]
    Missing(u8),
    /// keyd doesn't support the first AT_KDF.
    #[error("expected AT_KDF 1 first, got another")]
    Kdf,
    /// AT_MAC is wrong.
    #[error("AT_MAC is wrong")]
    Mac,
    /// AT_PUB_ECDHE is not a public key of the agreed group, or the first AT_KDF_FS is another.
    #[error("AT_PUB_ECDHE is not a public key of the agreed group")]
    PublicKey,
    /// AT_ENCR_DATA has no AT_IV, or has the wrong contents.
    #[error("AT_ENCR_DATA has the wrong contents")]
    Encrypted,
    /// The encrypted AT_COUNTER is not the session's.
    #[error("the encrypted AT_COUNTER is not the session's")]
    Counter,
}

/// What was wrong with a handshake transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum HandshakeFault {
    /// A message is truncated, fragmented or not in sequence.
    #[error("a message is truncated, fragmented or out of sequence")]
    Framing,
    /// A message has another type than expected.
    #[error("expected handshake type {expected}, got {got}")]
    Order {
        /// The expected handshake type.
        expected: u8,
        /// The handshake type of the message.
        got: u8,
    },
    /// The client's certificate is not the device certificate.
    #[error("the client certificate is not the device certificate")]
    Certificate,
    /// The transcript doesn't end in ClientKeyExchange.
    #[error("it doesn't end in ClientKeyExchange")]
    End,
}

/// Why a transaction isn't the staged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TransactionFault {
    /// Nothing is staged.
    #[error("nothing is staged")]
    NothingStaged,
    /// Another transaction is staged.
    #[error("expected transaction {}, got {}", Hex(.expected), Hex(.got))]
    Other {
        /// The staged one.
        expected: [u8; 16],
        /// The named one.
        got: [u8; 16],
    },
}

/// Why a sealed package was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PackageFault {
    /// It has another format number.
    #[error("expected format {expected}, got {got}")]
    Format {
        /// The format that keyd opens.
        expected: u8,
        /// The package's.
        got: u8,
    },
    /// It doesn't have the exact shape of a package: where, what was expected, and what was found.
    #[error("{0}")]
    Shape(String),
    /// No trust anchor has this key id.
    #[error("issuer {} is not trusted", Hex(.got))]
    UnknownIssuer {
        /// SHA-256 of the issuer's public key, as the package names it.
        got: [u8; 32],
    },
    /// The operator's signature doesn't verify.
    #[error("the operator's signature doesn't verify")]
    Signature,
    /// It is for another device.
    #[error("expected device {}, got {}", Hex(.expected), Hex(.got))]
    Device {
        /// This device's id.
        expected: [u8; 32],
        /// The package's.
        got: [u8; 32],
    },
    /// It is sealed to another sealing key.
    #[error("expected sealing key {}, got {}", Hex(.expected), Hex(.got))]
    SealingKey {
        /// This device's sealing key id.
        expected: [u8; 32],
        /// The package's.
        got: [u8; 32],
    },
    /// The sequence doesn't rise.
    #[error("expected a sequence above {last}, got {got}")]
    Sequence {
        /// The last accepted one of this issuer.
        last: u64,
        /// The package's.
        got: u64,
    },
    /// The present is outside its validity, in seconds since 1970.
    #[error("valid from {} to {}, and it is {} now", Utc(*.not_before), Utc(*.not_after), Utc(*.now))]
    Validity {
        /// The first second.
        not_before: u64,
        /// The last second.
        not_after: u64,
        /// keyd's clock.
        now: u64,
    },
    /// The ciphertext can't be decrypted.
    #[error("the ciphertext doesn't open")]
    Decryption,
    /// A field of the profile is out of range. The value of a secret field is never given.
    #[error("{name}: expected {expected}, got {got}")]
    Field {
        /// The field.
        name: String,
        /// What was expected.
        expected: String,
        /// What was given.
        got: String,
    },
}

/// An empty datagram has no code.
fn unknown_request(got: &Option<u8>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match got {
        Some(code) => write!(f, "no request has code {code}"),
        None => f.write_str("expected a request, got nothing"),
    }
}

fn retry_after(milliseconds: &u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "too many requests: ask again in ")?;
    match milliseconds {
        ..10_000 => write!(f, "{milliseconds} ms"),
        _ => write!(f, "{} s", milliseconds.div_ceil(1000)),
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
