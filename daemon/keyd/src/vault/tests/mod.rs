//! The vault on a medium in memory that remembers every write, so that power can fail between any
//! two.
#![allow(clippy::unwrap_used, clippy::panic)]

mod anchored;
mod changes;
mod damage;
mod faults;
mod file;
mod histories;
mod identities;
mod many;
mod medium;
mod power;
mod quota;
mod rekey;
mod rewind;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use p256::ecdsa::SigningKey;
use softsim_aka::{AlgorithmSet, Amf, Autn, Credentials, K, K256, Opc, Rand, Sqn, Topc, TuakKey};
use softsim_keyd_proto::Room;
use softsim_profile::{
    HomeNetworkKey, HomeNetworkKeys, Iccid, IssuerId, IssuerKey, PrivacyDemand, Profile,
    RoutingIndicator, SealingKey, SqnScheme, Validity, imsi, tuak_parameters,
};
use softsim_usim::{AuthenticationFailure, SeparationBit, SqnParameters, SqnState};
use zeroize::Zeroizing;

use super::contents::{StoredTombstone, TABLES};
use super::file::{Contents, Layout};
use super::rekey::format;
use super::*;

const CAPACITY: u32 = 3;

const ISSUER: IssuerId = IssuerId([0xaa; 32]);

/// What happened to a medium.
#[derive(Clone)]
enum Operation {
    Write(u64, Vec<u8>),
    Sync,
}

/// The length of a sector, and that of a block, which the kernel reads before it changes a part of
/// it.
const SECTOR: usize = 512;
const BLOCK: usize = 4096;

/// A medium in memory; clones share it.
#[derive(Clone, Default)]
struct Disk {
    octets: Rc<RefCell<Vec<u8>>>,
    log: Rc<RefCell<Vec<Operation>>>,
    /// The numbers of the sectors that can't be read.
    unreadable: Rc<RefCell<BTreeSet<usize>>>,
}

impl Disk {
    fn with(octets: Vec<u8>) -> Self {
        let disk = Self::default();
        *disk.octets.borrow_mut() = octets;
        disk
    }

    /// Makes the sectors of these octets unreadable.
    fn spoil(&self, octets: std::ops::Range<usize>) {
        let sectors = octets.start / SECTOR..octets.end.div_ceil(SECTOR);
        self.unreadable.borrow_mut().extend(sectors);
    }

    fn can_read(&self, octets: std::ops::Range<usize>) -> bool {
        let unreadable = self.unreadable.borrow();
        let sectors = octets.start / SECTOR..octets.end.div_ceil(SECTOR);
        unreadable.range(sectors).next().is_none()
    }

    fn image(&self) -> Vec<u8> {
        self.octets.borrow().clone()
    }

    fn take_log(&self) -> Vec<Operation> {
        self.log.take()
    }

    fn syncs(&self) -> usize {
        let log = self.log.borrow();
        log.iter()
            .filter(|operation| matches!(operation, Operation::Sync))
            .count()
    }
}

