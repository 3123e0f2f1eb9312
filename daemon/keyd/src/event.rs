//! The lines of keyd's log. They have fixed forms and a level, hold no secret, and are formatted
//! without an allocation.

use core::cell::RefCell;
use core::fmt;

use softsim_keyd_proto::{
    AutnFault, Enforcement, HandshakeFault, IdentityPrivacy, KekSource, PackageFault, PacketFault,
    Role,
};
use softsim_sandbox::file_system::{FileSystem, Overwrites};
use softsim_sandbox::peer::MAX_GROUPS;
use softsim_sandbox::tally::Unreported;
use softsim_sandbox::{clock, log};

use crate::rates::Bucket;
use crate::roles::Rate;
use crate::users::Stranger;
use crate::vault::Accepted;

/// One line of the log.
pub(crate) enum Event<'a> {
    /// The line at start: what is enforced, and why the key memory isn't secret memory.
    Enforcing {
        enforcement: &'a Enforcement,
        why_not_secret: Option<&'a dyn fmt::Display>,
    },
    /// The vault's file system may keep what keyd writes over.
    KeepsOldOctets(FileSystem),
    /// keyd can't start, or can't go on.
    Fatal(&'a dyn fmt::Display),
    /// A copy of a record was bad, and was written again.
    Damaged(&'a dyn fmt::Display),
    /// Copies of sequence numbers were lost, so that more numbers count as used.
    SequencesLost(u32),
    /// accept4(2) failed: no descriptors or no memory.
    NotAccepted(&'a dyn fmt::Display),
    /// Users connected whom their role doesn't admit.
    RefusedUsers(Unreported<(Role, u32, Stranger)>),
    /// Users tried to open more connections than they may.
    TooManyConnections(Unreported<(Role, u32)>),
    /// A role has a socket and no users.
    RoleWithoutUsers(Role),
    /// A client sent a request and didn't read the answer.
    AnswersNotRead { role: Role, uid: u32 },
    /// A network without the profile's K and OPc, or one with an AMF for another access, tried to
    /// authenticate.
    Autn { iccid: &'a str, fault: AutnFault },
    /// AUTS was given out.
    SynchronisationFailure,
    /// A packet's AT_MAC was wrong, or its contents were, although AT_MAC was right.
    Packet(PacketFault),
    /// A server re-authenticated with a counter that isn't above the last one.
    CounterTooSmall { last: u16, counter: u16 },
    /// The permanent identity was given out.
    PermanentIdentity { iccid: &'a str },
    /// The permanent identity was requested, but withheld.
    IdentityWithheld,
    /// A network refused a pseudonym.
    PseudonymRefused { iccid: &'a str },
    /// The permanent identity is given out because every pseudonym was refused for long enough.
    PatienceOver { iccid: &'a str, times: u8 },
    /// A server assigned an identity that could never be shown.
    NameIgnored,
    /// Pseudonym and re-authentication identity were forgotten.
    IdentitiesForgotten { iccid: &'a str },
    /// A 5G core has authenticated, so that keys for applications can be derived.
    Anchored,
    /// CK and IK were given out.
    RawKeys,
    /// A sealed package was refused.
    Package(&'a PackageFault),
    /// A transcript was refused.
    Handshake(HandshakeFault),
    /// A profile was installed, changed or deleted.
    Profile {
        iccid: &'a str,
        became: &'static str,
    },
    /// The device's keys were made.
    KeysMade { device: &'a dyn fmt::Display },
    /// The device has another sealing key.
    SealingKeyRotated { key: &'a dyn fmt::Display },
    /// The device certificate was stored.
    Certified,
    /// An operator was added whose packages are opened.
    TrustAnchor { issuer: &'a dyn fmt::Display },
    /// An operator's packages are no longer opened.
    Distrusted { issuer: &'a dyn fmt::Display },
    /// An administrator set the kept time back.
    TimeSetBack { kept: u64, seconds: u64 },
    /// The vault has a new key.
    Rekeyed { source: KekSource, capacity: u32 },
    /// The vault was taken as it is, although its anchor refused it.
    Accepted(Accepted),
    /// The vault's anchor doesn't refuse it.
    NothingToAccept,
    /// A write or its sync failed.
    Storage(&'a dyn fmt::Display),
}

/// The rate of log lines that clients can cause. The events themselves are counted in any case.
const PROVOKED: Rate = Rate {
    requests: 1,
    seconds: 1,
    burst: 100,
};

thread_local! {
    static LINES: RefCell<Bucket> = RefCell::new(Bucket::full(PROVOKED));
}

// Levels of syslog.
const CRITICAL: u8 = 2;
const ERROR: u8 = 3;
const WARNING: u8 = 4;
const NOTICE: u8 = 5;
const INFORMATIONAL: u8 = 6;

impl Event<'_> {
    fn level(&self) -> u8 {
        match self {
            Self::Fatal(_) | Self::Storage(_) => CRITICAL,
            Self::Damaged(_)
            | Self::SequencesLost(_)
            | Self::NotAccepted(_)
            | Self::RefusedUsers(_) => ERROR,
            Self::Enforcing { enforcement, .. }
                if enforcement.seccomp_calls == 0
                    || enforcement.supplicant
                    || enforcement.test_profiles =>
            {
                WARNING
            }
            Self::KeepsOldOctets(_)
            | Self::Accepted(_)
            | Self::TooManyConnections(_)
            | Self::RoleWithoutUsers(_)
            | Self::AnswersNotRead { .. }
            | Self::Autn { .. }
            | Self::Packet(_)
            | Self::CounterTooSmall { .. }
            | Self::IdentityWithheld
            | Self::PatienceOver { .. }
            | Self::NameIgnored
            | Self::Package(_)
            | Self::Handshake(_)
            | Self::TimeSetBack { .. } => WARNING,
            Self::SynchronisationFailure
            | Self::PermanentIdentity { .. }
            | Self::PseudonymRefused { .. }
            | Self::IdentitiesForgotten { .. }
            | Self::RawKeys
            | Self::Profile { .. }
            | Self::Rekeyed { .. }
            | Self::NothingToAccept
            | Self::KeysMade { .. }
            | Self::SealingKeyRotated { .. }
            | Self::Certified
            | Self::TrustAnchor { .. }
            | Self::Distrusted { .. } => NOTICE,
            Self::Enforcing { .. } | Self::Anchored => INFORMATIONAL,
        }
    }

    /// Writes the line without waiting. Lines that clients cause are dropped and counted if they
    /// exceed [`PROVOKED`].
    pub(crate) fn log(&self) {
        let room = || LINES.with_borrow_mut(|lines| lines.take(clock::boottime()).is_ok());
        if self.is_provoked() && !room() {
            log::drop_line();
        } else {
            log::line(self.level(), format_args!("softsim-keyd: {self}"));
        }
    }

    /// Whether a client, or somebody who talks to it over the network, can cause the event as often
    /// as they like.
    fn is_provoked(&self) -> bool {
        matches!(
            self,
            Self::AnswersNotRead { .. }
                | Self::Autn { .. }
                | Self::SynchronisationFailure
                | Self::Packet(_)
                | Self::CounterTooSmall { .. }
                | Self::PermanentIdentity { .. }
                | Self::IdentityWithheld
                | Self::PseudonymRefused { .. }
                | Self::NameIgnored
                | Self::RawKeys
                | Self::Package(_)
                | Self::Handshake(_)
        )
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enforcing {
                enforcement,
                why_not_secret,
            } => {
                match (enforcement.landlock_abi, enforcement.seccomp_calls) {
                    (0, _) | (_, 0) => f.write_str("NOT CONFINED (--sandbox=off), ")?,
                    (abi, calls) => {
                        write!(f, "enforcing landlock ABI {abi}, seccomp {calls} calls, ")?
                    }
                }
                write!(f, "key memory {}", enforcement.key_memory)?;
                if let Some(why) = why_not_secret {
                    write!(f, " (memfd_secret: {why})")?;
                }
                write!(f, ", identity privacy {}", enforcement.identity_privacy)?;
                if enforcement.identity_privacy == IdentityPrivacy::Patient {
                    write!(f, " ({} s)", enforcement.identity_patience)?;
                }
                write!(f, ", vault under {}", enforcement.kek_source)?;
                if enforcement.supplicant {
                    f.write_str(", GIVES CK AND IK TO THE ROLE supplicant (--supplicant)")?;
                }
                if enforcement.test_profiles {
                    f.write_str(", TAKES PROFILES THAT PROTECT NOTHING (--allow-test-profiles)")?;
                }
                Ok(())
            }
            Self::KeepsOldOctets(file_system) => keeps_old_octets(*file_system, f),
            Self::Fatal(reason) => reason.fmt(f),
            Self::Damaged(damage) => write!(f, "vault: {damage}; it was written again"),
            Self::SequencesLost(profiles) => write!(
                f,
                "vault: the newest sequence numbers of {profiles} profiles may be lost, so all that they may have \
                 been count as used; each profile resynchronises once"
            ),
            Self::NotAccepted(error) => write!(f, "can't accept a connection: {error}"),
            Self::RefusedUsers(Unreported { connections, last }) => {
                let (role, uid, why) = last;
                write!(
                    f,
                    "{connections} connections of users whom their role doesn't admit, last uid {uid} to the role {role}"
                )?;
                match why {
                    Stranger::NotNamed => Ok(()),
                    Stranger::TooManyGroups => write!(
                        f,
                        ", which is in more than {MAX_GROUPS} groups, so that none of them counts"
                    ),
                    Stranger::Hidden => f.write_str(
                        ", which stands for every user that has no number here: the likely cause is \
                         PrivateUsers=yes in the unit of softsim-keyd",
                    ),
                }
            }
            Self::TooManyConnections(Unreported { connections, last }) => {
                let (role, uid) = last;
                write!(
                    f,
                    "{connections} connections too many, last of uid {uid} to the role {role}"
                )
            }
            Self::RoleWithoutUsers(role) => {
                write!(
                    f,
                    "the role {role} has a socket and admits nobody: --{role}-user or --{role}-group names its users"
                )
            }
            Self::AnswersNotRead { role, uid } => {
                write!(
                    f,
                    "uid {uid} on the {role} socket doesn't read its answers: dropped"
                )
            }
            Self::Autn { iccid, fault } => {
                write!(f, "AUTN refused for profile {iccid}: {fault}")
            }
            Self::SynchronisationFailure => f.write_str("SQN out of range: AUTS given out"),
            Self::Packet(fault) => write!(f, "EAP packet refused: {fault}"),
            Self::CounterTooSmall { last, counter } => write!(
                f,
                "re-authentication refused: expected a counter above {last}, got {counter}"
            ),
            Self::IdentityWithheld => {
                f.write_str("permanent identity withheld (--identity-privacy)")
            }
            Self::PseudonymRefused { iccid } => {
                write!(f, "the network refused a pseudonym of profile {iccid}")
            }
            Self::PatienceOver { iccid, times } => write!(
                f,
                "the network has refused every pseudonym of profile {iccid} for long enough \
                 (--identity-patience): its permanent identity is shown, time {times}"
            ),
            Self::NameIgnored => f.write_str(
                "an identity that the server assigned can't be used: too long, with `@`, or with the IMSI",
            ),
            Self::IdentitiesForgotten { iccid } => {
                write!(
                    f,
                    "pseudonyms and re-authentication identity of profile {iccid} forgotten"
                )
            }
            Self::Anchored => f.write_str("keys for applications anchored by a 5G core"),
            Self::RawKeys => f.write_str("CK and IK given to the role supplicant"),
            Self::PermanentIdentity { iccid } => {
                write!(f, "permanent identity of profile {iccid} given out")
            }
            Self::Package(fault) => write!(f, "sealed package refused: {fault}"),
            Self::Handshake(fault) => write!(f, "handshake not signed: {fault}"),
            Self::Profile { iccid, became } => write!(f, "profile {iccid} {became}"),
            Self::KeysMade { device } => write!(f, "device keys made, device id {device}"),
            Self::SealingKeyRotated { key } => write!(f, "sealing key rotated, now {key}"),
            Self::Certified => f.write_str("device certificate stored"),
            Self::Distrusted { issuer } => {
                write!(f, "packages of issuer {issuer} are no longer trusted")
            }
            Self::TrustAnchor { issuer } => write!(f, "packages of issuer {issuer} are trusted"),
            Self::TimeSetBack { kept, seconds } => {
                write!(f, "the kept time was set back from {kept} to {seconds}")
            }
            Self::Rekeyed { source, capacity } => write!(
                f,
                "vault rekeyed: under {source}, with a new data key and room for {capacity} profiles"
            ),
            Self::Accepted(accepted) => {
                f.write_str("VAULT ACCEPTED AS IT IS: its epoch was ")?;
                write!(f, "{}, its anchor's ", accepted.vault)?;
                match accepted.anchor {
                    Some(anchor) => write!(f, "{anchor}")?,
                    None => f.write_str("damaged")?,
                }
                write!(
                    f,
                    ", and both are {} now; challenges that were used since this copy was made may be accepted \
                     again, and deleted profiles and removed operators are back; rekey the vault, since newer \
                     copies still open under this key",
                    accepted.epoch
                )
            }
            Self::NothingToAccept => {
                f.write_str("vault not changed: its anchor doesn't refuse it, so there is nothing to accept")
            }
            Self::Storage(reason) => write!(f, "storage failed: {reason}"),
        }
    }
}

/// Says what it means that old octets may stay on the medium, and what to do about it.
fn keeps_old_octets(
    FileSystem { name, overwrites }: FileSystem,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let who = match overwrites {
        Overwrites::UpToTheLayerBelow => "whose upper layer may not write over old octets",
        Overwrites::InPlace | Overwrites::Elsewhere => "which doesn't write over old octets",
    };
    let remedy = match name {
        "btrfs" => "`chattr +C` the state directory and rekey the vault, or use another volume",
        _ => "use a volume with another one, such as ext4",
    };
    write!(
        f,
        "the vault's file system is {name}, {who}: old keys and sequence numbers stay on the medium, \
         and a write may find no room; {remedy}"
    )
}

#[cfg(test)]
mod tests {
    use softsim_keyd_proto::{KeyMemory, Overwrites as Enforced};

    use super::*;

    fn enforcement(landlock_abi: u8, seccomp_calls: u8) -> Enforcement {
        Enforcement {
            landlock_abi,
            seccomp_calls,
            key_memory: KeyMemory::Locked,
            kek_source: KekSource::KeyFile,
            overwrites: Enforced::InPlace,
            identity_privacy: IdentityPrivacy::Patient,
            identity_patience: 600,
            supplicant: false,
            test_profiles: false,
        }
    }

    #[test]
    fn the_line_at_start_tells_everything_that_is_enforced() {
        let enforcement = enforcement(7, 12);
        let event = Event::Enforcing {
            enforcement: &enforcement,
            why_not_secret: Some(&"Operation not permitted"),
        };
        assert_eq!(
            event.to_string(),
            "enforcing landlock ABI 7, seccomp 12 calls, key memory mlock \
             (memfd_secret: Operation not permitted), identity privacy patient (600 s), vault under key file"
        );
        assert_eq!(event.level(), INFORMATIONAL);
    }

    #[test]
    fn a_start_that_takes_test_profiles_is_a_warning() {
        let enforcement = Enforcement {
            test_profiles: true,
            ..enforcement(7, 12)
        };
        let event = Event::Enforcing {
            enforcement: &enforcement,
            why_not_secret: None,
        };
        let line = event.to_string();
        assert!(line.ends_with("TAKES PROFILES THAT PROTECT NOTHING (--allow-test-profiles)"));
        assert_eq!(event.level(), WARNING);
    }

    #[test]
    fn a_start_with_the_role_supplicant_is_a_warning() {
        let enforcement = Enforcement {
            supplicant: true,
            ..enforcement(7, 12)
        };
        let event = Event::Enforcing {
            enforcement: &enforcement,
            why_not_secret: None,
        };
        let line = event.to_string();
        assert!(line.ends_with("GIVES CK AND IK TO THE ROLE supplicant (--supplicant)"));
        assert_eq!(event.level(), WARNING);
    }

    #[test]
    fn an_unconfined_start_is_a_warning() {
        let enforcement = enforcement(0, 0);
        let event = Event::Enforcing {
            enforcement: &enforcement,
            why_not_secret: None,
        };
        assert!(event.to_string().starts_with("NOT CONFINED"));
        assert_eq!(event.level(), WARNING);
    }

    #[test]
    fn a_file_system_that_keeps_old_octets_is_a_warning_with_a_remedy() {
        let line = |name, overwrites| {
            let event = Event::KeepsOldOctets(FileSystem { name, overwrites });
            assert_eq!(event.level(), WARNING);
            event.to_string()
        };
        assert_eq!(
            line("btrfs", Overwrites::Elsewhere),
            "the vault's file system is btrfs, which doesn't write over old octets: old keys and sequence \
             numbers stay on the medium, and a write may find no room; `chattr +C` the state directory and \
             rekey the vault, or use another volume"
        );
        let f2fs = line("f2fs", Overwrites::Elsewhere);
        assert!(
            f2fs.ends_with("use a volume with another one, such as ext4"),
            "{f2fs}"
        );
        let overlay = line("overlay", Overwrites::UpToTheLayerBelow);
        assert!(
            overlay.contains("overlay, whose upper layer may not write over"),
            "{overlay}"
        );
    }
}
