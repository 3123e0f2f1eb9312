//! keyd's answers to the requests.

use core::fmt;

use serde::{Deserialize, Serialize};
use softsim_eap_types::IdentityKind;

use crate::role::Role;
use crate::secret::SecretBytes;

/// Answer to [`crate::requests::Hello`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloAnswer {
    /// keyd's [`crate::PROTOCOL_VERSION`].
    pub version: u16,
    /// The role of the socket.
    pub role: Role,
    /// The longest request, in octets.
    pub max_request: u32,
    /// The number of session handles per connection.
    pub max_handles: u8,
}

/// The kind of memory that holds keyd's stack, heap and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyMemory {
    /// memfd_secret(2), which isn't even in the kernel's direct map.
    SecretMemory,
    /// mlock(2) and MADV_DONTDUMP.
    Locked,
    /// Ordinary memory.
    Plain,
}

impl fmt::Display for KeyMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretMemory => "memfd_secret",
            Self::Locked => "mlock",
            Self::Plain => "plain",
        })
    }
}

/// The source of the key that encrypts keyd's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KekSource {
    /// A file that only its owner may read.
    KeyFile,
    /// A credential of systemd.
    Credential,
    /// Standard input, to which softsimctl writes a key that it derives from a passphrase.
    StandardInput,
    /// The fixed key of `--development-key`, which doesn't protect the files.
    Development,
}

impl fmt::Display for KekSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyFile => "key file",
            Self::Credential => "credential",
            Self::StandardInput => "key on standard input",
            Self::Development => "development key",
        })
    }
}

/// What becomes of the vault's old octets, such as old keys, when keyd writes over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overwrites {
    /// They are gone, and keyd keeps the room that it has taken.
    InPlace,
    /// They stay on the medium for a while, and the new ones need room of their own: the file
    /// system copies on write, keeps a log, or compresses.
    Elsewhere,
    /// The file system is an overlay, which leaves it to another one that keyd can't see.
    Unknown,
}

impl fmt::Display for Overwrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InPlace => "in place",
            Self::Elsewhere => "elsewhere",
            Self::Unknown => "unknown",
        })
    }
}

/// What is enforced on the running key process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// The landlock ABI in force; 0 with `--sandbox=off`.
    pub landlock_abi: u8,
    /// The number of system calls that the seccomp filter allows; 0 with `--sandbox=off`.
    pub seccomp_calls: u8,
    /// The kind of memory that holds secrets.
    pub key_memory: KeyMemory,
    /// The source of the key that encrypts the files.
    pub kek_source: KekSource,
    /// What becomes of the files' old octets.
    pub overwrites: Overwrites,
    /// When an access network may see the permanent identity.
    pub identity_privacy: IdentityPrivacy,
    /// How long a network must have refused every pseudonym before the policy `patient` shows the
    /// permanent identity, in seconds.
    pub identity_patience: u32,
    /// Whether the role that gets raw CK and IK is served.
    pub supplicant: bool,
    /// Whether keyd accepts profiles that only a laboratory may have: with the XOR algorithm,
    /// which protects nothing, with publicly known keys, or with numbers that no network assigns.
    pub test_profiles: bool,
}

