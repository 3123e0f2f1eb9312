//! The content formats: the specifications' examples, malformed payloads, and round trips.

use proptest::prelude::*;
use softsim_lwm2m::codec::{
    DEVICE, Object, Operations, ResourceDefinition, SECURITY, SERVER, SIM, decode, encode,
};
use softsim_lwm2m::{
    ContentError, ContentFormat, Instance, Instances, Kind, Path, Resource, Value,
};

const fn resource(id: u16, kind: Kind, multiple: bool) -> ResourceDefinition {
    ResourceDefinition {
        id,
        kind,
        operations: Operations::ReadWrite,
        multiple,
    }
}

/// The resources of the Device object that the examples of the LwM2M specification use.
const EXAMPLE_DEVICE: Object = Object {
    id: 3,
    multiple: false,
    resources: &[
        resource(0, Kind::Text, false),
        resource(1, Kind::Text, false),
        resource(2, Kind::Text, false),
        resource(3, Kind::Text, false),
        resource(6, Kind::Integer, true),
        resource(7, Kind::Integer, true),
        resource(8, Kind::Integer, true),
        resource(9, Kind::Integer, false),
        resource(10, Kind::Integer, false),
        resource(11, Kind::Integer, true),
        resource(13, Kind::Time, false),
        resource(14, Kind::Text, false),
        resource(16, Kind::Text, false),
    ],
};

const EXAMPLE_ACCESS_CONTROL: Object = Object {
    id: 2,
    multiple: true,
    resources: &[
        resource(0, Kind::Integer, false),
        resource(1, Kind::Integer, false),
        resource(2, Kind::Integer, true),
        resource(3, Kind::Integer, false),
    ],
};

/// LwM2M Core §7.4.5: the Device object in TLV.
const DEVICE_TLV: &str = concat!(
    "c800144f70656e204d6f62696c6520416c6c69616e6365",
    "c801164c69676874776569676874204d324d20436c69656e74",
    "c80209333435303030313233",
    "c303312e30",
    "8606410001410105",
    "88070842000ed842011388",
    "870841007d42010384",
    "c10964",
    "c10a0f",
    "830b410000",
    "c40d5182428f",
    "c60e2b30323a3030",
    "c11055",
);

/// LwM2M Core §7.4.4: the same in SenML JSON.
const DEVICE_JSON: &str = r#"[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},
    {"n":"1","vs":"Lightweight M2M Client"},{"n":"2","vs":"345000123"},{"n":"3","vs":"1.0"},
    {"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"7/0","v":3800},{"n":"7/1","v":5000},{"n":"8/0","v":125},
    {"n":"8/1","v":900},{"n":"9","v":100},{"n":"10","v":15},{"n":"11/0","v":0},{"n":"13","v":1367491215},
    {"n":"14","vs":"+02:00"},{"n":"16","vs":"U"}]"#;

fn example_device() -> Instance {
    Instance::default()
        .with(0, "Open Mobile Alliance")
        .with(1, "Lightweight M2M Client")
        .with(2, "345000123")
        .with(3, "1.0")
        .with_all(6, [1_i64, 5])
        .with_all(7, [3800_i64, 5000])
        .with_all(8, [125_i64, 900])
        .with(9, 100)
        .with(10, 15)
        .with_all(11, [0_i64])
        .with(13, 1367491215)
        .with(14, "+02:00")
        .with(16, "U")
}

