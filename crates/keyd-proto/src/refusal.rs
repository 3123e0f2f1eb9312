//! Why keyd refuses a request: what was expected, and what was received.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::requests::RequestKind;
use crate::role::Role;

/// Why a request was refused. Nothing changed in keyd, but for [`Refusal::Storage`].
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
        /// The octet, or nothing where the datagram was empty.
        got: Option<u8>,
    },
    /// The request is not the role's.
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
        /// What would have been taken.
        expected: String,
        /// What was received.
        got: String,
    },
    /// This uid asks too often.
    RetryAfter {
        /// When to ask again, in milliseconds.
        milliseconds: u32,
    },
    /// No profile is enabled.
    NoProfile,
    /// No installed profile has this ICCID.
    UnknownProfile,
    /// AUTN didn't hold; the server gets Authentication-Reject (RFC 4187 §6.3.1).
    Autn(AutnFault),
    /// The EAP packet is not one that may be answered; the server gets Client-Error.
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
    /// The MSK that came from the server is not the session's.
    OtherMsk,
    /// Both sides asked for protected results, and none of success has come (RFC 4187 §6.2).
    NoProtectedSuccess,
    /// The handshake transcript doesn't have the shape of a client's DTLS 1.2 handshake.
    Handshake(HandshakeFault),
    /// The transaction doesn't fit.
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
    /// The storage failed, and whether the change is stored is open: keyd exits, and systemd starts
    /// it on the stored state.
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
    /// No account is called so.
    UnknownAccount {
        /// The account.
        got: u16,
    },
    /// The identity that was asked for is not shown (`--identity-privacy`).
    IdentityWithheld,
    /// The profile has no key of the home network to conceal its identity with, and the null scheme
    /// is not allowed.
    NoHomeNetworkKey,
    /// There is no full authentication to which this re-authentication belongs.
    NoReauthentication,
    /// The server's counter was too small, and the session can only say so.
    CounterTooSmall,
    /// No primary authentication with a 5G core has anchored keys.
    NotAnchored,
    /// This user may have no key of the application function (`--app-af`).
    ApplicationFunction,
    /// The sealed profile doesn't consent to raw CK and IK leaving.
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
    /// An attribute is truncated, has length 0 or stands twice.
    Attribute,
    /// A required attribute is missing; its type.
    Missing(u8),
    /// The first AT_KDF is not one that keyd derives keys with.
    Kdf,
    /// AT_MAC is wrong.
    Mac,
    /// AT_PUB_ECDHE is not a public key of the agreed group, or the first AT_KDF_FS is another.
    PublicKey,
    /// AT_ENCR_DATA has no AT_IV, or doesn't hold what it must.
    Encrypted,
    /// The encrypted AT_COUNTER is not the session's.
    Counter,
}

/// What was wrong with a handshake transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandshakeFault {
    /// A message is truncated, fragmented or not in sequence.
    Framing,
    /// A message of this type stands where another was expected.
    Order {
        /// Handshake type that was expected.
        expected: u8,
        /// Handshake type that came.
        got: u8,
    },
    /// The client's certificate is not the device certificate.
    Certificate,
    /// The transcript doesn't end in ClientKeyExchange.
    End,
}

/// Why a transaction doesn't fit.
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
    /// Another format number.
    Format {
        /// The one that is opened.
        expected: u8,
        /// The package's.
        got: u8,
    },
    /// Not the exact shape of a package: where, what was expected, and what was received.
    Shape(String),
    /// No trust anchor has this key id.
    UnknownIssuer {
        /// SHA-256 of the issuer's public key, as the package names it.
        got: [u8; 32],
    },
    /// The operator's signature doesn't verify.
    Signature,
    /// Sealed for another device.
    Device {
        /// This device's id.
        expected: [u8; 32],
        /// The package's.
        got: [u8; 32],
    },
    /// Sealed to another sealing key.
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
    /// Outside its validity; seconds since 1970.
    Validity {
        /// From.
        not_before: u64,
        /// To, included.
        not_after: u64,
        /// keyd's clock.
        now: u64,
    },
    /// The ciphertext doesn't open.
    Decryption,
    /// A field of the profile is out of range; never the value of a secret one.
    Field {
        /// The field.
        name: String,
        /// What would have been taken.
        expected: String,
        /// What was received.
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
            Self::NoProfile => f.write_str("expected an enabled profile, there is none"),
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
                f.write_str("expected a protected success of the server's first, got none")
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
            Self::ProfileEnabled => f.write_str("expected a disabled profile, it is enabled"),
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
                f.write_str("there is no full authentication that this re-authentication belongs to")
            }
            Self::CounterTooSmall => {
                f.write_str("the server's counter was too small: the session can only say so")
            }
            Self::NotAnchored => {
                f.write_str("no primary authentication with a 5G core has anchored keys")
            }
            Self::ApplicationFunction => f.write_str(
                "this user may have no key of the application function: --app-af names those that it may",
            ),
            Self::NoConsent => {
                f.write_str("the profile doesn't consent to raw CK and IK leaving")
            }
            Self::ForeignProfile => f.write_str(
                "the command reaches profiles of its own issuer only, and another one's would change",
            ),
            Self::UnknownAccount { got } => write!(f, "no account is called {got}"),
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
            Self::Encrypted => f.write_str("AT_ENCR_DATA doesn't hold what it must"),
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
