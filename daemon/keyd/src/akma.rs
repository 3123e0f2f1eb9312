//! Keys of application functions (AKMA, TS 33.535), derived from the last primary authentication
//! with a 5G core.

use softsim_aka::{KAusf, fiveg};
use softsim_keyd_proto::requests::AkmaKey;
use softsim_keyd_proto::{AkmaAnswer, Refusal, SecretBytes};

use crate::vault::{Installation, Vault};

/// The longest domain name, in octets.
const MAX_DOMAIN: usize = 253;

/// K_AUSF, which a 5G core has anchored. keyd holds it in memory only, while the profile is in use.
#[derive(Debug)]
pub(crate) struct Anchored {
    pub(crate) of: Installation,
    pub(crate) k_ausf: KAusf,
}

pub(crate) fn akma_key(
    vault: &Vault,
    anchored: Option<&Anchored>,
    afs: &[(u32, String)],
    user: u32,
    request: AkmaKey<'_>,
) -> Result<AkmaAnswer, Refusal> {
    let AkmaKey { af, ua_star } = request;
    if !is_domain_name(af) {
        return Err(Refusal::Field {
            name: "af".to_owned(),
            expected: format!("a domain name of at most {MAX_DOMAIN} octets"),
            got: format!("{} octets", af.len()),
        });
    }
    let mut afs = afs.iter();
    if !afs.any(|(uid, domain)| (*uid, &**domain) == (user, af)) {
        return Err(Refusal::ApplicationFunction);
    }
    let anchored = anchored.ok_or(Refusal::NotAnchored)?;
    let stored = vault.profile(anchored.of.slot());
    let profile = &stored.ok_or(Refusal::NotAnchored)?.profile;
    // SUPI is the IMSI, without a prefix (TS 33.501 A.7.0).
    let supi = profile.imsi.digits().as_bytes();
    let a_tid = fiveg::a_tid(&anchored.k_ausf, supi);
    let a_kid = profile
        .imsi
        .a_kid(profile.routing_indicator.as_str(), &a_tid)
        .expect("a profile's routing indicator has one to four digits");
    let k_akma = fiveg::k_akma(&anchored.k_ausf, supi);
    let k_af = fiveg::k_af(&k_akma, &[af.as_bytes(), &ua_star].concat());
    Ok(AkmaAnswer {
        a_kid: a_kid.as_str().to_owned(),
        k_af: SecretBytes::new(k_af.as_bytes().to_vec()),
    })
}

/// Wipes K_AUSF if its profile was disabled, deleted or replaced.
pub(crate) fn wipe_unused_k_ausf(anchored: &mut Option<Anchored>, vault: &Vault) {
    anchored.take_if(|anchored| !vault.is_in_use(anchored.of));
}

/// Whether a name consists of labels of letters, digits and hyphens, joined by dots.
pub(crate) fn is_domain_name(name: &str) -> bool {
    let label = |label: &str| {
        let octets = label.bytes();
        (1..=63).contains(&label.len())
            && octets
                .into_iter()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    name.len() <= MAX_DOMAIN && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_name_is_labels_and_dots() {
        let long = format!("{}.example", "a".repeat(64));
        let longest = [
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(61),
        ]
        .join(".");
        for good in ["af", "af.example.org", "AF-1.example", &longest] {
            assert!(is_domain_name(good), "{good}");
        }
        let longer = format!("{longest}d");
        for bad in [
            "", ".", "a..b", "a.", "a b", "a\0", "\u{e4}", &long, &longer,
        ] {
            assert!(!is_domain_name(bad), "{bad}");
        }
    }
}