#[test]
fn the_device_object_of_the_specification_is_read_and_written_in_tlv() {
    let octets = hex::decode(DEVICE_TLV).unwrap();
    let path = Path::Instance(3, 0);
    let decoded = decode(ContentFormat::Tlv, &EXAMPLE_DEVICE, path, &octets).unwrap();
    assert_eq!(decoded, Instances::from([(0, example_device())]));
    assert_eq!(
        hex::encode(encode(ContentFormat::Tlv, path, &decoded).unwrap()),
        DEVICE_TLV
    );
    // A payload for an object with one instance may omit the instance's id.
    assert_eq!(
        decode(
            ContentFormat::Tlv,
            &EXAMPLE_DEVICE,
            Path::Object(3),
            &octets
        )
        .unwrap(),
        decoded
    );
    // The decoder skips resources that our Device object doesn't have.
    let ours = decode(ContentFormat::Tlv, &DEVICE, path, &octets).unwrap();
    assert_eq!(
        ours[&0].0.keys().copied().collect::<Vec<_>>(),
        [0, 1, 2, 11, 16]
    );
}

#[test]
fn the_device_object_of_the_specification_is_read_in_senml_json() {
    let path = Path::Instance(3, 0);
    let decoded = decode(
        ContentFormat::SenmlJson,
        &EXAMPLE_DEVICE,
        path,
        DEVICE_JSON.as_bytes(),
    )
    .unwrap();
    assert_eq!(decoded, Instances::from([(0, example_device())]));
}

#[test]
fn several_instances_and_long_ids_are_read_and_written_in_tlv() {
    let tlv = "08000ec10001c101008302417f07c1037f080212c10003c101008702417f0761013601c1037f";
    let decoded = decode(
        ContentFormat::Tlv,
        &EXAMPLE_ACCESS_CONTROL,
        Path::Object(2),
        &hex::decode(tlv).unwrap(),
    )
    .unwrap();
    let first = Instance::default().with(0, 1).with(1, 0).with(3, 127);
    let mut second = Instance::default().with(0, 3).with(1, 0).with(3, 127);
    second.0.insert(
        2,
        Resource::Multiple([(127, 7.into()), (310, 1.into())].into()),
    );
    let mut instances = Instances::from([(0, first), (2, second)]);
    instances
        .get_mut(&0)
        .unwrap()
        .0
        .insert(2, Resource::Multiple([(127, 7.into())].into()));
    assert_eq!(decoded, instances);
    assert_eq!(
        hex::encode(encode(ContentFormat::Tlv, Path::Object(2), &decoded).unwrap()),
        tlv
    );
}

#[test]
fn the_server_object_of_the_specification_is_read_in_tlv() {
    let tlv = hex::decode("08000fc10001c40100015180c10601c10755").unwrap();
    let decoded = decode(ContentFormat::Tlv, &SERVER, Path::Object(1), &tlv).unwrap();
    let expected = Instance::default()
        .with(0, 1)
        .with(1, 86400)
        .with(6, true)
        .with(7, "U");
    assert_eq!(decoded, Instances::from([(0, expected)]));
}

#[test]
fn tlv_lengths_change_their_form_where_the_specification_says() {
    let path = Path::Resource(0, 1, 4);
    for (length, head) in [
        (0, "c004"),
        (7, "c704"),
        (8, "c80408"),
        (255, "c804ff"),
        (256, "d0040100"),
        (65536, "d804010000"),
    ] {
        let instances = Instances::from([(1, Instance::default().with(4, vec![1; length]))]);
        let octets = encode(ContentFormat::Tlv, path, &instances).unwrap();
        assert!(hex::encode(&octets).starts_with(head) && octets.len() == head.len() / 2 + length);
        assert_eq!(
            decode(ContentFormat::Tlv, &SECURITY, path, &octets).unwrap(),
            instances
        );
    }
}

#[test]
fn integers_take_one_two_four_or_eight_octets_in_tlv() {
    let path = Path::Resource(1, 0, 1);
    for (integer, expected) in [
        (0, "c10100"),
        (-1, "c101ff"),
        (127, "c1017f"),
        (128, "c2010080"),
        (-32769, "c401ffff7fff"),
        (i64::from(i32::MAX) + 1, "c801080000000080000000"),
        (i64::MIN, "c801088000000000000000"),
    ] {
        let instances = Instances::from([(0, Instance::default().with(1, integer))]);
        let octets = encode(ContentFormat::Tlv, path, &instances).unwrap();
        assert_eq!(hex::encode(&octets), expected);
        assert_eq!(
            decode(ContentFormat::Tlv, &SERVER, path, &octets).unwrap(),
            instances
        );
    }
}

