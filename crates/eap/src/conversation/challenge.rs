//! AKA-Challenge and AKA'-Challenge. The peer checks everything that needs no key before it asks
//! the SIM.

use softsim_eap_packet::{AkaMessage, Attribute, Kind, Packet, Subtype};
use softsim_eap_types::{Group, Method};

use super::{Conversation, Echo, Phase, Reaction, Step, allow, encrypted, missing, unexpected};
use crate::ask::{Ask, ChallengeAnswer};
use crate::config::{Config, ForwardSecrecy, NetworkNamePolicy};
use crate::negotiation::{BadList, Verdict};
use crate::outcome::{AuthenticationReject, Reason, Success, Unprocessable};

/// About how many challenges the peer asks the SIM in one conversation: the first, one after a
/// resynchronisation, and two to spare.
const MAX_CHALLENGES: u8 = 4;

/// The key derivation with CK' and IK', the only value of AT_KDF that is defined so far (RFC 9048
/// §3.3).
const CK_IK_PRIME: u16 = 1;

/// A challenge that the SIM is checking.
#[derive(Debug)]
pub(super) struct Open {
    group: Option<Group>,
    echo: Echo,
    success: Success,
}

/// The result of the negotiations of EAP-AKA', before the SIM sees the challenge.
enum Agreement {
    /// Go on, with an ephemeral key exchange in this group or without.
    Proceed(Option<Group>),
    /// Answer with this attribute alone.
    Negotiate(Attribute<'static>),
}

impl Conversation {
    pub(super) fn challenge(
        &mut self,
        config: &Config,
        packet: &Packet<'_>,
        message: &AkaMessage<'_>,
    ) -> Result<Reaction, Reason> {
        if matches!(self.phase, Phase::Verified { .. }) {
            return unexpected(Subtype::Challenge);
        }
        self.challenged = true;
        let Some(identity) = self.identity.clone() else {
            return Err(Reason::Unprocessable(Unprocessable::NoIdentity));
        };
        let group = match self.method {
            Method::Aka => {
                allow(message, &[Kind::RAND, Kind::AUTN, Kind::MAC])?;
                bidding(config, message)?;
                None
            }
            Method::AkaPrime => match self.agree(config, message)? {
                Agreement::Proceed(group) => group,
                Agreement::Negotiate(choice) => {
                    let response = self.response(Subtype::Challenge, &[choice]);
                    return Ok(Reaction::Respond(response.into_bytes()));
                }
            },
        };
        let rand = message.rand().ok_or(missing(Kind::RAND))?;
        let autn = message.autn().ok_or(missing(Kind::AUTN))?;
        message.mac().ok_or(missing(Kind::MAC))?;
        encrypted(message)?;
        let echo = self.echo(config, message)?;
        if self.challenges == MAX_CHALLENGES {
            return Err(Reason::Unprocessable(Unprocessable::TooManyChallenges));
        }
        self.challenges += 1;
        self.open = Some(Step::Challenge(Open {
            group,
            echo,
            success: Success {
                method: self.method,
                session_id: Success::session_id(self.method, rand, autn),
                reauthenticated: false,
                forward_secrecy: group.is_some(),
            },
        }));
        Ok(Reaction::Ask(Ask::Challenge {
            method: self.method,
            packet: packet.bytes().to_vec(),
            identity: identity.nai.as_bytes().to_vec(),
            group,
            refuse_separation_bit: self.method == Method::Aka && config.refuse_separation_bit,
        }))
    }

    /// Negotiates the key derivation function, then checks the network name, then negotiates
    /// forward secrecy. The peer checks no other attribute before both are agreed.
    fn agree(&mut self, config: &Config, message: &AkaMessage<'_>) -> Result<Agreement, Reason> {
        let kinds = [
            Kind::RAND,
            Kind::AUTN,
            Kind::MAC,
            Kind::KDF,
            Kind::KDF_INPUT,
        ];
        allow(message, &kinds)?;
        let offer = self.forward_secrecy_offer(config, message);
        if let Some(kdf) = self.negotiate_kdf(&message.kdfs().collect::<Vec<_>>())? {
            self.kdf_fs.observe(&offer).map_err(bad_kdf_fs)?;
            return Ok(Agreement::Negotiate(Attribute::Kdf(kdf)));
        }
        self.network_name(config, message.kdf_input())?;
        self.negotiate_forward_secrecy(config, &offer, message.pub_ecdhe())
    }

    /// The value of AT_KDF to ask for, if the first one on offer isn't supported (RFC 9048 §3.2).
    fn negotiate_kdf(&mut self, list: &[u16]) -> Result<Option<u16>, Reason> {
        if list.is_empty() {
            return Err(Reason::AuthenticationReject(AuthenticationReject::NoKdf));
        }
        let verdict = self.kdf.judge(list, |kdf| kdf == CK_IK_PRIME);
        match verdict.map_err(|bad| match bad {
            BadList::Duplicate => Reason::AuthenticationReject(AuthenticationReject::DuplicateKdf),
            BadList::Changed => Reason::Unprocessable(Unprocessable::KdfListChanged),
        })? {
            Verdict::Agreed(_) => Ok(None),
            Verdict::Ask(kdf) => Ok(Some(kdf)),
            Verdict::Unsupported => Err(Reason::AuthenticationReject(
                AuthenticationReject::UnsupportedKdf,
            )),
        }
    }

