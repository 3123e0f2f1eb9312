//! EAP-AKA' packets, only as far as keyd needs them: their kind, and the attributes of a challenge.

use core::fmt;

use softsim_aka::eap::{self, AT_MAC_LENGTH};
use softsim_aka::kdf::NetworkName;
use softsim_aka::{Autn, KAut, Rand};
use softsim_keyd_proto::PacketFault;

/// Code, identifier, length (RFC 3748 §4), type, subtype and two reserved octets (RFC 4187 §8.1).
const HEAD: usize = 8;

/// Type of EAP-AKA' (RFC 9048 §3).
const AKA_PRIME: u8 = 50;
/// Subtype of a challenge (RFC 4187 §11).
const CHALLENGE: u8 = 1;

// Attributes (RFC 4187 §11, RFC 9048 §8.1).
const AT_RAND: u8 = 1;
const AT_AUTN: u8 = 2;
const AT_MAC: u8 = 11;
const AT_KDF_INPUT: u8 = 23;
const AT_KDF: u8 = 24;

/// The key derivation of RFC 9048 §3.3, the only one there is.
const KDF_AKA_PRIME: u16 = 1;

/// Which side speaks (RFC 3748 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Request = 1,
    Response = 2,
}

/// An EAP-Request/AKA'-Challenge.
pub(crate) struct Challenge<'p> {
    pub(crate) rand: Rand,
    pub(crate) autn: Autn,
    pub(crate) network_name: NetworkName<'p>,
    pub(crate) maced: Maced<'p>,
}

impl<'p> Challenge<'p> {
    /// Takes a challenge whose first AT_KDF is [`KDF_AKA_PRIME`]: negotiation is over.
    pub(crate) fn parse(packet: &'p [u8]) -> Result<Self, PacketFault> {
        let attributes = Attributes::of(packet, Code::Request)?;
        if packet[5] != CHALLENGE {
            return Err(PacketFault::Type);
        }
        let (mut rand, mut autn, mut network_name, mut kdf) = (None, None, None, None);
        for attribute in attributes.clone() {
            let (_, kind, value) = attribute?;
            match kind {
                AT_RAND => once(&mut rand, Rand::new(*sixteen(value)?))?,
                AT_AUTN => once(&mut autn, Autn::new(*sixteen(value)?))?,
                AT_KDF_INPUT => once(&mut network_name, name(value)?)?,
                // A list, of which the first counts.
                AT_KDF => {
                    let value = value.try_into().map_err(|_| PacketFault::Attribute)?;
                    kdf.get_or_insert(u16::from_be_bytes(value));
                }
                _ => {}
            }
        }
        let missing = PacketFault::Missing;
        if kdf.ok_or(missing(AT_KDF))? != KDF_AKA_PRIME {
            return Err(PacketFault::Kdf);
        }
        Ok(Self {
            rand: rand.ok_or(missing(AT_RAND))?,
            autn: autn.ok_or(missing(AT_AUTN))?,
            network_name: network_name.ok_or(missing(AT_KDF_INPUT))?,
            maced: Maced::find(packet, attributes)?,
        })
    }
}

impl fmt::Debug for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({:?}, {:?})", self.rand, self.autn)
    }
}

/// A packet with its AT_MAC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maced<'p> {
    packet: &'p [u8],
    mac: &'p [u8; AT_MAC_LENGTH],
    /// Where in the packet it stands.
    at: usize,
}

impl<'p> Maced<'p> {
    /// Takes a packet of EAP-AKA' of one side, with one AT_MAC.
    pub(crate) fn parse(packet: &'p [u8], code: Code) -> Result<Self, PacketFault> {
        Self::find(packet, Attributes::of(packet, code)?)
    }

    fn find(packet: &'p [u8], attributes: Attributes<'p>) -> Result<Self, PacketFault> {
        let mut found = None;
        for attribute in attributes {
            let (at, kind, value) = attribute?;
            if kind == AT_MAC {
                // The attribute's head, and two reserved octets.
                let maced = Self {
                    packet,
                    mac: sixteen(value)?,
                    at: at + 4,
                };
                once(&mut found, maced)?;
            }
        }
        found.ok_or(PacketFault::Missing(AT_MAC))
    }

    /// Whether AT_MAC is the right one; in constant time.
    pub(crate) fn verify(&self, k_aut: &KAut) -> bool {
        let mut zeroed = self.packet.to_vec();
        zeroed[self.at..self.at + AT_MAC_LENGTH].fill(0);
        eap::verify_at_mac(k_aut, &zeroed, self.mac)
    }

    /// The value that AT_MAC is to have; its place has to hold zeros.
    pub(crate) fn compute(&self, k_aut: &KAut) -> Result<[u8; AT_MAC_LENGTH], PacketFault> {
        if self.mac != &[0; AT_MAC_LENGTH] {
            return Err(PacketFault::Mac);
        }
        Ok(eap::at_mac(k_aut, self.packet))
    }
}