#[test]
fn base_names_count_from_their_record_on_wherever_they_stand_in_it() {
    // As Leshan orders its maps: n, value, bn.
    let pack = hex::decode(
        "85a300613002187b21652f312f302fa20061310219012ca20061320201a200613604f5a2006137036155",
    )
    .unwrap();
    let expected = Instance::default()
        .with(0, 123)
        .with(1, 300)
        .with(2, 1)
        .with(6, true)
        .with(7, "U");
    let decoded = decode(
        ContentFormat::SenmlCbor,
        &SERVER,
        Path::Instance(1, 0),
        &pack,
    )
    .unwrap();
    assert_eq!(decoded, Instances::from([(0, expected)]));
    let moved = r#"[{"n":"/1/0/0","v":1},{"n":"1","v":2,"bn":"/1/0/"}]"#;
    let decoded = decode(
        ContentFormat::SenmlJson,
        &SERVER,
        Path::Object(1),
        moved.as_bytes(),
    )
    .unwrap();
    assert_eq!(decoded[&0], Instance::default().with(0, 1).with(1, 2));
}

#[test]
fn cbor_of_indefinite_length_and_floats_that_are_integers_are_read() {
    // Indefinite lengths (9f bf … ff ff), and 300 as a half, single and double float.
    for value in ["f95cb0", "fa43960000", "fb4072c00000000000", "19012c"] {
        let pack = format!("9fbf21662f312f302f3102{value}ffff");
        let decoded = decode(
            ContentFormat::SenmlCbor,
            &SERVER,
            Path::Resource(1, 0, 1),
            &hex::decode(&pack).unwrap(),
        );
        assert_eq!(
            decoded,
            Ok(Instances::from([(0, Instance::default().with(1, 300))])),
            "{value}"
        );
    }
}

#[test]
fn times_and_units_are_passed_over() {
    let pack = r#"[{"bn":"/1/0/","bt":1.5e9,"bu":"s","bver":10,"n":"1","u":"s","t":-5,"ut":1,"v":60,"extra":[{}]}]"#;
    let decoded = decode(
        ContentFormat::SenmlJson,
        &SERVER,
        Path::Instance(1, 0),
        pack.as_bytes(),
    )
    .unwrap();
    assert_eq!(decoded[&0], Instance::default().with(1, 60));
    let pack = hex::decode(
        "81a821652f312f302f22fb41d65a0bc000000023617300613102183c016173062465657874726181a0",
    )
    .unwrap();
    let decoded = decode(
        ContentFormat::SenmlCbor,
        &SERVER,
        Path::Instance(1, 0),
        &pack,
    )
    .unwrap();
    assert_eq!(decoded[&0], Instance::default().with(1, 60));
}

