//! Why keyd refuses a request: what was expected, and what it got.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::requests::RequestKind;
use crate::role::Role;

/// Why a request was refused. Nothing has changed in keyd, except with [`Refusal::Storage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Another protocol version was expected.
    Version {
        /// keyd's.
        expected: u16,
        /// The client's.
        got: u16,
    },
    /// No request has this octet.
    UnknownRequest {
        /// The octet; none if the datagram was empty.
        got: Option<u8>,
    },
    /// The role may not make the request.
    NotPermitted {
        /// The request.
        request: RequestKind,
        /// The role of the socket.
        role: Role,
    },
    /// The request is longer than its limit.
    TooLong {
        /// The request.
        request: RequestKind,
        /// Its limit in octets.
        limit: u32,
    },
    /// The fields don't have the request's shape.
    Malformed {
        /// The request.
        request: RequestKind,
    },
    /// A field's value is out of range.
    Field {
        /// The field.
        name: String,
        /// What was expected.
        expected: String,
        /// What was given.
        got: String,
    },
    /// This uid makes too many requests.
    RetryAfter {
        /// When to repeat the request, in milliseconds from now.
        milliseconds: u32,
    },
    /// No profile is enabled.
    NoProfile,
    /// No installed profile has this ICCID.
    UnknownProfile,
    /// AUTN is wrong. The server gets Authentication-Reject (RFC 4187 §6.3.1).
    Autn(AutnFault),
    /// The EAP packet is invalid. The server gets Client-Error.
    Packet(PacketFault),
    /// The handle is not one of this connection.
    UnknownHandle {
        /// The handle.
        got: u32,
    },
    /// The connection holds as many handles as it may.
    TooManyHandles {
        /// The limit.
        limit: u8,
    },
    /// The server's MSK isn't the session's.
    OtherMsk,
    /// Both sides asked for protected results, but there was no notification of success (RFC 4187
    /// §6.2).
    NoProtectedSuccess,
    /// The handshake transcript doesn't have the shape of a client's DTLS 1.2 handshake.
    Handshake(HandshakeFault),
    /// The transaction isn't the staged one.
    Transaction(TransactionFault),
    /// The sealed package was not accepted.
    Package(PackageFault),
    /// There is no room for another profile, tombstone or trust anchor.
    StoreFull {
        /// How many there is room for.
        capacity: u32,
    },
    /// A profile must be disabled before it can be deleted.
    ProfileEnabled,
    /// `softsimctl enrol` has not been run.
    NoDeviceKey,
    /// The device key exists, and is made only once.
    DeviceKeyExists,
    /// No device certificate is stored.
    NoDeviceCertificate,
    /// The certificate is not for the device key.
    CertificateKey,
    /// The storage failed, and it is unknown whether the change is stored. keyd exits, and systemd
    /// restarts it with the stored state.
    Storage,
    /// This uid holds as many connections to the role's socket as it may; keyd closes this one.
    TooManyConnections {
        /// The limit.
        limit: u8,
    },
    /// A signed command would change a profile that another operator installed.
    ForeignProfile,
    /// The profile has the XOR test algorithm, which protects nothing, and keyd was started without
    /// `--allow-test-profiles`.
    TestAlgorithm,
    /// There is no such account.
    UnknownAccount {
        /// The account.
        got: u16,
    },
    /// keyd doesn't show the requested identity (`--identity-privacy`).
    IdentityWithheld,
    /// The profile has no key of the home network to conceal its identity with, and the null scheme
    /// isn't allowed.
    NoHomeNetworkKey,
    /// There is no re-authentication context for this identity.
    NoReauthentication,
    /// The server's counter was too small, so the session can only answer AT_COUNTER_TOO_SMALL.
    CounterTooSmall,
    /// No primary authentication with a 5G core has anchored keys.
    NotAnchored,
    /// This user may have no key of the application function (`--app-af`).
    ApplicationFunction,
    /// The sealed profile doesn't consent to giving out raw CK and IK.
    NoConsent,
}

/// What was wrong with AUTN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AutnFault {
    /// MAC-A differs from XMAC-A (TS 33.102 §6.3.3).
    Mac,
    /// The AMF separation bit is 0 (RFC 9048 §3.3).
    SeparationBit,
    /// The AMF separation bit is 1, which the policy for EAP-AKA refuses.
    SeparationBitSet,
}

