//! The other side of an authentication: challenges as a home network makes them.

use softsim_aka::eap::{AkaPrimeKeys, at_mac};
use softsim_aka::kdf::{self, NetworkName};
use softsim_aka::{AlgorithmSet, Amf, Autn, Auts, Credentials, Rand, Sqn};

use crate::fixture;

pub(crate) const IDENTITY: &[u8] = b"6001010000000001@wlan.mnc001.mcc001.3gppnetwork.org";
pub(crate) const RAND: [u8; 16] = [0x11; 16];

/// What goes into a challenge.
pub(crate) struct HomeNetwork {
    pub(crate) credentials: Credentials,
    pub(crate) rand: [u8; 16],
    pub(crate) amf: [u8; 2],
    pub(crate) identity: Vec<u8>,
    pub(crate) network_name: Vec<u8>,
}

/// A challenge, and what an honest USIM makes of it.
pub(crate) struct Challenge {
    pub(crate) packet: Vec<u8>,
    pub(crate) res: Vec<u8>,
    pub(crate) keys: AkaPrimeKeys,
}

impl Default for HomeNetwork {
    fn default() -> Self {
        Self {
            credentials: fixture::milenage(fixture::K, fixture::OPC),
            rand: RAND,
            amf: [0x80, 0],
            identity: IDENTITY.to_vec(),
            network_name: b"WLAN".to_vec(),
        }
    }
}

impl HomeNetwork {
    pub(crate) fn challenge(&self, sqn: u64) -> Challenge {
        let (algorithm, rand) = (self.credentials.functions(), Rand::new(self.rand));
        let (sqn, amf) = (Sqn::new(sqn).unwrap(), Amf::new(self.amf));
        let output = algorithm.f2345(&rand);
        let concealed = output.ak.conceal(sqn);
        let autn = Autn::from_parts(concealed, amf, &algorithm.f1(&rand, sqn, amf));
        let name = NetworkName::new(&self.network_name).unwrap();
        let (ck, ik) = kdf::ck_ik_prime(&output.ck, &output.ik, name, concealed);
        let keys = AkaPrimeKeys::derive(&ck, &ik, &self.identity);
        let attributes = [
            attribute(1, &[&[0, 0], &self.rand]),
            attribute(2, &[&[0, 0], autn.as_bytes()]),
            attribute(
                23,
                &[
                    &(self.network_name.len() as u16).to_be_bytes(),
                    &self.network_name,
                ],
            ),
            attribute(24, &[&[0, 1]]),
        ]
        .concat();
        Challenge {
            packet: maced(1, 1, &attributes, &keys),
            res: output.res.as_bytes().to_vec(),
            keys,
        }
    }

    /// The highest SQN of the USIM, where AUTS is its own.
    pub(crate) fn resynchronise(&self, auts: [u8; 14]) -> Option<u64> {
        let (algorithm, rand, auts) = (
            self.credentials.functions(),
            Rand::new(self.rand),
            Auts::new(auts),
        );
        let sqn = algorithm.f5_star(&rand).reveal(auts.sqn_xor_ak());
        let genuine = algorithm.f1_star(&rand, sqn, Amf::new([0, 0])) == auts.mac_s();
        genuine.then_some(sqn.value())
    }
}

/// A packet of EAP-AKA' with these attributes and a right AT_MAC behind them.
pub(crate) fn maced(code: u8, subtype: u8, attributes: &[u8], keys: &AkaPrimeKeys) -> Vec<u8> {
    let mut packet = unmaced(code, subtype, attributes);
    let mac = at_mac(&keys.k_aut, &packet);
    let end = packet.len();
    packet[end - 16..].copy_from_slice(&mac);
    packet
}

/// The same with zeros in AT_MAC.
pub(crate) fn unmaced(code: u8, subtype: u8, attributes: &[u8]) -> Vec<u8> {
    let length = (8 + attributes.len() + 20) as u16;
    let mut packet = vec![code, 7];
    packet.extend(length.to_be_bytes());
    packet.extend([50, subtype, 0, 0]);
    packet.extend(attributes);
    packet.extend(attribute(11, &[&[0; 18]]));
    packet
}

fn attribute(kind: u8, value: &[&[u8]]) -> Vec<u8> {
    let mut attribute = vec![kind, 0];
    attribute.extend(value.concat());
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute[1] = (attribute.len() / 4) as u8;
    attribute
}