/// Answer to [`crate::requests::Status`] and [`crate::requests::Wait`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// How often the rest of this answer may have changed since keyd started, from 1 on: a profile
    /// or its identities, the device's keys and certificate, an operator, the last transaction, or
    /// the kept time. An authentication changes only the counters and the number of pseudonyms,
    /// and doesn't count.
    pub changes: u64,
    /// What is enforced.
    pub enforcement: Enforcement,
    /// SHA-256 of the device key's SubjectPublicKeyInfo, once there is a device key.
    pub device_id: Option<[u8; 32]>,
    /// SHA-256 of the sealing public key.
    pub sealing_key_id: Option<[u8; 32]>,
    /// Whether a device certificate is stored.
    pub certified: bool,
    /// The number of operators whose packages keyd opens.
    pub trust_anchors: u8,
    /// How many profiles are installed.
    pub profiles: u32,
    /// The enabled profile; if none is enabled, one of the installed ones. The role app doesn't
    /// get it.
    pub profile: Option<ProfileInfo>,
    /// How many profiles there is room for.
    pub capacity: u32,
    /// The epoch of the vault, if there is an anchor, which shows when an old copy was put back.
    /// The role app doesn't get it.
    pub anchor: Option<u64>,
    /// The last committed transaction of the role network, with which netd compares its accounts
    /// when it starts. The role app doesn't get it.
    pub committed: Option<[u8; 16]>,
    /// SHA-256 of the accounts that netd committed last. netd trusts no others when it starts.
    /// Only the roles network and admin get it.
    pub accounts: Option<[u8; 32]>,
    /// The counters since keyd started. The role app doesn't get them.
    pub counters: Option<Counters>,
    /// How the enabled profile shows itself to networks. The role app doesn't get it.
    pub identities: Option<IdentityStatus>,
    /// What keyd knows of the present. netd judges the certificates of servers by it.
    pub times: Times,
}

/// What keyd knows of the present: its clock, and two times that have certainly passed. All are in
/// seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The host's clock, which keyd never stores.
    pub clock: u64,
    /// When keyd was built.
    pub built: u64,
    /// The latest beginning of a package that keyd accepted: a time that an operator signed. 0 if
    /// there is none.
    pub kept: u64,
}

impl Times {
    /// The later one of the two times that have certainly passed.
    pub fn passed(&self) -> u64 {
        self.built.max(self.kept)
    }

    /// Whether the clock is plausible. A gateway without a clock is normal.
    pub fn are_known(&self) -> bool {
        self.clock >= self.passed()
    }

    /// The present, or, if it isn't known, the latest time that has certainly passed.
    pub fn now(&self) -> u64 {
        self.clock.max(self.passed())
    }
}

/// How a profile shows itself to networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityStatus {
    /// The policy in force: the narrower one of keyd's and the profile's.
    pub privacy: IdentityPrivacy,
    /// The number of pseudonyms that keyd knows.
    pub pseudonyms: u8,
    /// How many quarters of the wait before the next showing of the permanent identity have passed
    /// with refusals.
    pub quarters: u8,
    /// How often the permanent identity was shown since a challenge or a re-authentication was
    /// last verified, because every pseudonym had been refused.
    pub shown: u8,
}

/// keyd's counters since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Challenges whose AUTN and AT_MAC were right.
    pub authentications: u64,
    /// AUTNs with a wrong MAC or a wrong AMF separation bit.
    pub autn_rejected: u64,
    /// AUTNs answered with AUTS.
    pub synchronisation_failures: u64,
    /// Packets whose AT_MAC was missing or wrong.
    pub packet_mac_rejected: u64,
    /// Sealed packages that were refused.
    pub packages_rejected: u64,
    /// Handshakes signed with the device key.
    pub handshakes_signed: u64,
    /// How often the permanent identity was given out in clear.
    pub permanent_identities: u64,
    /// How often it was requested and withheld.
    pub identities_withheld: u64,
    /// How often the subscriber that networks see has changed: another profile, another
    /// installation of it or none was enabled, or its identities were forgotten.
    pub subscriber_changes: u64,
    /// How often a network refused the pseudonym that it was shown.
    pub pseudonyms_refused: u64,
    /// How often keyd showed the permanent identity because every pseudonym had been refused for
    /// long enough.
    pub patience_over: u64,
    /// Fast re-authentications whose AT_MAC and counter were right.
    pub reauthentications: u64,
    /// Authentications with forward secrecy.
    pub forward_secret: u64,
    /// How often CK and IK were given to the role supplicant.
    pub raw_keys: u64,
    /// Refused requests, for example malformed or unknown ones.
    pub refused: u64,
    /// Requests answered with RetryAfter.
    pub rate_limited: u64,
    /// Connections of users that their role doesn't admit.
    pub refused_users: u64,
    /// How often an administrator set the kept time back.
    pub times_set_back: u64,
    /// Log lines that were dropped because fd 2 would have blocked, or because clients caused too
    /// many.
    pub log_lines_dropped: u64,
}

