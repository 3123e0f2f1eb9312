//! The subscription of the lab, from a file or random.

use std::sync::{Arc, Mutex, PoisonError};

use softsim_aka::{AlgorithmSet, Amf, AuthenticationOutput, Credentials, Rand, Sqn};
use softsim_issuer::profile_toml;
use softsim_lab_simulators::auc::{Auc, Subscriber};
use softsim_profile::{Iccid, Profile};
use softsim_sandbox::random;
use zeroize::Zeroizing;

use crate::error::Result;

/// A profile, and the AuC that has the same subscription.
pub struct Subscription {
    /// The profile for the device.
    pub profile: Profile,
    /// The AuC that authenticates the device.
    pub auc: Arc<Mutex<Auc>>,
    /// Every RAND that the AuC has generated.
    rands: Arc<Mutex<Vec<[u8; Rand::LENGTH]>>>,
}

/// A secret that must not leave keyd.
pub struct Secret {
    /// What it is, e.g. `CK`.
    pub name: &'static str,
    /// Its octets.
    pub octets: Zeroizing<Vec<u8>>,
}

impl Subscription {
    /// The subscription of a profile file.
    pub fn new(text: &str) -> Result<Self> {
        let profile = profile_toml::parse(text)?;
        let rands = Arc::<Mutex<Vec<_>>>::default();
        let drawn = rands.clone();
        let mut auc = Auc::new(move |octets| {
            random::fill(octets);
            if let Ok(rand) = (&*octets).try_into() {
                (drawn.lock().unwrap_or_else(PoisonError::into_inner)).push(rand);
            }
        });
        let subscriber = subscriber(&profile, profile.sqn.floor());
        auc.insert(profile.imsi.digits(), subscriber);
        Ok(Self {
            profile,
            auc: Arc::new(Mutex::new(auc)),
            rands,
        })
    }

    /// The AuC's data of the subscription, as if it had used `sqn` last.
    pub fn subscriber(&self, sqn: Sqn) -> Subscriber {
        subscriber(&self.profile, sqn)
    }

    /// The AuC's SQN of its last vector.
    pub fn sqn(&self) -> Sqn {
        let mut auc = self.auc.lock().unwrap_or_else(PoisonError::into_inner);
        let own = auc.subscriber(self.profile.imsi.digits());
        own.expect("it is never taken out of the AuC").sqn()
    }

    /// Replaces the AuC's data of the subscription.
    pub fn replace(&self, subscriber: Subscriber) {
        let mut auc = self.auc.lock().unwrap_or_else(PoisonError::into_inner);
        auc.insert(self.profile.imsi.digits(), subscriber);
    }

    /// Sets the AuC back, or forward, as if it had used `sqn` last.
    pub fn set_sqn(&self, sqn: Sqn) {
        self.replace(self.subscriber(sqn));
    }

    /// The secrets that a check of records and logs searches for: K, OPc or TOPc, and CK and IK of
    /// every vector so far.
    pub fn secrets(&self) -> Vec<Secret> {
        let credentials = &self.profile.credentials;
        let mut secrets = vec![Secret::new("K", credentials.k())];
        match credentials {
            Credentials::Milenage { opc, .. } => secrets.push(Secret::new("OPc", opc.as_bytes())),
            Credentials::Tuak { topc, .. } => secrets.push(Secret::new("TOPc", topc.as_bytes())),
            Credentials::Xor { .. } => {}
        }
        for output in self.outputs() {
            secrets.push(Secret::new("CK", output.ck.as_bytes()));
            secrets.push(Secret::new("IK", output.ik.as_bytes()));
        }
        secrets
    }

    /// RES of every vector so far. Since RES may leave keyd, finding it shows that such a check
    /// works.
    pub fn responses(&self) -> Vec<Secret> {
        self.outputs()
            .map(|output| Secret::new("RES", output.res.as_bytes()))
            .collect()
    }

    fn outputs(&self) -> impl Iterator<Item = AuthenticationOutput> {
        let functions = self.profile.credentials.functions();
        let rands = self.rands.lock().unwrap_or_else(PoisonError::into_inner);
        rands
            .clone()
            .into_iter()
            .map(move |rand| functions.f2345(&Rand::new(rand)))
    }
}

