//! A device for tests: keyd without sockets, an operator that seals packages for it, and storage
//! that fails on demand.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use std::{io, mem};

use p256::ecdsa::{SigningKey, VerifyingKey};
use p256::elliptic_curve::Generate;
use softsim_aka::{Amf, Sqn};
use softsim_keyd::roles::{COMPILED, Group, PerRole, Rate, RolePolicy};
use softsim_keyd::users::Users;
use softsim_keyd::vault::{FileStorage, Kek, Storage, Vault};
use softsim_keyd::{Client, Keyd, Service};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    Call, Enforcement, IdentityPrivacy, KekSource, KeyMemory, MAX_ANSWER, MAX_REQUEST, Overwrites,
    Refusal, RequestKind, Role, SecretSlice, decode_answer, encode_request,
};
use softsim_profile::{
    Command, DeviceId, HomeNetworkKeys, Iccid, IssuerKey, Profile, RoutingIndicator,
    SealingStatement, SqnScheme, Validity, imsi,
};
use softsim_sandbox::random::SystemRng;
use softsim_usim::SqnParameters;
use tempfile::TempDir;

pub use crate::home_network::{K, OPC, milenage};

/// The uid of every client.
pub const UID: u32 = 1000;
/// The application functions whose keys the user [`UID`] may have.
pub const AFS: [&str; 2] = ["af.example.com", "other.example.com"];
/// The first profile's ICCID.
pub const ICCID: &str = "8988211000000000011";
/// The first profile's IMSI.
pub const IMSI: &str = "001010000000001";

thread_local! {
    static UNIX_TIME: Cell<u64> = const { Cell::new(4_000_000_000) };
}

/// Appends the check digit to the digits of an ICCID.
pub fn with_check_digit(digits: &str) -> String {
    format!("{digits}{}", Iccid::check_digit(digits))
}

/// Sets the clock against which keyd checks validity, in seconds since 1970. The clock begins in
/// 2096.
pub fn set_clock(seconds: u64) {
    UNIX_TIME.set(seconds);
}

/// A gateway that runs keyd.
pub struct Device {
    /// The key process.
    pub keyd: Keyd,
    /// How many more writes its storage accepts.
    pub writes: Writes,
    /// The directory of its vault.
    pub directory: Rc<TempDir>,
    policies: PerRole<RolePolicy>,
    access: Client,
    now: Duration,
    answer: Box<[u8; MAX_ANSWER]>,
}

/// How many more writes and syncs the storage accepts; `None` for any number.
#[derive(Clone, Default)]
pub struct Writes(Rc<Cell<Option<u32>>>);

/// A file whose writes can be made to fail. The first failing write stores half of its octets.
pub struct Medium {
    file: FileStorage,
    writes: Writes,
}

impl Writes {
    /// Accepts `count` more writes and syncs, and fails the next one.
    pub fn fail_after(&self, count: u32) {
        self.0.set(Some(count));
    }

    /// How many writes and syncs it accepts yet; `None` for any number.
    pub fn left(&self) -> Option<u32> {
        self.0.get()
    }

    /// Whether the next write or sync fails.
    pub fn all_were_used(&self) -> bool {
        self.0.get() == Some(0)
    }

    fn take(&self) -> bool {
        match self.0.get() {
            None => true,
            Some(0) => false,
            Some(count) => {
                self.0.set(Some(count - 1));
                true
            }
        }
    }
}

impl Storage for Medium {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<usize> {
        if self.writes.take() {
            return self.file.write_at(octets, offset);
        }
        self.file.write_at(&octets[..octets.len() / 2], offset)?;
        Err(io::Error::other("the medium failed"))
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.writes.take() {
            self.file.sync()
        } else {
            Err(io::Error::other("the medium failed"))
        }
    }
}

impl Device {
    /// A device as it leaves the factory, with an empty vault.
    pub fn blank() -> Self {
        Self::blank_with_capacity(4)
    }

    /// Like [`Device::blank`], with a vault for `capacity` profiles.
    pub fn blank_with_capacity(capacity: u32) -> Self {
        let directory = Rc::new(tempfile::tempdir().unwrap());
        let kek = Kek::development();
        drop(Vault::create(directory.path(), &kek, (capacity, 0)).unwrap());
        Self::on(directory)
    }

    /// Starts keyd on the state in a directory.
    pub fn on(directory: Rc<TempDir>) -> Self {
        Self::started(directory, false)
    }

    /// Like [`Device::on`], with or without `--allow-test-profiles`.
    pub fn started(directory: Rc<TempDir>, test_profiles: bool) -> Self {
        let privacy = IdentityPrivacy::default();
        Self::under(directory, COMPILED, privacy, test_profiles)
    }

