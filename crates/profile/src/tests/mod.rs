//! Packages and statements between a simulated operator and device.
#![allow(clippy::unwrap_used, clippy::panic)]

mod algorithms;
mod check;
mod command;
mod hostile;
mod oracle;
mod package;
mod statement;

use core::convert::Infallible;

use hpke::rand_core::{TryCryptoRng, TryRng};
use p256::ecdsa::SigningKey;
use sha2::{Digest, Sha256};
use softsim_aka::{Amf, Credentials, K, Opc, Sqn};
use softsim_keyd_proto::PackageFault;
use softsim_usim::SqnParameters;

use crate::cose::{Kind, sign1};
use crate::open::payload::read as read_payload;
use crate::package::{Addressing, Headers};
use crate::seal::encrypt0;
use crate::seal::payload::write as write_payload;
use crate::{
    Contents, DeviceId, Expected, HomeNetworkKey, HomeNetworkKeys, Iccid, IssuerKey, Now, Opened,
    PrivacyDemand, Profile, RoutingIndicator, SealingKey, SealingStatement, SqnScheme, Validity,
    imsi, open,
};

/// SHA-256 in counter mode, which gives the same numbers in every run.
pub(crate) struct TestRng {
    seed: &'static str,
    blocks: u64,
}

impl TestRng {
    pub(crate) fn new(seed: &'static str) -> Self {
        Self { seed, blocks: 0 }
    }
}

impl TryRng for TestRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut octets = [0; 4];
        self.try_fill_bytes(&mut octets)?;
        Ok(u32::from_be_bytes(octets))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut octets = [0; 8];
        self.try_fill_bytes(&mut octets)?;
        Ok(u64::from_be_bytes(octets))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        for chunk in buffer.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(self.seed)
                .chain_update(self.blocks.to_be_bytes());
            chunk.copy_from_slice(&block.finalize()[..chunk.len()]);
            self.blocks += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}

pub(crate) fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

/// An operator and a device, and the packages between them.
struct Scene {
    operator: SigningKey,
    device_key: SigningKey,
    sealing_key: SealingKey,
    anchors: Vec<IssuerKey>,
    last_sequence: u64,
    now: Now,
}

impl Scene {
    fn new() -> Self {
        let operator = signing_key(1);
        Self {
            anchors: vec![
                IssuerKey::from(*signing_key(9).verifying_key()),
                IssuerKey::from(*operator.verifying_key()),
            ],
            operator,
            device_key: signing_key(2),
            sealing_key: SealingKey::generate(&mut TestRng::new("sealing key")),
            last_sequence: 4,
            now: Now::Known(1_800_000_000),
        }
    }

    fn device(&self) -> DeviceId {
        DeviceId::of(self.device_key.verifying_key())
    }

    fn statement(&self) -> SealingStatement {
        let statement = SealingStatement::sign(&self.sealing_key.public(), &self.device_key);
        SealingStatement::verify(&statement, self.device_key.verifying_key()).unwrap()
    }

    /// The recipient of the scene's packages, with sequence 5.
    fn addressing(&self) -> Addressing {
        Addressing {
            device: self.device(),
            sealing_key: self.sealing_key.public().id(),
            issuer: IssuerKey::from(*self.operator.verifying_key()).id(),
            sequence: 5,
        }
    }

    fn seal(&self, profile: &Profile) -> Vec<u8> {
        let rng = &mut TestRng::new("seal");
        crate::seal(profile, &self.statement(), &self.operator, 5, rng).unwrap()
    }

    /// A package with a genuine signature and ciphertext for arbitrary headers and payload.
    fn forge(&self, outside: &Addressing, payload: &[u8]) -> Vec<u8> {
        let encrypted = encrypt0(
            outside,
            &self.sealing_key.public(),
            payload,
            &mut TestRng::new("forge"),
        );
        self.sign(outside, &encrypted)
    }

    fn sign(&self, outside: &Addressing, encrypted: &[u8]) -> Vec<u8> {
        let headers = outside.headers();
        sign1(headers.kind, &headers.write(), encrypted, &self.operator)
    }

    fn payload(&self) -> Vec<u8> {
        write_payload(&self.addressing(), &profile()).to_vec()
    }

    fn open(&self, package: &[u8]) -> Result<Opened, PackageFault> {
        let last = self.last_sequence;
        open(
            package,
            &self.sealing_key,
            &Expected {
                device: self.device(),
                trust_anchors: &self.anchors,
                last_sequence: &|_| last,
                now: self.now,
            },
        )
    }
}

/// The profile in an opened package.
fn profile_in(opened: Opened) -> Profile {
    match opened.contents {
        Contents::Profile(profile) => profile,
        Contents::Command(command) => panic!("{command}"),
    }
}

/// A profile with all its fields set.
fn profile() -> Profile {
    let point = signing_key(7).verifying_key().to_sec1_point(true);
    Profile {
        iccid: Iccid::new("89882110000001234567").unwrap(),
        imsi: imsi("001010000000001", 2).unwrap(),
        credentials: Credentials::Milenage {
            k: K::new([0x46; 16]),
            opc: Opc::new([0xcd; 16]),
        },
        amf: Amf::new([0x80, 0x0a]),
        sqn: SqnScheme::new(
            Sqn::new(0xff9b_b4d0_b607).unwrap(),
            SqnParameters {
                ind_bits: 4,
                delta: 1 << 20,
                l: Some(32),
            },
        )
        .unwrap(),
        routing_indicator: RoutingIndicator::new("0123").unwrap(),
        home_network_keys: HomeNetworkKeys::new(&[
            HomeNetworkKey::new(27, 1, &[0x5a; 32]).unwrap(),
            HomeNetworkKey::new(28, 2, point.as_bytes()).unwrap(),
        ])
        .unwrap(),
        supplicant_consent: true,
        validity: Validity::new(Some(1_700_000_000), Some(1_900_000_000)).unwrap(),
        identity_privacy: Some(PrivacyDemand::Strict),
    }
}

/// A profile with only the required fields.
fn plain_profile() -> Profile {
    Profile {
        sqn: SqnScheme::new(Sqn::default(), SqnParameters::default()).unwrap(),
        routing_indicator: RoutingIndicator::default(),
        home_network_keys: HomeNetworkKeys::default(),
        supplicant_consent: false,
        validity: Validity::default(),
        identity_privacy: None,
        ..profile()
    }
}