/// What was wrong with an EAP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PacketFault {
    /// Another EAP code, method or subtype was expected.
    Type,
    /// The EAP length differs from the packet's.
    Length,
    /// An attribute is truncated, has length 0 or occurs twice.
    Attribute,
    /// A required attribute is missing; its type.
    Missing(u8),
    /// keyd doesn't support the first AT_KDF.
    Kdf,
    /// AT_MAC is wrong.
    Mac,
    /// AT_PUB_ECDHE is not a public key of the agreed group, or the first AT_KDF_FS is another.
    PublicKey,
    /// AT_ENCR_DATA has no AT_IV, or has the wrong contents.
    Encrypted,
    /// The encrypted AT_COUNTER is not the session's.
    Counter,
}

/// What was wrong with a handshake transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandshakeFault {
    /// A message is truncated, fragmented or not in sequence.
    Framing,
    /// A message has another type than expected.
    Order {
        /// The expected handshake type.
        expected: u8,
        /// The handshake type of the message.
        got: u8,
    },
    /// The client's certificate is not the device certificate.
    Certificate,
    /// The transcript doesn't end in ClientKeyExchange.
    End,
}

/// Why a transaction isn't the staged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransactionFault {
    /// Nothing is staged.
    NothingStaged,
    /// Another transaction is staged.
    Other {
        /// The staged one.
        expected: [u8; 16],
        /// The named one.
        got: [u8; 16],
    },
}

/// Why a sealed package was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PackageFault {
    /// It has another format number.
    Format {
        /// The format that keyd opens.
        expected: u8,
        /// The package's.
        got: u8,
    },
    /// It doesn't have the exact shape of a package: where, what was expected, and what was found.
    Shape(String),
    /// No trust anchor has this key id.
    UnknownIssuer {
        /// SHA-256 of the issuer's public key, as the package names it.
        got: [u8; 32],
    },
    /// The operator's signature doesn't verify.
    Signature,
    /// It is for another device.
    Device {
        /// This device's id.
        expected: [u8; 32],
        /// The package's.
        got: [u8; 32],
    },
    /// It is sealed to another sealing key.
    SealingKey {
        /// This device's sealing key id.
        expected: [u8; 32],
        /// The package's.
        got: [u8; 32],
    },
    /// The sequence doesn't rise.
    Sequence {
        /// The last accepted one of this issuer.
        last: u64,
        /// The package's.
        got: u64,
    },
    /// The present is outside its validity, in seconds since 1970.
    Validity {
        /// The first second.
        not_before: u64,
        /// The last second.
        not_after: u64,
        /// keyd's clock.
        now: u64,
    },
    /// The ciphertext can't be decrypted.
    Decryption,
    /// A field of the profile is out of range. The value of a secret field is never given.
    Field {
        /// The field.
        name: String,
        /// What was expected.
        expected: String,
        /// What was given.
        got: String,
    },
}