    /// A blank device whose policy allows the role network the requests of PSK accounts, which no
    /// file in `policies/roles` does.
    pub fn with_psk_accounts() -> Self {
        let given = Group {
            rate: Rate {
                requests: 20,
                seconds: 1,
                burst: 40,
            },
            long: None,
            requests: &[RequestKind::StageAccounts, RequestKind::PskMasterSecret],
        };
        let mut policies = COMPILED;
        let groups = [COMPILED[Role::Network].groups, &[given]].concat();
        policies[Role::Network].groups = groups.leak();
        let Self { directory, .. } = Self::blank();
        Self::under(directory, policies, IdentityPrivacy::default(), false)
    }

    fn under(
        directory: Rc<TempDir>,
        policies: PerRole<RolePolicy>,
        identity_privacy: IdentityPrivacy,
        test_profiles: bool,
    ) -> Self {
        let enforcement = Enforcement {
            landlock_abi: 7,
            seccomp_calls: 12,
            key_memory: KeyMemory::SecretMemory,
            kek_source: KekSource::Development,
            overwrites: Overwrites::InPlace,
            identity_privacy,
            identity_patience: 600,
            supplicant: true,
            test_profiles,
        };
        let writes = Writes::default();
        let medium = Medium {
            file: FileStorage::open(directory.path()).unwrap().unwrap(),
            writes: writes.clone(),
        };
        let service = Service {
            enforcement,
            policies,
            users: Users {
                uids: PerRole::from_fn(|_| vec![0, UID]),
                ..Users::default()
            },
            afs: AFS.map(|af| (UID, af.to_owned())).to_vec(),
            realtime: || Duration::from_secs(UNIX_TIME.get()),
        };
        let keyd = Keyd::new(Vault::open(medium, &Kek::development()).unwrap(), service);
        Self {
            access: keyd.connect(Role::Network, UID).unwrap(),
            keyd,
            writes,
            directory,
            policies,
            now: Duration::from_secs(1),
            answer: Box::new([0; MAX_ANSWER]),
        }
    }

    /// Crashes keyd, and starts it on the stored state.
    pub fn restarted(self) -> Self {
        self.restarted_under(IdentityPrivacy::default())
    }

    /// Like [`Device::restarted`], with another `--identity-privacy`.
    pub fn with_privacy(self, identity_privacy: IdentityPrivacy) -> Self {
        self.restarted_under(identity_privacy)
    }

    fn restarted_under(self, identity_privacy: IdentityPrivacy) -> Self {
        let Self {
            directory,
            policies,
            keyd,
            ..
        } = self;
        drop(keyd);
        Self::under(directory, policies, identity_privacy, false)
    }

    /// Lets time pass.
    pub fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Connects a client in this role.
    pub fn client(&self, role: Role) -> Client {
        self.keyd.connect(role, UID).unwrap()
    }

    /// Sends a datagram and receives the answer. The clock first advances by a second, so that few
    /// rate limits are reached, and, if one is, by as much as keyd says.
    pub fn exchange(&mut self, client: &mut Client, datagram: &[u8]) -> &[u8] {
        self.now += Duration::from_secs(1);
        let answer = self.exchange_now(client, datagram);
        let length = answer.len();
        let Ok(Err(Refusal::RetryAfter { milliseconds })) = decode_answer::<Status>(answer) else {
            return &self.answer[..length];
        };
        self.now += Duration::from_millis(milliseconds.into());
        self.exchange_now(client, datagram)
    }

    /// Like [`Device::exchange`], but the clock doesn't advance.
    pub fn exchange_now(&mut self, client: &mut Client, datagram: &[u8]) -> &[u8] {
        let length = self
            .keyd
            .serve(client, self.now, datagram, &mut self.answer);
        &self.answer[..length]
    }

    /// Sends a request, and returns the answer as a client would decode it.
    pub fn call<C: Call>(&mut self, client: &mut Client, call: &C) -> Result<C::Answer, Refusal> {
        let mut buffer = vec![0; MAX_REQUEST];
        let datagram = encode_request(call, &mut buffer).unwrap();
        decode_answer::<C>(self.exchange(client, datagram)).unwrap()
    }

    /// Like [`Device::call`], but the clock doesn't advance.
    pub fn call_now<C: Call>(
        &mut self,
        client: &mut Client,
        call: &C,
    ) -> Result<C::Answer, Refusal> {
        let mut buffer = vec![0; MAX_REQUEST];
        let datagram = encode_request(call, &mut buffer).unwrap();
        decode_answer::<C>(self.exchange_now(client, datagram)).unwrap()
    }

