//! Sealed packages and signed commands: any octets, and a genuine one with some of its octets
//! changed.

use std::sync::OnceLock;

use p256::ecdsa::{SigningKey, VerifyingKey};
use p256::elliptic_curve::Generate;
use softsim_profile::{
    Command, DeviceId, Expected, Iccid, IssuerKey, Now, SealingKey, SealingStatement, Validity,
    open, seal, sign_command,
};
use softsim_sandbox::random::SystemRng;
use softsim_testkit::device::{ICCID, profile};

/// A device, its operator, and a package and a command between them.
struct Device {
    id: DeviceId,
    sealing: SealingKey,
    operator: IssuerKey,
    package: Vec<u8>,
    command: Vec<u8>,
}

impl Device {
    fn new() -> Self {
        let rng = &mut SystemRng;
        let device = SigningKey::generate_from_rng(rng);
        let operator = SigningKey::generate_from_rng(rng);
        let sealing = SealingKey::generate(rng);
        let public: &VerifyingKey = device.verifying_key();
        let statement = SealingStatement::sign(&sealing.public(), &device);
        let statement = SealingStatement::verify(&statement, public).unwrap();
        let id = DeviceId::of(public);
        let order = Command::Disable(Iccid::new(ICCID).unwrap());
        let validity = Validity::default();
        Self {
            id,
            command: sign_command(&order, &validity, id, &operator, 1).unwrap(),
            sealing,
            operator: IssuerKey::from(*operator.verifying_key()),
            package: seal(&profile(ICCID), &statement, &operator, 1, rng).unwrap(),
        }
    }

    fn opens(&self, package: &[u8]) -> bool {
        let expected = Expected {
            device: self.id,
            trust_anchors: std::slice::from_ref(&self.operator),
            last_sequence: &|_| 0,
            now: Now::Known(4_000_000_000),
        };
        open(package, &self.sealing, &expected).is_ok()
    }
}

/// Opens the input. If it begins with an octet of 0x80 or more, opens the genuine package instead,
/// or from 0xc0 on the genuine command, with the changes that the rest describes in three octets
/// each.
pub fn run(input: &[u8]) {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let device = DEVICE.get_or_init(Device::new);
    let (genuine, edits) = match input.split_first() {
        Some((0xc0.., edits)) => (&device.command, edits),
        Some((0x80.., edits)) => (&device.package, edits),
        _ => {
            assert!(!device.opens(input), "a package that nobody signed");
            return;
        }
    };
    let mut package = genuine.clone();
    for edit in edits.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([edit[0], edit[1]]));
        match package.get_mut(place) {
            Some(octet) => *octet ^= edit[2],
            None => package.push(edit[2]),
        }
    }
    assert_eq!(
        device.opens(&package),
        package == *genuine,
        "opened if and only if it is as signed"
    );
}