#[test]
fn malformed_tlv_is_refused() {
    let instance = Path::Instance(1, 0);
    let table: &[(&str, Path)] = &[
        // Truncated: id, long id, length, value.
        ("c1", instance),
        ("e101", instance),
        ("c801", instance),
        ("d00101", instance),
        ("d8010001", instance),
        ("c201ff", instance),
        // A length above every limit.
        ("d801ffffff00", instance),
        // A truncated entry after a valid one.
        ("c1007bc1", instance),
        // The reserved id.
        ("e1ffff00", instance),
        // An instance inside an instance, a resource instance outside of a resource, and a
        // resource inside a multiple resource.
        ("0800050801020000", Path::Object(1)),
        ("4100ff", instance),
        ("8606c10001c10105", Path::Instance(3, 0)),
        // Another instance, resource or resource instance than the write's target.
        ("08010401000000", instance),
        ("c1007b", Path::Resource(1, 0, 1)),
        ("410105", Path::ResourceInstance(3, 0, 11, 0)),
        // Resources without an instance, for an object with several instances.
        ("c1007b", Path::Object(1)),
        // A duplicate.
        ("c1007bc1007b", instance),
        // A list for a single resource, and a value for a multiple one.
        ("8300410001", instance),
        ("c10b00", Path::Instance(3, 0)),
        // Integers of three, five and no octets, a boolean of 2, text that isn't UTF-8.
        ("c301000001", instance),
        ("c5010000000001", instance),
        ("c001", instance),
        ("c10602", instance),
        ("c006", instance),
        ("c107ff", instance),
    ];
    for (octets, target) in table {
        let object = if target.object() == Some(3) {
            &EXAMPLE_DEVICE
        } else {
            &SERVER
        };
        let decoded = decode(
            ContentFormat::Tlv,
            object,
            *target,
            &hex::decode(octets).unwrap(),
        );
        assert!(decoded.is_err(), "{octets}: {decoded:?}");
    }
}

#[test]
fn malformed_senml_is_refused() {
    let json = [
        "",
        "{}",
        "[1]",
        "[{}] x",
        r#"[{"n":"/1/0/1","v":1}"#,
        // No name, no path, another instance, an instance, and an id above 65535.
        r#"[{"v":1}]"#,
        r#"[{"n":"urn:dev:ow:10e2073a01080063","v":1}]"#,
        r#"[{"n":"/1/1/1","v":1}]"#,
        r#"[{"n":"/1/0","v":1}]"#,
        r#"[{"n":"/1/0/99999","v":1}]"#,
        r#"[{"n":"/1/0/1/0","v":1}]"#,
        // No value, two values, a wrong type, a fraction, too large, twice.
        r#"[{"n":"/1/0/1"}]"#,
        r#"[{"n":"/1/0/1","v":1,"vs":"1"}]"#,
        r#"[{"n":"/1/0/1","vs":"1"}]"#,
        r#"[{"n":"/1/0/1","v":1.5}]"#,
        r#"[{"n":"/1/0/1","v":1e300}]"#,
        r#"[{"n":"/1/0/1","v":18446744073709551615}]"#,
        r#"[{"n":"/1/0/1","v":1,"v":2}]"#,
        r#"[{"n":"/1/0/1","v":1},{"n":"/1/0/1","v":1}]"#,
        // Sums, base values, and labels that the decoder must understand.
        r#"[{"n":"/1/0/1","v":1,"s":1}]"#,
        r#"[{"n":"/1/0/1","v":1,"bv":1}]"#,
        r#"[{"n":"/1/0/1","v":1,"new_":1}]"#,
    ];
    for pack in json {
        let decoded = decode(
            ContentFormat::SenmlJson,
            &SERVER,
            Path::Instance(1, 0),
            pack.as_bytes(),
        );
        assert!(decoded.is_err(), "{pack}: {decoded:?}");
    }
    let padded = r#"[{"n":"/0/1/4","vd":"AQ=="}]"#;
    assert!(
        decode(
            ContentFormat::SenmlJson,
            &SECURITY,
            Path::Instance(0, 1),
            padded.as_bytes()
        )
        .is_err()
    );
    let cbor = [
        "",
        "a0",
        "8101",
        // Truncated, followed by octets, with a count above the number of items, and nested too
        // deeply.
        "81a200662f312f302f3102",
        "81a200662f312f302f31020100",
        "9bffffffffffffffffa0",
        "81bbffffffffffffffff00",
        "9f9f9f9f9f9f9f9f",
        "81a163657874818181818181",
        // Two names, two values, no value, wrong types, a bignum, an integer of more than 64 bits.
        "81a300662f312f302f3100613102",
        "81a300662f312f302f3102010301",
        "81a100662f312f302f31",
        "81a200662f312f302f310361ff",
        "81a200662f312f302f31036131",
        "81a200662f312f302f3102c24101",
        "81a200662f312f302f31021bffffffffffffffff",
        "81a200662f312f302f3104f4",
        // A sum, and a label that the decoder must understand.
        "81a300662f312f302f3102010501",
        "81a300662f312f302f310201626e5f00",
    ];
    for pack in cbor {
        let decoded = decode(
            ContentFormat::SenmlCbor,
            &SERVER,
            Path::Instance(1, 0),
            &hex::decode(pack).unwrap(),
        );
        assert!(decoded.is_err(), "{pack}: {decoded:?}");
    }
}