/// The public data of an installed profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileInfo {
    /// ICCID, 18 to 20 digits.
    pub iccid: String,
    /// Whether it is in use.
    pub state: ProfileState,
    /// Its algorithm set, e.g. `milenage`.
    pub algorithm: String,
    /// AUTNs since keyd started whose MAC-A was wrong for this profile. keyd counts them for the
    /// 64 profiles that had one last.
    pub autn_mac_rejected: u32,
}

/// Whether a profile is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProfileState {
    /// The profile answers challenges.
    Enabled,
    /// The profile is installed, but not in use.
    Disabled,
}

impl fmt::Display for ProfileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        })
    }
}

/// When an access network may see the permanent identity, from the most generous policy to the
/// narrowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IdentityPrivacy {
    /// keyd shows it whenever it is requested.
    Liberal,
    /// Conservative, until the network has refused every pseudonym for as long as
    /// `--identity-patience` says. Then keyd shows it in single attempts with growing rests.
    #[default]
    Patient,
    /// keyd shows it as long as it knows no pseudonym (RFC 4187 §4.1.6).
    Conservative,
    /// The IMSI never leaves in clear.
    Strict,
}

impl fmt::Display for IdentityPrivacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Liberal => "liberal",
            Self::Patient => "patient",
            Self::Conservative => "conservative",
            Self::Strict => "strict",
        })
    }
}

/// Answer to [`crate::requests::Identity`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityAnswer {
    /// The NAI, e.g. `6<IMSI>@wlan.mnc001.mcc001.3gppnetwork.org` (TS 23.003 §19.3.2), at most 253
    /// octets.
    pub nai: String,
    /// The kind of the identity.
    pub kind: IdentityKind,
}

/// Answer to [`crate::requests::AkaPrimeChallenge`] and [`crate::requests::AkaChallenge`].
#[derive(Debug, Serialize, Deserialize)]
pub enum AkaAnswer {
    /// AUTN and AT_MAC are right, and the SQN is stored.
    Success {
        /// Names the session on this connection.
        handle: u32,
        /// RES, 4 to 16 octets.
        res: SecretBytes,
        /// Our public key of the ephemeral Diffie-Hellman, if there was one: the value of
        /// AT_PUB_ECDHE.
        public_key: Option<Vec<u8>>,
    },
    /// AUTN is genuine, but its SQN is out of range (TS 33.102 §6.3.3).
    SynchronisationFailure {
        /// AUTS.
        auts: [u8; 14],
    },
}

/// Answer to [`crate::requests::Reauthenticate`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReauthenticationAnswer {
    /// AT_MAC and the counter are right, and the counter is stored.
    Fresh {
        /// Names the session on this connection.
        handle: u32,
        /// AT_COUNTER.
        counter: u16,
        /// AT_NONCE_S, which is part of the Session-Id (RFC 9048 §6).
        nonce_s: [u8; 16],
    },
    /// AT_MAC is right, but the counter was used before. The session can only answer
    /// AT_COUNTER_TOO_SMALL.
    CounterTooSmall {
        /// Names the session on this connection.
        handle: u32,
        /// AT_COUNTER.
        counter: u16,
    },
}

/// Answer to [`crate::requests::EncryptCounter`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptedAnswer {
    /// The value of AT_IV.
    pub iv: [u8; 16],
    /// The value of AT_ENCR_DATA.
    pub data: Vec<u8>,
}