    /// The list of AT_KDF_FS, or an empty one if the offer doesn't count. It counts only together
    /// with a public key, and only if the peer hasn't shown an identity that names the subscriber
    /// (RFC 9678 §6.5.2 and §6.5.3).
    fn forward_secrecy_offer(&self, config: &Config, message: &AkaMessage<'_>) -> Vec<u16> {
        let willing = config.forward_secrecy != ForwardSecrecy::Off && !self.named;
        match message.pub_ecdhe() {
            Some(_) if willing => message.kdfs_fs().collect(),
            _ => Vec::new(),
        }
    }

    /// Chooses a group, if a supported one is on offer (RFC 9678 §6.2). The server sends a public
    /// key for the first group on offer only.
    fn negotiate_forward_secrecy(
        &mut self,
        config: &Config,
        offer: &[u16],
        pub_ecdhe: Option<&[u8]>,
    ) -> Result<Agreement, Reason> {
        let ours = |value| Group::from_number(value).is_some();
        match self.kdf_fs.judge(offer, ours).map_err(bad_kdf_fs)? {
            Verdict::Ask(value) => Ok(Agreement::Negotiate(Attribute::KdfFs(value))),
            Verdict::Agreed(value) => {
                let group = Group::from_number(value);
                match group.and_then(|group| group.public_key(pub_ecdhe.unwrap_or_default())) {
                    Some(_) => Ok(Agreement::Proceed(group)),
                    None => Err(Reason::Unprocessable(Unprocessable::PublicKey)),
                }
            }
            Verdict::Unsupported if config.forward_secrecy == ForwardSecrecy::Require => Err(
                Reason::AuthenticationReject(AuthenticationReject::NoForwardSecrecy),
            ),
            Verdict::Unsupported => Ok(Agreement::Proceed(None)),
        }
    }

    /// Compares AT_KDF_INPUT with the network that we are on (RFC 9048 §3.1).
    fn network_name(&mut self, config: &Config, received: Option<&[u8]>) -> Result<(), Reason> {
        let received =
            received
                .filter(|name| !name.is_empty())
                .ok_or(Reason::AuthenticationReject(
                    AuthenticationReject::NoNetworkName,
                ))?;
        let policy = config.network_name_policy;
        if policy == NetworkNamePolicy::Ignore || config.network_name.matches(received) {
            return Ok(());
        }
        let (expected, got) = (&config.network_name, received.escape_ascii());
        self.warning = Some(format!("expected the network name {expected}, got {got}"));
        if policy == NetworkNamePolicy::Fail {
            return Err(Reason::AuthenticationReject(
                AuthenticationReject::NetworkName,
            ));
        }
        Ok(())
    }

    pub(super) fn challenge_answered(
        &mut self,
        open: Open,
        answer: ChallengeAnswer,
    ) -> Result<Reaction, Reason> {
        let (res, bits, public_key) = match answer {
            ChallengeAnswer::Success {
                res,
                res_bits,
                public_key,
            } => (res, res_bits, public_key),
            ChallengeAnswer::SyncFailure(auts) => return Ok(self.synchronization_failure(&auts)),
            ChallengeAnswer::AutnRejected => {
                return Err(Reason::AuthenticationReject(AuthenticationReject::Autn));
            }
            ChallengeAnswer::MacInvalid => return Err(Reason::Unprocessable(Unprocessable::Mac)),
            ChallengeAnswer::PublicKeyInvalid => {
                return Err(Reason::Unprocessable(Unprocessable::PublicKey));
            }
        };
        let octets = open.group.map(Group::public_key_length);
        if !(32..=128).contains(&bits)
            || res.len() != usize::from(bits).div_ceil(8)
            || public_key.as_ref().map(Vec::len) != octets
        {
            return Err(Reason::Unprocessable(Unprocessable::Sim));
        }
        let mut attributes = vec![Attribute::Res { bits, value: &res }];
        attributes.extend(public_key.as_deref().map(Attribute::PubEcdhe));
        let then = Phase::Verified {
            success: open.success,
            result_indication: open.echo.result_indication,
        };
        Ok(self.under_mac(Subtype::Challenge, &attributes, open.echo, then))
    }

    /// Builds the response: AT_AUTS and a copy of the agreed list of AT_KDF (RFC 9048 §3.2), but
    /// neither AT_KDF_FS nor AT_MAC.
    fn synchronization_failure(&self, auts: &[u8; 14]) -> Reaction {
        let mut attributes = vec![Attribute::Auts(auts)];
        attributes.extend(self.kdf.list().iter().map(|kdf| Attribute::Kdf(*kdf)));
        let response = self.response(Subtype::SynchronizationFailure, &attributes);
        Reaction::Respond(response.into_bytes())
    }
}

/// Checks AT_BIDDING: if the server and we both support EAP-AKA', somebody on the path has bid us
/// down to EAP-AKA (RFC 9048 §4).
fn bidding(config: &Config, message: &AkaMessage<'_>) -> Result<(), Reason> {
    if message.bidding() == Some(true) && config.allows(Method::AkaPrime) {
        return Err(Reason::AuthenticationReject(AuthenticationReject::BidDown));
    }
    Ok(())
}

fn bad_kdf_fs(bad: BadList) -> Reason {
    match bad {
        BadList::Duplicate => Reason::AuthenticationReject(AuthenticationReject::DuplicateKdfFs),
        BadList::Changed => Reason::Unprocessable(Unprocessable::KdfFsListChanged),
    }
}