/// The attributes of a packet: place, type, and what follows type and length.
#[derive(Clone)]
struct Attributes<'p> {
    rest: &'p [u8],
    at: usize,
}

impl<'p> Attributes<'p> {
    fn of(packet: &'p [u8], code: Code) -> Result<Self, PacketFault> {
        let Some((head, rest)) = packet.split_first_chunk::<HEAD>() else {
            return Err(PacketFault::Length);
        };
        let [came, _, high, low, method, ..] = *head;
        if usize::from(u16::from_be_bytes([high, low])) != packet.len() {
            return Err(PacketFault::Length);
        }
        if (came, method) != (code as u8, AKA_PRIME) {
            return Err(PacketFault::Type);
        }
        Ok(Self { rest, at: HEAD })
    }
}

impl<'p> Iterator for Attributes<'p> {
    type Item = Result<(usize, u8, &'p [u8]), PacketFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, behind) = self.rest.split_first()?;
        // Lengths count words of four octets, the head included, so that 0 would never end.
        let length = usize::from(behind.first().copied().unwrap_or(0)) * 4;
        if length == 0 || length > self.rest.len() {
            self.rest = &[];
            return Some(Err(PacketFault::Attribute));
        }
        let (attribute, rest) = self.rest.split_at(length);
        let at = self.at;
        (self.rest, self.at) = (rest, at + length);
        Some(Ok((at, kind, &attribute[2..])))
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), PacketFault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(PacketFault::Attribute),
    }
}

/// Two reserved octets and a value of 16.
fn sixteen(value: &[u8]) -> Result<&[u8; 16], PacketFault> {
    match value.split_first_chunk::<2>() {
        Some((_, value)) => value.try_into().map_err(|_| PacketFault::Attribute),
        None => Err(PacketFault::Attribute),
    }
}