/// Answer to [`crate::requests::UmtsAuthenticate`].
#[derive(Debug, Serialize, Deserialize)]
pub enum UmtsAnswer {
    /// AUTN is right, and the SQN is stored.
    Success {
        /// RES, 4 to 16 octets.
        res: SecretBytes,
        /// CK, 16 octets.
        ck: SecretBytes,
        /// IK, 16 octets.
        ik: SecretBytes,
    },
    /// AUTN is genuine, but its SQN is out of range (TS 33.102 §6.3.3).
    SynchronisationFailure {
        /// AUTS.
        auts: [u8; 14],
    },
}

/// Answer to [`crate::requests::AkmaKey`].
#[derive(Debug, Serialize, Deserialize)]
pub struct AkmaAnswer {
    /// A-KID, which identifies K_AKMA to the application function (TS 33.535 §6.1).
    pub a_kid: String,
    /// K_AF, 32 octets.
    pub k_af: SecretBytes,
}

/// Answer to [`crate::requests::EapMac`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacAnswer {
    /// The value of AT_MAC.
    pub mac: [u8; 16],
}

/// A secret that may leave keyd.
#[derive(Debug, Serialize, Deserialize)]
pub struct SecretAnswer {
    /// Its octets.
    pub secret: SecretBytes,
}

/// A certificate or a certificate request.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateAnswer {
    /// DER.
    pub der: Vec<u8>,
}

/// Answer to [`crate::requests::ApplicationKey`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKeyAnswer {
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
}

/// A signature.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureAnswer {
    /// ECDSA P-256 with SHA-256, DER.
    pub signature: Vec<u8>,
}

/// Answer to [`crate::requests::Stage`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageAnswer {
    /// What the package will do when it is committed; none without a package.
    pub staged: Option<Staged>,
}

/// What a package or a signed command does when it is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Staged {
    /// A profile is installed.
    Installed {
        /// Its ICCID.
        iccid: String,
    },
    /// A profile is enabled, and the previously enabled one is disabled.
    Enabled {
        /// Its ICCID.
        iccid: String,
    },
    /// A profile is disabled.
    Disabled {
        /// Its ICCID.
        iccid: String,
    },
    /// A profile is deleted.
    Deleted {
        /// Its ICCID.
        iccid: String,
    },
    /// The device gets another sealing key and another sealing statement.
    SealingKeyRotated,
}

impl Staged {
    /// The effect in a word, and the ICCID of the profile that it applies to.
    pub fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Installed { iccid } => ("installed", Some(iccid)),
            Self::Enabled { iccid } => ("enabled", Some(iccid)),
            Self::Disabled { iccid } => ("disabled", Some(iccid)),
            Self::Deleted { iccid } => ("deleted", Some(iccid)),
            Self::SealingKeyRotated => ("sealing key rotated", None),
        }
    }
}

/// `profile 8988… installed`
impl fmt::Display for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (became, Some(iccid)) => write!(f, "profile {iccid} {became}"),
            (became, None) => f.write_str(became),
        }
    }
}

/// Answer to [`crate::requests::ListProfiles`].
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfilesAnswer {
    /// The next installed profiles, by slot.
    pub profiles: Vec<ProfileInfo>,
    /// Where the next request continues; none if these were the last.
    pub next: Option<u32>,
}

/// Answer to [`crate::requests::GenerateDeviceKey`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceKeyAnswer {
    /// SHA-256 of the device key's SubjectPublicKeyInfo.
    pub device_id: [u8; 32],
}

/// Answer to [`crate::requests::SealingStatement`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealingStatementAnswer {
    /// The COSE_Sign1 that `softsim-issuer seal` takes.
    pub statement: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_is_the_latest_of_the_clock_the_build_and_the_kept_time() {
        for (clock, built, kept, known, now) in [
            (0, 1000, 0, false, 1000),
            (0, 1000, 500, false, 1000),
            (1500, 1000, 2000, false, 2000),
            (2000, 1000, 2000, true, 2000),
            (3000, 1000, 2000, true, 3000),
        ] {
            let times = Times { clock, built, kept };
            assert_eq!((times.are_known(), times.now()), (known, now), "{times:?}");
        }
    }
}
