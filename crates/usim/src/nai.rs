//! Network access identifiers of a subscriber and their realms (TS 23.003 §14, §19.3 and §28.7).

use core::fmt::{self, Write};

use softsim_aka::ATid;
pub use softsim_eap_types::Realm;

use crate::Imsi;
use crate::identity::MncLength;

/// The first character of a permanent identity, which states the method (RFC 4187 §4.1.1.6, TS
/// 23.003 §19.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityPrefix {
    /// EAP-AKA.
    Aka = b'0' as isize,
    /// EAP-AKA'.
    AkaPrime = b'6' as isize,
}

/// A network access identifier: a username, an at sign and a realm.
#[derive(Clone, PartialEq, Eq)]
pub struct Nai {
    octets: [u8; Nai::MAX],
    length: u8,
}

impl Nai {
    /// Length in octets of the longest identifier, a SUCI of profile B with the longest MSIN.
    pub const MAX: usize = "type0.rid9999.schid2.hnkey255".len()
        + ".ecckey".len()
        + 2 * 33
        + ".cip".len()
        + 2 * 5
        + ".mac".len()
        + 2 * 8
        + "@nai.5gc-nn.mnc000.mcc000.3gppnetwork.org".len();

    /// The identifier's characters.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.octets[..usize::from(self.length)]).expect("made of ASCII only")
    }

    /// The part after the at sign.
    pub fn realm(&self) -> &str {
        self.as_str().split_once('@').map_or("", |(_, realm)| realm)
    }

    /// Builds `<username>@<realm>` of a home network.
    pub(crate) fn new(username: impl fmt::Display, imsi: &Imsi, realm: Realm) -> Self {
        let mut nai = Self {
            octets: [0; Self::MAX],
            length: 0,
        };
        let zero = match imsi.mnc_length() {
            MncLength::Two => "0",
            MncLength::Three => "",
        };
        let (prefix, mnc, mcc) = (realm.prefix(), imsi.mnc(), imsi.mcc());
        write!(
            nai,
            "{username}@{prefix}.mnc{zero}{mnc}.mcc{mcc}.3gppnetwork.org"
        )
        .expect("no username is longer than that of a SUCI of profile B");
        nai
    }
}

impl Write for Nai {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let start = usize::from(self.length);
        let end = start + part.len();
        let place = self.octets.get_mut(start..end).ok_or(fmt::Error)?;
        place.copy_from_slice(part.as_bytes());
        self.length = end as u8;
        Ok(())
    }
}

/// Prints the realm only, because the username may hold the IMSI.
impl fmt::Debug for Nai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nai([redacted]@{})", self.realm())
    }
}

impl Imsi {
    /// The permanent identity: `<prefix><IMSI>@<realm>` (§14.3, §19.3.2).
    pub fn permanent_identity(&self, prefix: IdentityPrefix, realm: Realm) -> Nai {
        let prefix = char::from(prefix as u8);
        Nai::new(format_args!("{prefix}{}", self.digits()), self, realm)
    }

    /// The anonymous identity, which names only the home network: `anonymous@<realm>` (RFC 7542
    /// §2.4).
    pub fn anonymous_identity(&self, realm: Realm) -> Nai {
        Nai::new("anonymous", self, realm)
    }

    /// A-KID, which identifies K_AKMA: routing indicator and A-TID at the home network's domain,
    /// `rid<R>.atid<A-TID>@<realm>`. TS 33.535 §6.1 leaves open how the two are joined.
    ///
    /// # Errors
    /// [`BadRoutingIndicator`].
    pub fn a_kid(&self, routing_indicator: &str, a_tid: &ATid) -> Result<Nai, BadRoutingIndicator> {
        let rid = checked(routing_indicator)?;
        let a_tid = Hex(a_tid.as_bytes());
        Ok(Nai::new(
            format_args!("rid{rid}.atid{a_tid}"),
            self,
            Realm::FiveGc,
        ))
    }
}

/// The error for a routing indicator that isn't 1 to 4 decimal digits (TS 23.003 §2.2B).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a routing indicator takes 1 to 4 decimal digits")]
pub struct BadRoutingIndicator;

pub(crate) fn checked(routing_indicator: &str) -> Result<&str, BadRoutingIndicator> {
    match routing_indicator.len() {
        1..=4 if routing_indicator.bytes().all(|c| c.is_ascii_digit()) => Ok(routing_indicator),
        _ => Err(BadRoutingIndicator),
    }
}

/// Octets as pairs of hexadecimal digits.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    extern crate std;

    use std::format;

    use super::*;

    fn imsi(digits: &str, mnc_length: MncLength) -> Imsi {
        Imsi::new(digits.as_bytes(), mnc_length).unwrap()
    }

    #[test]
    fn the_realm_has_a_three_digit_mnc() {
        let nai = imsi("001010000000000", MncLength::Two)
            .permanent_identity(IdentityPrefix::AkaPrime, Realm::Wlan);
        assert_eq!(
            nai.as_str(),
            "6001010000000000@wlan.mnc001.mcc001.3gppnetwork.org"
        );
        let nai = imsi("310410123456789", MncLength::Three)
            .permanent_identity(IdentityPrefix::Aka, Realm::Wlan);
        assert_eq!(
            nai.as_str(),
            "0310410123456789@wlan.mnc410.mcc310.3gppnetwork.org"
        );
        assert_eq!(nai.realm(), "wlan.mnc410.mcc310.3gppnetwork.org");
    }

    #[test]
    fn every_part_of_the_home_network_has_a_realm_of_its_own() {
        let imsi = imsi("234150999999999", MncLength::Two);
        for (realm, expected) in [
            (Realm::Wlan, "wlan.mnc015.mcc234.3gppnetwork.org"),
            (Realm::Epc, "nai.epc.mnc015.mcc234.3gppnetwork.org"),
            (Realm::FiveGc, "5gc.mnc015.mcc234.3gppnetwork.org"),
            (Realm::NaiFiveGc, "nai.5gc.mnc015.mcc234.3gppnetwork.org"),
            (Realm::Nswo, "5gc-nswo.mnc015.mcc234.3gppnetwork.org"),
            (Realm::N5cw, "nai.5gc-nn.mnc015.mcc234.3gppnetwork.org"),
        ] {
            let anonymous = imsi.anonymous_identity(realm);
            assert_eq!(anonymous.as_str(), format!("anonymous@{expected}"));
            let permanent = imsi.permanent_identity(IdentityPrefix::Aka, realm);
            assert_eq!(permanent.as_str(), format!("0234150999999999@{expected}"));
        }
    }

    #[test]
    fn a_kid_names_a_key_at_the_home_network_and_no_subscriber() {
        let imsi = imsi("234150999999999", MncLength::Two);
        let a_kid = imsi.a_kid("678", &ATid::new([0xa5; 32])).unwrap();
        assert_eq!(
            a_kid.as_str(),
            format!(
                "rid678.atid{}@5gc.mnc015.mcc234.3gppnetwork.org",
                "a5".repeat(32)
            )
        );
        for indicator in ["", "12345", "12a"] {
            let refused = imsi.a_kid(indicator, &ATid::new([0; 32]));
            assert_eq!(refused, Err(BadRoutingIndicator));
        }
    }

    #[test]
    fn debug_of_an_nai_redacts_the_username() {
        let nai = imsi("001010123456789", MncLength::Two)
            .permanent_identity(IdentityPrefix::AkaPrime, Realm::Wlan);
        assert_eq!(
            format!("{nai:?}"),
            "Nai([redacted]@wlan.mnc001.mcc001.3gppnetwork.org)"
        );
    }
}
