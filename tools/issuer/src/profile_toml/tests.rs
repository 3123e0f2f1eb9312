//! Profile files: how they are read, and the errors of invalid ones.
#![allow(clippy::unwrap_used, clippy::panic)]

use softsim_aka::ResLength;

use super::*;

const PROFILE: &str = r#"
iccid = "89882110000001234567"
imsi = "001010000000001"
mnc_length = 2
algorithm = "milenage"
k = "465b5ce8b199b49faa5f0a2ee238a6bc"
opc = "cd63cb71954a9f4e48a5994e37a02baf"
amf = "b9b9"
sqn = "ff9bb4d0b607"
ind_bits = 5
"#;

fn error(from: &str, to: &str) -> String {
    assert!(PROFILE.contains(from), "{from}");
    parse(&PROFILE.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn every_field_arrives() {
    let profile = parse(PROFILE).unwrap();
    assert_eq!(profile.iccid.as_str(), "89882110000001234567");
    assert_eq!(
        (profile.imsi.digits(), profile.imsi.mnc_length() as u8),
        ("001010000000001", 2)
    );
    let Credentials::Milenage { k, opc } = &profile.credentials else {
        panic!("{:?}", profile.credentials)
    };
    assert_eq!(k.as_bytes()[..2], [0x46, 0x5b]);
    assert_eq!(opc.as_bytes()[..2], [0xcd, 0x63]);
    assert_eq!(profile.amf, Amf::new([0xb9, 0xb9]));
    assert_eq!(profile.sqn.floor().value(), 0xff9b_b4d0_b607);
    assert_eq!(profile.sqn.parameters(), SqnParameters::default());
}

#[test]
fn hexadecimal_digits_have_any_case() {
    let upper: String = PROFILE
        .lines()
        .map(|line| match line.split_once(" = \"") {
            Some((name @ ("k" | "opc" | "amf" | "sqn"), value)) => {
                format!("{name} = \"{}\n", value.to_uppercase())
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(upper.contains("465B5CE8"));
    assert_eq!(parse(&upper).unwrap(), parse(PROFILE).unwrap());
}

/// TS 35.208 §4.3, test set 1.
#[test]
fn op_stands_for_the_opc_that_follows_from_it() {
    let with_op = PROFILE.replace(
        "opc = \"cd63cb71954a9f4e48a5994e37a02baf\"",
        "op = \"cdc202d5123e20f62b6d676ac72cb318\"",
    );
    assert_eq!(parse(&with_op).unwrap(), parse(PROFILE).unwrap());
}

/// The profile with other credentials.
fn with(credentials: &str) -> String {
    let (front, back) = PROFILE.split_once("algorithm").unwrap();
    format!(
        "{front}{credentials}\n{}",
        &back[back.find("amf").unwrap()..]
    )
}

const TUAK: &str = "algorithm = \"tuak\"
k = \"abababababababababababababababab\"
topc = \"bd04d9530e87513c5d837ac2ad954623a8e2330c115305a73eb45d1f40cccbff\"";

#[test]
fn tuak_has_a_key_of_either_length_and_parameters_of_its_own() {
    let profile = parse(&with(TUAK)).unwrap();
    let Credentials::Tuak { k, parameters, .. } = &profile.credentials else {
        panic!("{:?}", profile.credentials)
    };
    assert_eq!(k.as_bytes(), [0xab; 16]);
    assert_eq!(
        (parameters.res, parameters.iterations.get()),
        (ResLength::Bits64, 1)
    );

    let long = TUAK.replace("abab", "abababab");
    let text = with(&format!("{long}\nres_bits = 128\nkeccak_iterations = 2"));
    let profile = parse(&text).unwrap();
    let Credentials::Tuak { k, parameters, .. } = &profile.credentials else {
        panic!("{:?}", profile.credentials)
    };
    assert_eq!(k.as_bytes(), [0xab; 32]);
    assert_eq!(
        (parameters.res, parameters.iterations.get()),
        (ResLength::Bits128, 2)
    );
}

/// TS 35.233 §6.3, test set 1.
#[test]
fn top_stands_for_the_topc_that_follows_from_it() {
    let (k, _) = TUAK.rsplit_once('\n').unwrap();
    let with_top = format!("{k}\ntop = \"{}\"", "55".repeat(32));
    assert_eq!(
        parse(&with(&with_top)).unwrap(),
        parse(&with(TUAK)).unwrap()
    );
}

#[test]
fn xor_has_a_key_and_nothing_else() {
    let xor = "algorithm = \"xor\"\nk = \"465b5ce8b199b49faa5f0a2ee238a6bc\"";
    let profile = parse(&with(xor)).unwrap();
    assert_eq!(profile.credentials.k()[..2], [0x46, 0x5b]);
    assert_eq!(Algorithm::of(&profile.credentials), Algorithm::Xor);
}

#[test]
fn what_does_not_fit_the_algorithm_is_named() {
    let long_k = "abab".repeat(16);
    for (credentials, text) in [
        (
            format!("{TUAK}\nopc = \"00\""),
            "opc: expected no such field with tuak, got one",
        ),
        (
            TUAK.replace("tuak", "milenage"),
            "opc or op: expected a value, got none",
        ),
        (
            format!("algorithm = \"milenage\"\nk = \"{long_k}\""),
            "k: expected 32 hexadecimal digits, got 64 characters",
        ),
        (
            TUAK.replace("abababab", "abab"),
            "k: expected 32 or 64 hexadecimal digits, got 16 characters",
        ),
        (
            TUAK.replace("bd04", ""),
            "topc: expected 64 hexadecimal digits, got 60 characters",
        ),
        (
            format!("{TUAK}\nkeccak_iterations = 0"),
            "keccak_iterations: expected 1 to 255, got 0",
        ),
        (
            format!("{TUAK}\nres_bits = 256"),
            "res_bits: expected 32, 64 or 128, got 256",
        ),
        (
            format!("{TUAK}\ntop = \"00\""),
            "topc, top: expected one of the two, got both",
        ),
        (
            TUAK.replace("tuak", "xor"),
            "topc: expected no such field with xor, got one",
        ),
    ] {
        assert_eq!(parse(&with(&credentials)).unwrap_err().to_string(), text);
    }
}

#[test]
fn absent_optional_fields_have_their_defaults() {
    let short = PROFILE
        .replace("amf = \"b9b9\"\n", "")
        .replace("sqn = \"ff9bb4d0b607\"\n", "")
        .replace("ind_bits = 5\n", "");
    let profile = parse(&short).unwrap();
    assert_eq!(profile.amf, Amf::new([0x80, 0]));
    assert_eq!(profile.sqn.floor(), Sqn::default());
    assert_eq!(profile.sqn.parameters().ind_bits, 5);
}

#[test]
fn sqn_may_be_an_integer() {
    let profile = parse(&PROFILE.replace("\"ff9bb4d0b607\"", "32")).unwrap();
    assert_eq!(profile.sqn.floor().value(), 32);
    assert_eq!(
        error("\"ff9bb4d0b607\"", "281474976710656"),
        "sqn: expected a number below 2^48, got 281474976710656"
    );
}

#[test]
fn a_wrong_length_names_the_field_and_hides_the_value() {
    for (from, to, text) in [
        (
            "465b5ce8",
            "465b5ce",
            "k: expected 32 hexadecimal digits, got 31 characters",
        ),
        (
            "465b5ce8",
            "465b5ce8aa",
            "k: expected 32 hexadecimal digits, got 34 characters",
        ),
        (
            "465b5ce8",
            "465b5cex",
            "k: expected 32 hexadecimal digits, got a character that is no hexadecimal digit",
        ),
        (
            "cd63cb71",
            "cd63",
            "opc: expected 32 hexadecimal digits, got 28 characters",
        ),
        (
            "\"b9b9\"",
            "\"b9b\"",
            "amf: expected 4 hexadecimal digits, got 3 characters",
        ),
        (
            "ff9bb4d0b607",
            "ff",
            "sqn: expected 12 hexadecimal digits, got 2 characters",
        ),
        (
            "89882110000001234567",
            "8988",
            "iccid: expected 18 to 20 digits, got 4 characters",
        ),
    ] {
        assert_eq!(error(from, to), text);
    }
    assert_eq!(
        error("001010000000001", "0010100000000011"),
        "imsi: expected MCC, MNC and MSIN, at most 15 digits, got 16 characters"
    );
}

#[test]
fn a_wrong_type_names_the_field_and_hides_the_value() {
    assert_eq!(
        error("\"465b5ce8b199b49faa5f0a2ee238a6bc\"", "4655"),
        "k: expected a string, got integer"
    );
    assert_eq!(
        error("mnc_length = 2", "mnc_length = \"2\""),
        "mnc_length: expected an integer, got string"
    );
    assert_eq!(
        error("mnc_length = 2", "mnc_length = 4"),
        "mnc_length: expected 2 or 3, got 4"
    );
    assert_eq!(
        error("ind_bits = 5", "ind_bits = 6"),
        "ind_bits: expected 0 to 5, got 6"
    );
    assert_eq!(
        error("ind_bits = 5", "ind_bits = 300"),
        "ind_bits: expected 0 to 5, got 300"
    );
    assert_eq!(
        error("ind_bits = 5", "ind_bits = -1"),
        "ind_bits: expected 0 or more, got -1"
    );
    assert_eq!(
        error("\"milenage\"", "\"comp128\""),
        "algorithm: expected milenage, tuak or xor, got comp128"
    );
}

#[test]
fn an_unknown_field_is_named() {
    assert!(
        error("ind_bits = 5", "ind_bit = 5").starts_with("ind_bit: expected one of iccid, imsi,")
    );
    assert!(error("ind_bits = 5", "[table]\nk = 1").starts_with("table: "));
    assert!(
        error("imsi =", "imsii =").starts_with("imsii: "),
        "rather than that imsi is missing"
    );
}

#[test]
fn a_missing_field_is_named() {
    for field in ["iccid", "imsi", "mnc_length", "algorithm", "k"] {
        let without: String = PROFILE
            .lines()
            .filter(|line| !line.starts_with(&format!("{field} ")))
            .map(|l| format!("{l}\n"))
            .collect();
        assert_eq!(
            parse(&without).unwrap_err().to_string(),
            format!("{field}: expected a value, got none")
        );
    }
    assert_eq!(
        error("opc = \"cd63cb71954a9f4e48a5994e37a02baf\"\n", ""),
        "opc or op: expected a value, got none"
    );
}

#[test]
fn opc_and_op_exclude_each_other() {
    assert_eq!(
        error("amf =", "op = \"00\"\namf ="),
        "opc, op: expected one of the two, got both"
    );
}

#[test]
fn a_syntax_error_tells_the_line_and_not_its_text() {
    let text = error(
        "k = \"465b5ce8b199b49faa5f0a2ee238a6bc\"",
        "k = \"465b5ce8b199b49faa5f0a2ee238a6bc",
    );
    assert!(text.starts_with("line 6: "), "{text}");
    assert!(!text.contains("465b"), "{text}");
}

#[test]
fn a_subscription_may_demand_a_policy_for_its_identity() {
    assert_eq!(parse(PROFILE).unwrap().identity_privacy, None);
    for (name, demand) in [
        ("conservative", PrivacyDemand::Conservative),
        ("strict", PrivacyDemand::Strict),
    ] {
        let profile = parse(&format!("{PROFILE}identity_privacy = \"{name}\"\n")).unwrap();
        assert_eq!(profile.identity_privacy, Some(demand));
    }
    let error = parse(&format!("{PROFILE}identity_privacy = \"liberal\"\n")).unwrap_err();
    let expected = "identity_privacy: expected conservative or strict, got \"liberal\"";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_suci_has_a_routing_indicator_and_keys_to_be_encrypted_to() {
    let text = format!(
        "{PROFILE}routing_indicator = \"678\"\n\
         home_network_keys = [{{ id = 27, scheme = \"A\", key = \"{}\" }}]\n",
        "5a".repeat(32)
    );
    let profile = parse(&text).unwrap();
    assert_eq!(profile.routing_indicator.as_str(), "678");
    let keys: Vec<_> = profile.home_network_keys.iter().collect();
    assert_eq!((keys[0].id(), keys[0].as_bytes()), (27, &[0x5a; 32][..]));
    assert!(parse(PROFILE).unwrap().home_network_keys.is_empty());
}

#[test]
fn what_is_no_key_of_a_home_network_is_named() {
    for entry in [
        "1",
        "{ id = 27, scheme = \"A\" }",
        "{ id = 27, scheme = \"C\", key = \"00\" }",
        "{ id = -1, scheme = \"A\", key = \"00\" }",
        "{ id = 27, scheme = \"A\", key = \"0g\" }",
        "{ id = 27, scheme = \"A\", key = \"00\" }",
        "{ id = 27, scheme = \"A\", key = \"00\", more = 1 }",
    ] {
        let error = parse(&format!("{PROFILE}home_network_keys = [{entry}]\n")).unwrap_err();
        assert!(
            error.to_string().starts_with("home_network_keys: "),
            "{error}"
        );
    }
}

#[test]
fn a_field_goes_by_the_names_that_vendors_give_it() {
    for (name, others) in [
        ("k =", &["K =", "ki =", "Ki =", "KI ="][..]),
        ("opc =", &["OPC =", "OPc =", "Op_C ="]),
        ("iccid =", &["ICCID ="]),
        ("imsi =", &["IMSI ="]),
        (
            "mnc_length =",
            &["MNC-Length =", "mncLength =", "mnc_len ="],
        ),
        ("amf =", &["AMF ="]),
        ("sqn =", &["SQN ="]),
    ] {
        for other in others {
            let text = PROFILE.replace(&format!("\n{name}"), &format!("\n{other}"));
            assert_ne!(text, PROFILE);
            assert_eq!(parse(&text), parse(PROFILE), "{other}");
        }
    }
}

#[test]
fn two_names_of_one_field_are_an_error_and_show_no_key() {
    let doubled = format!("{PROFILE}\nKI = \"00000000000000000000000000000000\"");
    assert_eq!(
        parse(&doubled).unwrap_err().to_string(),
        "k: expected one value, got two, as KI and as k"
    );
}