    /// Asserts that this is the session's MSK: as the server's MSK, keyd refuses another one and
    /// accepts this one.
    pub fn confirms(&mut self, client: &mut Client, handle: u32, msk: &[u8]) {
        let mut other = msk.to_vec();
        *other.last_mut().unwrap() ^= 1;
        let mut confirm = |msk| {
            let msk = Some(SecretSlice(msk));
            self.call(client, &Confirm { handle, msk })
        };
        assert_eq!(confirm(&other), Err(Refusal::OtherMsk));
        assert_eq!(confirm(msk), Ok(()));
    }

    /// Sends a request on a new connection.
    pub fn ask<C: Call>(&mut self, role: Role, call: &C) -> Result<C::Answer, Refusal> {
        let mut client = self.client(role);
        self.call(&mut client, call)
    }

    /// Sends a request on the connection of an access, which stays the same until keyd is
    /// restarted.
    pub fn ask_on_access<C: Call>(&mut self, call: &C) -> Result<C::Answer, Refusal> {
        let next = self.client(Role::Network);
        let mut access = mem::replace(&mut self.access, next);
        let answer = self.call(&mut access, call);
        self.access = access;
        answer
    }

    /// A device with its own keys and a certificate.
    pub fn enrolled() -> Self {
        let mut device = Self::blank();
        device.enrol();
        device
    }

    /// Generates the device's keys, and sets a certificate.
    pub fn enrol(&mut self) {
        self.ask(Role::Admin, &GenerateDeviceKey {}).unwrap();
        let request = self.ask(Role::Admin, &CertificateRequest {}).unwrap().der;
        let certificate = certificate(&spki_of_request(&request));
        self.ask(
            Role::Admin,
            &SetDeviceCertificate {
                certificate: &certificate,
            },
        )
        .unwrap();
    }

    /// Adds an operator's key to the trust anchors.
    pub fn trust(&mut self, operator: &Operator) {
        let issuer = operator.spki();
        self.ask(Role::Admin, &AddTrustAnchor { issuer: &issuer })
            .unwrap();
    }

    /// Installs a profile in one transaction.
    pub fn install(&mut self, package: &[u8], txid: [u8; 16]) -> Result<(), Refusal> {
        let mut admin = self.client(Role::Admin);
        let package = Some(package);
        self.call(&mut admin, &Stage { txid, package })?;
        self.call(&mut admin, &Commit::new(txid))
    }

    /// An enrolled device with one profile, which is enabled.
    pub fn provisioned() -> (Self, Operator) {
        let mut device = Self::enrolled();
        let operator = device.provision();
        (device, operator)
    }

    /// Installs and enables the first profile, and returns the operator that sealed it.
    pub fn provision(&mut self) -> Operator {
        let operator = Operator::generate();
        self.trust(&operator);
        let package = operator.seal(self, profile(ICCID), 1);
        self.install(&package, [1; 16]).unwrap();
        operator
    }

    /// Asks keyd for the sealing statement.
    pub fn statement(&mut self) -> Vec<u8> {
        self.ask(
            Role::Admin,
            &softsim_keyd_proto::requests::SealingStatement {},
        )
        .unwrap()
        .statement
    }
}

/// An operator, which seals profiles and signs commands.
pub struct Operator(pub SigningKey);

impl Operator {
    /// An operator with a new key.
    pub fn generate() -> Self {
        Self(SigningKey::generate_from_rng(&mut SystemRng))
    }

    /// Its public key, in the form of a trust anchor.
    pub fn spki(&self) -> Vec<u8> {
        IssuerKey::from(*self.0.verifying_key()).to_spki().to_vec()
    }

    /// Seals a profile to the device.
    pub fn seal(&self, device: &mut Device, profile: Profile, sequence: u64) -> Vec<u8> {
        let request = device.ask(Role::Admin, &CertificateRequest {}).unwrap().der;
        let spki = spki_of_request(&request);
        self.seal_to(&spki, &device.statement(), profile, sequence)
    }

    /// Signs a command for the device.
    pub fn order(&self, device: &mut Device, command: Command, sequence: u64) -> Vec<u8> {
        let status = device.ask(Role::Admin, &Status {}).unwrap();
        let device = DeviceId(status.device_id.unwrap());
        self.order_to(device, command, sequence)
    }

    /// Signs a command for the device with this id.
    pub fn order_to(&self, device: DeviceId, command: Command, sequence: u64) -> Vec<u8> {
        self.order_within(device, command, Validity::default(), sequence)
    }

    /// Signs a command that is valid in this period.
    pub fn order_within(
        &self,
        device: DeviceId,
        command: Command,
        validity: Validity,
        sequence: u64,
    ) -> Vec<u8> {
        softsim_profile::sign_command(&command, &validity, device, &self.0, sequence).unwrap()
    }