impl core::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { expected, got } => {
                write!(f, "expected protocol version {expected}, got {got}")
            }
            Self::UnknownRequest { got: Some(code) } => write!(f, "no request has code {code}"),
            Self::UnknownRequest { got: None } => f.write_str("expected a request, got nothing"),
            Self::NotPermitted { request, role } => {
                write!(f, "{request} is not permitted to the role {role}")
            }
            Self::TooLong { request, limit } => {
                write!(f, "{request} is longer than {limit} octets")
            }
            Self::Malformed { request } => write!(f, "the fields of {request} are malformed"),
            Self::Field {
                name,
                expected,
                got,
            } => {
                write!(f, "{name}: expected {expected}, got {got}")
            }
            Self::RetryAfter {
                milliseconds: milliseconds @ ..10_000,
            } => write!(f, "too many requests: ask again in {milliseconds} ms"),
            Self::RetryAfter { milliseconds } => {
                let seconds = milliseconds.div_ceil(1000);
                write!(f, "too many requests: ask again in {seconds} s")
            }
            Self::NoProfile => f.write_str("expected an enabled profile, got none"),
            Self::UnknownProfile => f.write_str("no installed profile has this ICCID"),
            Self::Autn(AutnFault::Mac) => f.write_str("AUTN: MAC-A differs from XMAC-A"),
            Self::Autn(AutnFault::SeparationBit) => {
                f.write_str("AUTN: expected the AMF separation bit to be 1, got 0")
            }
            Self::Autn(AutnFault::SeparationBitSet) => {
                f.write_str("AUTN: expected the AMF separation bit to be 0, got 1")
            }
            Self::Packet(fault) => write!(f, "EAP packet: {fault}"),
            Self::UnknownHandle { got } => {
                write!(f, "session handle {got} is not one of this connection")
            }
            Self::TooManyHandles { limit } => {
                write!(f, "this connection holds {limit} sessions already")
            }
            Self::OtherMsk => f.write_str("expected the server's MSK to be the session's, got another"),
            Self::NoProtectedSuccess => {
                f.write_str("expected the server's protected notification of success first, got none")
            }
            Self::Handshake(fault) => write!(f, "handshake transcript: {fault}"),
            Self::Transaction(TransactionFault::NothingStaged) => f.write_str("nothing is staged"),
            Self::Transaction(TransactionFault::Other { expected, got }) => {
                write!(
                    f,
                    "expected transaction {}, got {}",
                    Hex(expected),
                    Hex(got)
                )
            }
            Self::Package(fault) => write!(f, "sealed package: {fault}"),
            Self::StoreFull { capacity } => write!(f, "the store is full: it holds {capacity}"),
            Self::ProfileEnabled => f.write_str("expected a disabled profile, got an enabled one"),
            Self::NoDeviceKey => f.write_str("there is no device key yet: enrol first"),
            Self::DeviceKeyExists => f.write_str("the device key exists and is made only once"),
            Self::NoDeviceCertificate => {
                f.write_str("no device certificate is stored: enrol first")
            }
            Self::CertificateKey => f.write_str("the certificate is not for the device key"),
            Self::Storage => f.write_str("keyd's storage failed; it restarts on its stored state"),
            Self::TooManyConnections { limit } => {
                write!(f, "this user holds {limit} connections already")
            }
            Self::IdentityWithheld => {
                f.write_str("the permanent identity is withheld by --identity-privacy")
            }
            Self::NoHomeNetworkKey => {
                f.write_str("the profile has no key of the home network to conceal its identity with")
            }
            Self::NoReauthentication => {
                f.write_str("there is no re-authentication context for this identity")
            }
            Self::CounterTooSmall => {
                f.write_str("the server's counter was too small: the session can only answer AT_COUNTER_TOO_SMALL")
            }
            Self::NotAnchored => {
                f.write_str("no primary authentication with a 5G core has anchored keys")
            }
            Self::ApplicationFunction => f.write_str(
                "this user may not have a key of this application function: --app-af names those that it may have",
            ),
            Self::NoConsent => {
                f.write_str("the profile doesn't consent to giving out raw CK and IK")
            }
            Self::ForeignProfile => f.write_str(
                "a command may change profiles of its own issuer only, and this one would change another issuer's",
            ),
            Self::UnknownAccount { got } => write!(f, "there is no account {got}"),
            Self::TestAlgorithm => f.write_str(
                "the profile's test algorithm protects nothing, and keyd runs without --allow-test-profiles",
            ),
        }
    }
}

impl fmt::Display for PacketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type => {
                f.write_str("expected the code, method and subtype of the exchange, got others")
            }
            Self::Length => f.write_str("its length field differs from its length"),
            Self::Attribute => f.write_str("an attribute is truncated, empty or repeated"),
            Self::Missing(kind) => write!(f, "attribute {kind} is missing"),
            Self::Kdf => f.write_str("expected AT_KDF 1 in front, got another"),
            Self::Mac => f.write_str("AT_MAC is wrong"),
            Self::PublicKey => f.write_str("AT_PUB_ECDHE is not a public key of the agreed group"),
            Self::Encrypted => f.write_str("AT_ENCR_DATA has the wrong contents"),
            Self::Counter => f.write_str("the encrypted AT_COUNTER is not the session's"),
        }
    }
}

impl fmt::Display for HandshakeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Framing => f.write_str("a message is truncated, fragmented or out of sequence"),
            Self::Order { expected, got } => {
                write!(f, "expected handshake type {expected}, got {got}")
            }
            Self::Certificate => {
                f.write_str("the client certificate is not the device certificate")
            }
            Self::End => f.write_str("it doesn't end in ClientKeyExchange"),
        }
    }
}

impl fmt::Display for PackageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format { expected, got } => write!(f, "expected format {expected}, got {got}"),
            Self::Shape(what) => f.write_str(what),
            Self::UnknownIssuer { got } => write!(f, "issuer {} is not trusted", Hex(got)),
            Self::Signature => f.write_str("the operator's signature doesn't verify"),
            Self::Device { expected, got } => {
                write!(f, "expected device {}, got {}", Hex(expected), Hex(got))
            }
            Self::SealingKey { expected, got } => {
                write!(
                    f,
                    "expected sealing key {}, got {}",
                    Hex(expected),
                    Hex(got)
                )
            }
            Self::Sequence { last, got } => {
                write!(f, "expected a sequence above {last}, got {got}")
            }
            Self::Validity {
                not_before,
                not_after,
                now,
            } => {
                write!(
                    f,
                    "valid from {not_before} to {not_after}, the clock says {now}"
                )
            }
            Self::Decryption => f.write_str("the ciphertext doesn't open"),
            Self::Field {
                name,
                expected,
                got,
            } => {
                write!(f, "{name}: expected {expected}, got {got}")
            }
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