#[test]
fn single_values_are_read_in_text_opaque_and_cbor() {
    let lifetime = Path::Resource(1, 0, 1);
    let of = |object: &Object, format, path, payload: &[u8]| {
        decode(format, object, path, payload)
            .map(|instances| instances.into_values().next().unwrap())
    };
    assert_eq!(
        of(&SERVER, ContentFormat::Text, lifetime, b"300"),
        Ok(Instance::default().with(1, 300))
    );
    assert_eq!(
        of(&SERVER, ContentFormat::Text, Path::Resource(1, 0, 6), b"1"),
        Ok(Instance::default().with(6, true))
    );
    assert_eq!(
        of(
            &SECURITY,
            ContentFormat::Text,
            Path::Resource(0, 0, 4),
            b"AQI="
        ),
        Ok(Instance::default().with(4, vec![1, 2]))
    );
    assert_eq!(
        of(
            &SECURITY,
            ContentFormat::Opaque,
            Path::Resource(0, 0, 4),
            &[1, 2]
        ),
        Ok(Instance::default().with(4, vec![1, 2]))
    );
    assert_eq!(
        of(&SERVER, ContentFormat::Cbor, lifetime, &[0x19, 1, 44]),
        Ok(Instance::default().with(1, 300))
    );
    let list = Path::ResourceInstance(3, 0, 11, 2);
    let mut expected = Instance::default();
    expected
        .0
        .insert(11, Resource::Multiple([(2, 5.into())].into()));
    assert_eq!(
        of(&EXAMPLE_DEVICE, ContentFormat::Text, list, b"5"),
        Ok(expected)
    );

    for payload in [
        &b""[..],
        b"+1",
        b"1 ",
        b"1.0",
        b"0x1",
        b"9223372036854775808",
        b"\xff",
    ] {
        assert!(of(&SERVER, ContentFormat::Text, lifetime, payload).is_err());
    }
    assert!(
        of(
            &SERVER,
            ContentFormat::Text,
            Path::Resource(1, 0, 6),
            b"true"
        )
        .is_err()
    );
    assert!(of(&SERVER, ContentFormat::Opaque, lifetime, b"1").is_err());
    assert!(of(&SERVER, ContentFormat::Cbor, lifetime, &[0x19, 1]).is_err());
    assert!(of(&SERVER, ContentFormat::Cbor, lifetime, &[0x01, 0x01]).is_err());
    let got = ContentFormat::Text;
    let target = Path::Instance(1, 0);
    assert_eq!(
        of(&SERVER, got, target, b"1"),
        Err(ContentError::Format { got, target })
    );
}

