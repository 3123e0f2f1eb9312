//! The codec with random octets, and round trips.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use softsim_eap_packet::{
    Attribute, Builder, Code, Kind, Packet, Subtype, build_encrypted, parse_encrypted, typed,
};
use softsim_eap_types::Method;

/// An attribute that owns its contents.
#[derive(Debug, Clone)]
struct Owned {
    kind: u8,
    number: u16,
    octets: Vec<u8>,
}

impl Owned {
    /// The attribute of this kind as a message holds it; an unknown one where the kind holds
    /// nothing else.
    fn open(&self) -> Attribute<'_> {
        let sixteen = self.octets.first_chunk().expect("enough octets");
        let fourteen = self.octets.first_chunk().expect("enough octets");
        match self.kind {
            0 => Attribute::Rand(sixteen),
            1 => Attribute::Autn(sixteen),
            2 => Attribute::Res {
                bits: 32 + self.number % 97,
                value: &self.octets[..usize::from(32 + self.number % 97).div_ceil(8)],
            },
            3 => Attribute::Auts(fourteen),
            4 => Attribute::PermanentIdReq,
            5 => Attribute::Mac(sixteen),
            6 => Attribute::Notification(self.number),
            7 => Attribute::AnyIdReq,
            8 => Attribute::Identity(&self.octets),
            9 => Attribute::FullauthIdReq,
            10 => Attribute::ClientErrorCode(self.number),
            11 => Attribute::KdfInput(&self.octets),
            12 => Attribute::Kdf(self.number),
            13 => Attribute::Iv(sixteen),
            14 => Attribute::EncrData(&self.octets[..16]),
            15 => Attribute::Checkcode(&self.octets[..20]),
            16 => Attribute::ResultInd,
            17 => Attribute::Bidding(self.number % 2 == 1),
            18 => Attribute::PubEcdhe(&self.octets[..34]),
            19 => Attribute::KdfFs(self.number),
            other => Attribute::Skippable(Kind(180 + other), &self.octets[..2]),
        }
    }

    /// An attribute that may be inside AT_ENCR_DATA.
    fn encrypted(&self) -> Attribute<'_> {
        match self.kind % 5 {
            0 => Attribute::Counter(self.number),
            1 => Attribute::CounterTooSmall,
            2 => Attribute::NonceS(self.octets.first_chunk().expect("enough octets")),
            3 => Attribute::NextPseudonym(&self.octets),
            _ => Attribute::NextReauthId(&self.octets),
        }
    }
}

fn attributes() -> impl Strategy<Value = Vec<Owned>> {
    let octets = proptest::collection::vec(any::<u8>(), 40..100);
    let one = (0u8..30, any::<u16>(), octets).prop_map(|(kind, number, octets)| Owned {
        kind,
        number,
        octets,
    });
    proptest::collection::vec(one, 0..8)
}

/// The first attribute of each kind, because most kinds may occur only once.
fn once<'a>(attributes: impl Iterator<Item = Attribute<'a>>) -> Vec<Attribute<'a>> {
    let mut kinds = Vec::new();
    attributes
        .filter(|attribute| {
            let new = !kinds.contains(&attribute.kind());
            kinds.push(attribute.kind());
            new
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(packet) = Packet::parse(&octets) {
            let _ = packet.aka();
        }
        let _ = parse_encrypted(&octets);
        for method in [Method::Aka, Method::AkaPrime] {
            let packet = typed(Code::Request, 1, method.into(), &octets).unwrap();
            let _ = Packet::parse(&packet).unwrap().aka();
        }
    }

    #[test]
    fn what_is_built_is_read_back(owned in attributes(), identifier in any::<u8>(), subtype in any::<u8>()) {
        let attributes = once(owned.iter().map(Owned::open));
        let subtype = Subtype::from(subtype);
        let builder = Builder::new(Code::Request, identifier, Method::Aka.into(), subtype);
        let draft = attributes.iter().fold(builder, |b, a| b.attribute(*a)).finish().unwrap();
        let packet = Packet::parse(draft.bytes()).unwrap();
        let message = packet.aka().unwrap();
        prop_assert_eq!((packet.identifier, message.subtype), (identifier, subtype));
        prop_assert_eq!(message.attributes().collect::<Vec<_>>(), attributes);
    }

    #[test]
    fn what_is_built_for_encryption_is_whole_blocks_and_read_back(owned in attributes()) {
        let attributes = once(owned.iter().map(Owned::encrypted));
        let plaintext = build_encrypted(&attributes).unwrap();
        prop_assert_eq!(plaintext.len() % 16, 0);
        let mut read = parse_encrypted(&plaintext).unwrap();
        read.retain(|attribute| attribute.kind() != Kind::PADDING);
        prop_assert_eq!(read, attributes);
    }
}