impl Storage for Disk {
    fn length(&self) -> io::Result<u64> {
        Ok(self.octets.borrow().len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = offset as usize;
        if !self.can_read(start..start + buffer.len()) {
            return Err(io::Error::other("a bad sector"));
        }
        match self.octets.borrow().get(start..start + buffer.len()) {
            Some(octets) => buffer.copy_from_slice(octets),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<usize> {
        let mut medium = self.octets.borrow_mut();
        let (start, end) = (offset as usize, offset as usize + octets.len());
        if medium.len() < end {
            medium.resize(end, 0);
        }
        for block in (start / BLOCK)..end.div_ceil(BLOCK) {
            let block = block * BLOCK..(block + 1) * BLOCK;
            if start <= block.start && block.end <= end {
                let sectors = block.start / SECTOR..block.end / SECTOR;
                let mut unreadable = self.unreadable.borrow_mut();
                unreadable.retain(|sector| !sectors.contains(sector));
            } else if !self.can_read(block) {
                return Err(io::Error::other("a bad sector"));
            }
        }
        medium[start..end].copy_from_slice(octets);
        let write = Operation::Write(offset, octets.to_vec());
        self.log.borrow_mut().push(write);
        Ok(octets.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.log.borrow_mut().push(Operation::Sync);
        Ok(())
    }
}

fn kek() -> Kek {
    Kek::development()
}

/// A new, empty vault.
fn new_vault() -> (Disk, Vault) {
    let mut disk = Disk::default();
    format(&mut disk, &kek(), (CAPACITY, 0)).unwrap();
    disk.take_log();
    let vault = Vault::open(disk.clone(), &kek()).unwrap();
    (disk, vault)
}

fn open_image(octets: &[u8]) -> Result<Vault, OpenError> {
    Vault::open(Disk::with(octets.to_vec()), &kek())
}

fn iccid(n: u8) -> String {
    format!("8988211000000123{n:04}")
}

/// The `n`th profile, with nothing in common with the others.
fn profile(n: u8) -> Profile {
    Profile {
        iccid: Iccid::new(&iccid(n)).unwrap(),
        imsi: imsi(&format!("001010000000{n:03}"), 2).unwrap(),
        credentials: milenage([n; 16]),
        amf: Amf::new([0x80, 0]),
        sqn: SqnScheme::new(Sqn::default(), SqnParameters::default()).unwrap(),
        routing_indicator: RoutingIndicator::default(),
        home_network_keys: HomeNetworkKeys::default(),
        supplicant_consent: false,
        validity: Validity::default(),
        identity_privacy: None,
    }
}

fn milenage(k: [u8; 16]) -> Credentials {
    Credentials::Milenage {
        k: K::new(k),
        opc: Opc::new([0xcd; 16]),
    }
}

fn tuak(k: TuakKey) -> Credentials {
    Credentials::Tuak {
        k,
        topc: Topc::new([0xbd; 32]),
        parameters: tuak_parameters(128, 255).unwrap(),
    }
}

/// A profile that fills its record as far as any can.
fn longest_profile() -> Profile {
    let point = SigningKey::from_slice(&[7; 32]).unwrap();
    let point = point.verifying_key().to_sec1_point(true);
    let key = HomeNetworkKey::new(255, 2, point.as_bytes()).unwrap();
    Profile {
        iccid: Iccid::new(&"9".repeat(20)).unwrap(),
        imsi: imsi(&"9".repeat(15), 3).unwrap(),
        credentials: tuak(TuakKey::K256(K256::new([9; 32]))),
        sqn: SqnScheme::new(
            Sqn::MAX,
            SqnParameters {
                l: Some(u64::MAX),
                ..SqnParameters::default()
            },
        )
        .unwrap(),
        routing_indicator: RoutingIndicator::new("9999").unwrap(),
        home_network_keys: HomeNetworkKeys::new(&[key, key]).unwrap(),
        supplicant_consent: true,
        validity: Validity::new(Some(u64::MAX), Some(u64::MAX)).unwrap(),
        identity_privacy: Some(PrivacyDemand::Strict),
        ..profile(9)
    }
}

fn install(n: u8, sequence: u64) -> Change {
    Change::Install {
        profile: profile(n),
        issuer: ISSUER,
        sequence,
        enabled: true,
    }
}

/// These accounts, each with a key or with the one it has.
fn accounts<const N: usize>(accounts: [(u16, Option<u8>); N]) -> Change {
    let psk = |octet| Psk::new(&[octet; 64]).unwrap();
    Change::Accounts(
        accounts
            .map(|(account, octet)| (account, octet.map(psk)))
            .into(),
    )
}

fn commit(vault: &mut Vault, changes: Vec<Change>) -> Result<(), CommitError> {
    vault.commit(changes)
}

fn slot(vault: &Vault, n: u8) -> Slot {
    vault.find(&iccid(n)).unwrap()
}

/// The subscription's AuC offers `sqn`, and the profile in the slot takes it or not.
fn offer(vault: &mut Vault, slot: Slot, sqn: u64) -> Result<(), AuthenticationFailure> {
    let profile = &vault.profile(slot).unwrap().profile;
    let algorithm = profile.credentials.functions();
    let (rand, amf) = (Rand::new([5; 16]), Amf::new([0x80, 0]));
    let sqn = Sqn::new(sqn).unwrap();
    let concealed = algorithm.f2345(&rand).ak.conceal(sqn);
    let autn = Autn::from_parts(concealed, amf, &algorithm.f1(&rand, sqn, amf));
    let usim = vault.profile(slot).unwrap().sqn();
    let verified = usim.check(&algorithm, &rand, &autn, SeparationBit::Required)?;
    let accepted = vault.change_sqn(slot, |usim| usim.accept(&verified));
    accepted.unwrap().unwrap();
    Ok(())
}

/// All that a vault holds, for comparison.
fn contents(vault: &Vault) -> String {
    let keys = vault.device_keys().map(|keys| {
        let DeviceKeys {
            device,
            sealing,
            application,
        } = keys;
        (*device.clone(), *sealing.clone(), *application.clone())
    });
    let accounts = vault.accounts.0.iter();
    let accounts: Vec<_> = accounts
        .map(|(account, psk)| (account, psk.as_bytes()))
        .collect();
    format!(
        "{keys:?} {accounts:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        vault.certificate(),
        vault.trust_anchors(),
        vault.provisioning,
        vault.profiles().collect::<Vec<_>>(),
        tombstones(vault),
        identities_of(vault),
    )
}

/// All identities, which don't print by themselves.
fn identities_of(vault: &Vault) -> Vec<Vec<u8>> {
    let identities = vault.tables.identities.from(0);
    identities.map(|(_, of)| of.encode().to_vec()).collect()
}

fn tombstones(vault: &Vault) -> Vec<&StoredTombstone> {
    let tombstones = vault.tables.tombstones.from(0);
    tombstones.map(|(_, stored)| stored).collect()
}

fn layout(capacity: u32) -> Layout {
    Layout::new(TABLES, capacity)
}

fn device_keys(octet: u8) -> DeviceKeys {
    DeviceKeys {
        device: Zeroizing::new([octet; 32]),
        sealing: Zeroizing::new([octet + 1; 32]),
        application: Zeroizing::new([octet + 2; 32]),
    }
}

fn anchor(seed: u8) -> IssuerKey {
    let key = SigningKey::from_slice(&[seed; 32]).unwrap();
    IssuerKey::from(*key.verifying_key())
}