#[test]
fn errors_say_what_was_expected() {
    let json = |pack: &str| {
        decode(
            ContentFormat::SenmlJson,
            &SERVER,
            Path::Instance(1, 0),
            pack.as_bytes(),
        )
        .unwrap_err()
        .to_string()
    };
    assert_eq!(
        json(r#"[{"n":"/1/1/1","v":1}]"#),
        "expected resources of /1/0, got /1/1/1"
    );
    assert_eq!(
        json(r#"[{"n":"/1/0/1","vs":"x"}]"#),
        "expected an integer in /1/0/1"
    );
    assert_eq!(
        json(r#"[{"n":"/1/0/1/0","v":1}]"#),
        "expected /1/0/1/0 with as many values as its definition has"
    );
}

/// An instance of the Software SIM object with some of its resources.
fn sim_instance() -> impl Strategy<Value = Instance> {
    let value = |kind| match kind {
        Kind::Text => ".{0,20}".prop_map(Value::Text).boxed(),
        Kind::Integer | Kind::Time => any::<i64>().prop_map(Value::Integer).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Kind::Opaque => prop::collection::vec(any::<u8>(), 0..300)
            .prop_map(Value::Opaque)
            .boxed(),
    };
    let resources: Vec<_> = SIM
        .resources
        .iter()
        .map(|definition| {
            let id = definition.id;
            let resource = if definition.multiple {
                prop::collection::btree_map(0..65535_u16, value(definition.kind), 1..4)
                    .prop_map(Resource::Multiple)
                    .boxed()
            } else {
                value(definition.kind).prop_map(Resource::Single).boxed()
            };
            prop::option::of(resource)
                .prop_map(move |resource| resource.map(|resource| (id, resource)))
        })
        .collect();
    resources.prop_map(|resources| Instance(resources.into_iter().flatten().collect()))
}

const STRUCTURED: [ContentFormat; 3] = [
    ContentFormat::Tlv,
    ContentFormat::SenmlCbor,
    ContentFormat::SenmlJson,
];

fn any_format() -> impl Strategy<Value = ContentFormat> {
    use ContentFormat::*;
    prop::sample::select(vec![
        Text, Link, Opaque, Cbor, SenmlJson, SenmlCbor, OldTlv, Tlv,
    ])
}

proptest! {
    #[test]
    fn what_is_written_is_read(instance in sim_instance(), id in 0..65535_u16) {
        let instances = Instances::from([(id, instance)]);
        let path = Path::Instance(SIM.id, id);
        for format in STRUCTURED {
            let octets = encode(format, path, &instances).unwrap();
            prop_assert_eq!(&decode(format, &SIM, path, &octets).unwrap(), &instances, "{:?}", format);
        }
    }

    #[test]
    fn single_resources_that_are_written_are_read(instance in sim_instance()) {
        let instances = Instances::from([(0, instance)]);
        for (&id, resource) in &instances[&0].0 {
            let path = Path::Resource(SIM.id, 0, id);
            let expected = Instances::from([(0, Instance([(id, resource.clone())].into()))]);
            for format in [STRUCTURED.as_slice(), &[ContentFormat::Text, ContentFormat::Cbor, ContentFormat::Opaque]].concat() {
                if let Some(octets) = encode(format, path, &instances) {
                    prop_assert_eq!(&decode(format, &SIM, path, &octets).unwrap(), &expected, "{:?}", format);
                }
            }
        }
    }

    #[test]
    fn arbitrary_octets_never_panic(
        format in any_format(),
        octets in prop::collection::vec(any::<u8>(), 0..200),
        depth in 0..5_usize,
    ) {
        let target = [Path::Root, Path::Object(26241), Path::Instance(26241, 0), Path::Resource(26241, 0, 4), Path::ResourceInstance(26241, 0, 4, 0)][depth];
        let _ = decode(format, &SIM, target, &octets);
    }

    #[test]
    fn damaged_octets_never_panic_and_never_leave_the_target(
        instance in sim_instance(),
        format in prop::sample::select(STRUCTURED.to_vec()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let path = Path::Instance(SIM.id, 0);
        let mut octets = encode(format, path, &Instances::from([(0, instance)])).unwrap();
        for (index, octet) in damage {
            if !octets.is_empty() {
                let index = index.index(octets.len());
                octets[index] = octet;
            }
        }
        if let Ok(decoded) = decode(format, &SIM, path, &octets) {
            prop_assert!(decoded.keys().all(|id| *id == 0));
        }
    }
}