/// The length of a name, the name, and padding to a multiple of four (RFC 9048 §3.1).
fn name(value: &[u8]) -> Result<NetworkName<'_>, PacketFault> {
    let (length, padded) = value
        .split_first_chunk::<2>()
        .ok_or(PacketFault::Attribute)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let name = padded.get(..length).ok_or(PacketFault::Attribute)?;
    if padded.len() - length > 3 {
        return Err(PacketFault::Attribute);
    }
    NetworkName::new(name).map_err(|_| PacketFault::Attribute)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    const RAND: [u8; 20] = [
        1, 5, 0, 0, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        0xaa, 0xaa, 0xaa,
    ];
    const KDF: [u8; 4] = [24, 1, 0, 1];
    const WLAN: [u8; 8] = [23, 2, 0, 4, b'W', b'L', b'A', b'N'];

    fn sixteen_of(kind: u8) -> [u8; 20] {
        let mut attribute = RAND;
        attribute[0] = kind;
        attribute
    }

    fn packet(head: [u8; 6], attributes: &[&[u8]]) -> Vec<u8> {
        let mut packet = head.to_vec();
        packet.extend([0, 0]);
        attributes
            .iter()
            .for_each(|attribute| packet.extend_from_slice(attribute));
        let length = (packet.len() as u16).to_be_bytes();
        packet[2..4].copy_from_slice(&length);
        packet
    }

    fn challenge(attributes: &[&[u8]]) -> Vec<u8> {
        packet([1, 7, 0, 0, AKA_PRIME, CHALLENGE], attributes)
    }

    fn fault(packet: &[u8]) -> PacketFault {
        Challenge::parse(packet).unwrap_err()
    }

    #[test]
    fn the_fields_of_a_challenge_are_found_in_any_order() {
        let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
        let unknown_skippable = [200, 1, 0, 0];
        let packet = challenge(&[&mac, &KDF, &unknown_skippable, &WLAN, &autn, &RAND]);
        let challenge = Challenge::parse(&packet).unwrap();
        assert_eq!(challenge.rand, Rand::new([0xaa; 16]));
        assert_eq!(challenge.autn, Autn::new([0xaa; 16]));
        assert_eq!(challenge.network_name.as_bytes(), b"WLAN");
        assert_eq!(challenge.maced.at, HEAD + 4);
    }

    #[test]
    fn each_required_attribute_is_missed_by_its_number() {
        let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
        let all: [&[u8]; 5] = [&RAND, &autn, &KDF, &WLAN, &mac];
        for (left_out, number) in [AT_RAND, AT_AUTN, AT_KDF, AT_KDF_INPUT, AT_MAC]
            .iter()
            .enumerate()
        {
            let mut rest = all.to_vec();
            rest.remove(left_out);
            assert_eq!(fault(&challenge(&rest)), PacketFault::Missing(*number));
        }
    }

    #[test]
    fn a_repeated_attribute_is_a_fault_and_a_repeated_kdf_is_a_list() {
        let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
        let all: [&[u8]; 5] = [&RAND, &autn, &KDF, &WLAN, &mac];
        for (place, attribute) in all.iter().enumerate() {
            let mut twice = all.to_vec();
            twice.push(attribute);
            let parsed = Challenge::parse(&challenge(&twice)).map(|_| ());
            let expected = if place == 2 {
                Ok(())
            } else {
                Err(PacketFault::Attribute)
            };
            assert_eq!(parsed, expected, "attribute {}", attribute[0]);
        }
    }

    #[test]
    fn the_first_kdf_counts() {
        let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
        let other = [24, 1, 0, 2];
        let offered = |first, second| challenge(&[&RAND, &autn, first, second, &WLAN, &mac]);
        assert!(Challenge::parse(&offered(&KDF, &other)).is_ok());
        assert_eq!(fault(&offered(&other, &KDF)), PacketFault::Kdf);
    }

    #[test]
    fn another_code_method_subtype_or_length_is_no_challenge() {
        let attributes: [&[u8]; 5] = [
            &RAND,
            &sixteen_of(AT_AUTN),
            &KDF,
            &WLAN,
            &sixteen_of(AT_MAC),
        ];
        for head in [
            [2, 7, 0, 0, AKA_PRIME, CHALLENGE],
            [1, 7, 0, 0, 23, CHALLENGE],
            [1, 7, 0, 0, AKA_PRIME, 5],
        ] {
            assert_eq!(fault(&packet(head, &attributes)), PacketFault::Type);
        }
        let mut long = challenge(&attributes);
        long.push(0);
        assert_eq!(fault(&long), PacketFault::Length);
        assert_eq!(fault(&[]), PacketFault::Length);
        assert_eq!(fault(&[1, 7, 0, 5, AKA_PRIME]), PacketFault::Length);
    }

    #[test]
    fn an_attribute_of_length_0_ends_the_reading() {
        assert_eq!(
            fault(&challenge(&[&[200, 0, 0, 0]])),
            PacketFault::Attribute
        );
        assert_eq!(
            fault(&challenge(&[&[200, 2, 0, 0]])),
            PacketFault::Attribute
        );
        assert_eq!(fault(&challenge(&[&[200]])), PacketFault::Attribute);
        assert_eq!(
            fault(&challenge(&[&[AT_RAND, 1, 0, 0]])),
            PacketFault::Attribute
        );
        assert_eq!(
            fault(&challenge(&[&[AT_KDF, 2, 0, 1, 0, 0, 0, 0]])),
            PacketFault::Attribute
        );
    }

    #[test]
    fn a_network_name_fills_its_attribute_up_to_the_padding() {
        for name in [
            &[23, 1, 0, 0][..],
            &[23, 2, 0, 5, b'W', b'L', b'A', b'N'],
            &[23, 3, 0, 4, b'W', b'L', b'A', b'N', 0, 0, 0, 0],
        ] {
            assert_eq!(
                fault(&challenge(&[&RAND, name])),
                PacketFault::Attribute,
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_mac_is_made_only_where_zeros_stand_for_it() {
        let k_aut = KAut::new([3; 32]);
        let notification = |mac: &[u8]| packet([2, 7, 0, 0, AKA_PRIME, 12], &[mac]);
        let mut place = sixteen_of(AT_MAC);
        let filled = notification(&place);
        let response = Maced::parse(&filled, Code::Response).unwrap();
        assert_eq!(response.compute(&k_aut), Err(PacketFault::Mac));

        place[4..].fill(0);
        let zeroed = notification(&place);
        let mac = Maced::parse(&zeroed, Code::Response)
            .unwrap()
            .compute(&k_aut)
            .unwrap();
        place[4..].copy_from_slice(&mac);
        let finished = notification(&place);
        assert!(
            Maced::parse(&finished, Code::Response)
                .unwrap()
                .verify(&k_aut)
        );
        assert!(
            !Maced::parse(&finished, Code::Response)
                .unwrap()
                .verify(&KAut::new([4; 32]))
        );
        assert_eq!(
            Maced::parse(&finished, Code::Request).unwrap_err(),
            PacketFault::Type
        );
    }

    proptest! {
        #[test]
        fn arbitrary_packets_never_panic(mut packet in prop::collection::vec(any::<u8>(), 0..200)) {
            let length = (packet.len() as u16).to_be_bytes();
            if let [code, _, high, low, method, subtype, ..] = &mut packet[..] {
                (*code, *method, *subtype) = (1, AKA_PRIME, CHALLENGE);
                [*high, *low] = length;
            }
            let _ = Challenge::parse(&packet);
            let _ = Maced::parse(&packet, Code::Request);
        }
    }
}