fn subscriber(profile: &Profile, sqn: Sqn) -> Subscriber {
    // EAP-AKA' takes only vectors with the separation bit (RFC 9048 §3.3), whatever else AMF says.
    let [high, low] = *profile.amf.as_bytes();
    let amf = Amf::new([high | 0x80, low]);
    let ind_bits = profile.sqn.parameters().ind_bits;
    Subscriber::new(&profile.credentials, amf, sqn, ind_bits)
}

impl Secret {
    fn new(name: &'static str, octets: &[u8]) -> Self {
        Self {
            name,
            octets: Zeroizing::new(octets.to_vec()),
        }
    }
}

/// The names of the secrets of which `octets` contains a half, in binary or in hexadecimal.
pub fn found_in(octets: &[u8], secrets: &[Secret]) -> Vec<&'static str> {
    let folded = octets.to_ascii_lowercase();
    let stands = |half: &[u8]| {
        let hex = hex::encode(half);
        octets.windows(half.len()).any(|window| window == half)
            || folded
                .windows(hex.len())
                .any(|window| window == hex.as_bytes())
    };
    let halves = |secret: &&Secret| {
        let (front, back) = secret.octets.split_at(secret.octets.len() / 2);
        stands(front) || stands(back)
    };
    secrets
        .iter()
        .filter(halves)
        .map(|secret| secret.name)
        .collect()
}

/// A profile file with a random subscription of the test network 001-01.
pub fn random_profile() -> Zeroizing<String> {
    let digits = |count| {
        let mut octets = vec![0; count];
        random::fill(&mut octets);
        (octets.iter()).fold(String::new(), |digits, octet| {
            format!("{digits}{}", octet % 10)
        })
    };
    let key = || {
        let mut octets = Zeroizing::new([0; 16]);
        random::fill(&mut *octets);
        Zeroizing::new(hex::encode(octets.as_slice()))
    };
    let iccid = format!("8988211{}", digits(11));
    Zeroizing::new(format!(
        "iccid = \"{iccid}{}\"\nimsi = \"00101{}\"\nmnc_length = 2\nalgorithm = \"milenage\"\n\
         k = \"{}\"\nopc = \"{}\"\namf = \"8000\"\nsqn = \"000000000000\"\nind_bits = 5\n",
        Iccid::check_digit(&iccid),
        digits(10),
        *key(),
        *key(),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_secret_is_found_whole_or_halved_as_octets_or_as_hexadecimal() {
        let secret = Secret {
            name: "K",
            octets: Zeroizing::new(b"\x01\xab\x02\xcd".to_vec()),
        };
        let secrets = [secret];
        for hidden in [&b"..\x01\xab.."[..], b"..\x02\xcd", b"k=01AB", b"02cd"] {
            assert_eq!(found_in(hidden, &secrets), ["K"]);
        }
        assert!(found_in(b"\x01 \xab 01 ab cd02", &secrets).is_empty());
        assert!(found_in(b"", &secrets).is_empty());
    }

    #[test]
    fn a_random_profile_is_one_and_no_two_are_the_same() {
        let [one, two] = [random_profile(), random_profile()];
        let [one, two] = [one, two].map(|text| Subscription::new(&text).unwrap().profile);
        assert_eq!(one.imsi.mcc(), "001");
        assert!(!one.credentials.same_k(&two.credentials) && one.imsi != two.imsi);
    }

    #[test]
    fn the_secrets_are_those_of_the_vectors_that_were_given_out() {
        let subscription = Subscription::new(&random_profile()).unwrap();
        let imsi = subscription.profile.imsi.digits().to_owned();
        let vector = subscription.auc.lock().unwrap().vector(&imsi).unwrap();
        let secrets = subscription.secrets();
        let names: Vec<_> = secrets.iter().map(|secret| secret.name).collect();
        assert_eq!(names, ["K", "OPc", "CK", "IK"]);
        assert_eq!(*secrets[2].octets, vector.ck.as_bytes());
        assert_eq!(*secrets[3].octets, vector.ik.as_bytes());
    }

    #[test]
    fn an_amf_without_the_separation_bit_gets_it() {
        let text = random_profile().replace("\"8000\"", "\"0000\"");
        let subscription = Subscription::new(&text).unwrap();
        let imsi = subscription.profile.imsi.digits().to_owned();
        let vector = subscription.auc.lock().unwrap().vector(&imsi).unwrap();
        assert!(vector.autn.amf().separation_bit());
    }
}