    /// Seals a profile to the device with this public key and sealing statement.
    pub fn seal_to(
        &self,
        spki: &[u8],
        statement: &[u8],
        profile: Profile,
        sequence: u64,
    ) -> Vec<u8> {
        let key = VerifyingKey::from_sec1_bytes(&spki[26..]).unwrap();
        let statement = SealingStatement::verify(statement, &key).unwrap();
        softsim_profile::seal(&profile, &statement, &self.0, sequence, &mut SystemRng).unwrap()
    }
}

/// A profile for the subscription [`IMSI`], [`K`] and [`OPC`].
pub fn profile(iccid: &str) -> Profile {
    profile_of(iccid, IMSI, K, OPC, 0)
}

/// A profile for a second subscription.
pub fn other_profile(iccid: &str) -> Profile {
    profile_of(iccid, "001010000000002", [0x5b; 16], OPC, 0)
}

/// A profile with this subscription, whose SQNs begin at `floor`.
pub fn profile_of(
    iccid: &str,
    imsi_digits: &str,
    k: [u8; 16],
    opc: [u8; 16],
    floor: u64,
) -> Profile {
    Profile {
        iccid: Iccid::new(iccid).unwrap(),
        imsi: imsi(imsi_digits, 2).unwrap(),
        credentials: milenage(k, opc),
        amf: Amf::new([0x80, 0]),
        sqn: SqnScheme::new(Sqn::new(floor).unwrap(), SqnParameters::default()).unwrap(),
        routing_indicator: RoutingIndicator::default(),
        home_network_keys: HomeNetworkKeys::default(),
        supplicant_consent: false,
        validity: Validity::default(),
        identity_privacy: None,
    }
}

/// Encodes a DER value.
pub fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let mut value = vec![tag];
    match contents.len() {
        length @ ..128 => value.push(length as u8),
        length @ ..256 => value.extend([0x81, length as u8]),
        length => {
            value.push(0x82);
            value.extend((length as u16).to_be_bytes());
        }
    }
    value.extend(contents);
    value
}

/// Splits octets into the contents of the DER value at their start and the octets after that value.
pub fn open_der(value: &[u8]) -> (&[u8], &[u8]) {
    let (head, length) = match value[1] {
        0x81 => (3, usize::from(value[2])),
        0x82 => (4, usize::from(u16::from_be_bytes([value[2], value[3]]))),
        short => (2, usize::from(short)),
    };
    (&value[head..head + length], &value[head + length..])
}

/// A certificate with an empty signature, which keyd doesn't check.
pub fn certificate(spki: &[u8]) -> Vec<u8> {
    let sequence = |parts: &[&[u8]]| der(0x30, parts);
    let tbs = sequence(&[
        &der(0xa0, &[&[2, 1, 2]]),
        &[2, 1, 1],
        &sequence(&[]),
        &sequence(&[]),
        &sequence(&[]),
        &sequence(&[]),
        spki,
    ]);
    sequence(&[&tbs, &sequence(&[]), &der(3, &[&[0; 70]])])
}

/// The SubjectPublicKeyInfo of a PKCS #10 request: the third field of its first field.
pub fn spki_of_request(request: &[u8]) -> Vec<u8> {
    let (request, _) = open_der(request);
    let (info, _) = open_der(request);
    let (_version, rest) = open_der(info);
    let (_subject, rest) = open_der(rest);
    let (_, behind) = open_der(rest);
    rest[..rest.len() - behind.len()].to_vec()
}

/// Copies a device's state to a new directory.
pub fn copy_of(directory: &Path) -> Rc<TempDir> {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(directory.join("vault"), copy.path().join("vault")).unwrap();
    Rc::new(copy)
}

/// Repeats one change on copies of a device, whose storage fails one write later each time, until
/// the change succeeds. After each attempt, it restarts keyd on the stored state and calls `check`
/// with whether the change succeeded.
pub fn fail_at_each_write(
    base: Device,
    change: impl Fn(&mut Device) -> Result<(), Refusal>,
    check: impl Fn(&mut Device, bool),
) {
    let Device {
        directory,
        policies,
        keyd,
        ..
    } = base;
    drop(keyd);
    for count in 0.. {
        let copy = copy_of(directory.path());
        let mut device = Device::under(copy, policies, IdentityPrivacy::default(), false);
        device.writes.fail_after(count);
        let changed = change(&mut device);
        let flushed = device.keyd.flush();
        if changed.is_ok() && flushed.is_ok() {
            assert!(count > 1, "the medium was never written");
            check(&mut device.restarted(), true);
            return;
        }
        assert!(device.writes.all_were_used() && flushed.is_err());
        assert!(matches!(changed, Ok(()) | Err(Refusal::Storage)));
        check(&mut device.restarted(), false);
    }
}
