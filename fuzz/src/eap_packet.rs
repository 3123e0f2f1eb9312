//! The codec of EAP-AKA and EAP-AKA': any packet that parses can be built again, and then parses to
//! the same.

use softsim_eap_packet::{Builder, Kind, Packet, build_encrypted, parse_encrypted};

/// Reads the input as an EAP packet, and as the plaintext of AT_ENCR_DATA.
pub fn run(input: &[u8]) {
    packet(input);
    encrypted(input);
}

fn packet(input: &[u8]) {
    let Ok(packet) = Packet::parse(input) else {
        return;
    };
    assert!(packet.bytes().len() <= input.len());
    let (Some((method, _)), Ok(message)) = (packet.typed, packet.aka()) else {
        return;
    };
    let builder = Builder::new(packet.code, packet.identifier, method, message.subtype);
    let draft = message
        .attributes()
        .fold(builder, |builder, attribute| builder.attribute(attribute))
        .finish()
        .expect("what came in a packet fits one");
    let again = Packet::parse(draft.bytes()).expect("what was built is EAP");
    let again = again.aka().expect("what was built is of the method");
    assert!(again.attributes().eq(message.attributes()));
    assert_eq!(
        again.bytes_under_mac().map(|under| under.len()),
        message.mac().map(|_| draft.bytes().len())
    );
}

fn encrypted(input: &[u8]) {
    let Ok(mut attributes) = parse_encrypted(input) else {
        return;
    };
    attributes.retain(|attribute| attribute.kind() != Kind::PADDING);
    let plaintext = build_encrypted(&attributes).expect("what came in a plaintext fits one");
    assert_eq!(plaintext.len() % 16, 0);
    let mut again = parse_encrypted(&plaintext).expect("what was built is a plaintext");
    again.retain(|attribute| attribute.kind() != Kind::PADDING);
    assert_eq!(again, attributes);
}
