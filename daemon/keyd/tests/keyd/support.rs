//! Identities and authentications, as the tests of identities need them.

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_keyd::Client;
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, IdentityAnswer, IdentityKind, IdentityPrivacy, IdentityRequest, Refusal, Role,
};
use softsim_profile::{HomeNetworkKey, HomeNetworkKeys, Profile};
use softsim_sandbox::random::SystemRng;
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;
use softsim_testkit::requests::*;

/// Asks for an identity inside the method, on the connection of an access.
pub(crate) fn ask(device: &mut Device, kind: IdentityRequest) -> Result<IdentityAnswer, Refusal> {
    let answer = device.ask_on_access(&identity(kind));
    device.keyd.flush().unwrap();
    answer
}

/// The username that a new attempt of an access shows first, to a server that then asks for the
/// permanent identity; and the answer to that.
pub(crate) fn refused_by(
    device: &mut Device,
    access: &mut Client,
) -> (String, Result<IdentityKind, Refusal>) {
    let first = device.call(access, &identity(IdentityRequest::Any));
    let answer = device.call(access, &identity(IdentityRequest::Permanent));
    device.keyd.flush().unwrap();
    let nai = first.unwrap().nai;
    let username = nai.split('@').next().unwrap().to_owned();
    (username, answer.map(|answer| answer.kind))
}

/// A challenge with a right AT_MAC, whose response may get lost. Returns the client and the handle.
pub(crate) fn challenged(device: &mut Device, home: &HomeNetwork, sqn: u64) -> (Client, u32) {
    let sent = home.challenge(sqn);
    let mut netd = device.client(Role::Network);
    let answer = device.call(&mut netd, &challenge(&sent.packet, &home.identity));
    device.keyd.flush().unwrap();
    match answer {
        Ok(AkaAnswer::Success { handle, .. }) => (netd, handle),
        other => panic!("expected Success, got {other:?}"),
    }
}

/// An authentication that succeeds.
pub(crate) fn authenticated(device: &mut Device, home: &HomeNetwork, sqn: u64) {
    let (mut netd, handle) = challenged(device, home, sqn);
    device
        .call(&mut netd, &Confirm { handle, msk: None })
        .unwrap();
    device.keyd.flush().unwrap();
}

/// A home network whose challenges are for this identity and give a pseudonym.
pub(crate) fn naming(shown: &[u8], pseudonym: &str) -> HomeNetwork {
    HomeNetwork {
        identity: shown.to_vec(),
        ..HomeNetwork::naming(Some(pseudonym), None)
    }
}

/// An authentication in which the server gives a pseudonym.
pub(crate) fn assign_pseudonym(device: &mut Device, sqn: u64, shown: &[u8], pseudonym: &str) {
    authenticated(device, &naming(shown, pseudonym), sqn);
}

/// A provisioned device with this `--identity-privacy`.
pub(crate) fn with(privacy: IdentityPrivacy, profile: Profile) -> Device {
    let mut device = Device::enrolled();
    device = device.with_privacy(privacy);
    let operator = Operator::generate();
    device.trust(&operator);
    let package = operator.seal(&mut device, profile, 1);
    device.install(&package, [1; 16]).unwrap();
    device
}

/// A profile with a key of the home network.
pub(crate) fn concealable() -> Profile {
    let home = PrivateKey::generate(Group::X25519, &mut SystemRng);
    let key = HomeNetworkKey::new(27, 1, home.public_key().as_bytes()).unwrap();
    Profile {
        home_network_keys: HomeNetworkKeys::new(&[key]).unwrap(),
        ..profile(ICCID)
    }
}
