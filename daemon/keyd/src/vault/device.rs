//! Changes of the device's own record.

use softsim_keyd_proto::Room;
use softsim_profile::IssuerKey;

use super::contents::{DeviceKeys, MAX_CERTIFICATE, MAX_TRUST_ANCHORS};
use super::error::CommitError;
use super::file::Contents;
use super::store::Vault;

/// The sequence in the place of an operator of whom no package was taken yet.
const NEVER_USED: u64 = 0;

impl Vault {
    /// Stores the device's keys.
    ///
    /// # Errors
    /// There are keys already, or [`CommitError::Storage`].
    pub fn set_device_keys(&mut self, keys: DeviceKeys) -> Result<(), CommitError> {
        if self.device.keys.is_some() {
            return Err(CommitError::KeysExist);
        }
        self.device.keys = Some(keys);
        self.write_device()
    }

    /// Stores the device certificate, DER.
    ///
    /// # Errors
    /// It is too long, or [`CommitError::Storage`].
    pub fn set_certificate(&mut self, der: &[u8]) -> Result<(), CommitError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CommitError::TooLong {
                limit: MAX_CERTIFICATE as u32,
                got: der.len() as u32,
            });
        }
        self.device.certificate = Some(der.into());
        self.write_device()
    }

    /// Adds an operator whose packages keyd opens, with a place for its sequence. Nothing changes
    /// if it is there already.
    ///
    /// # Errors
    /// There is no room for it or for what it may cause, or [`CommitError::Storage`].
    pub fn add_trust_anchor(&mut self, anchor: IssuerKey) -> Result<(), CommitError> {
        let anchors = self.trust_anchors();
        if anchors.contains(&anchor) {
            return Ok(());
        }
        if anchors.len() == MAX_TRUST_ANCHORS {
            return Err(CommitError::full(Room::TrustAnchors, MAX_TRUST_ANCHORS));
        }
        let id = anchor.id();
        self.check_room_for(id)?;
        let sequences = &mut self.provisioning.sequences;
        if sequences.iter().all(|(issuer, _)| *issuer != id) {
            sequences.push((id, NEVER_USED));
        }
        self.device.trust_anchors.push(anchor);
        self.write_trust()
    }

    /// Removes an operator whose packages keyd opens. Nothing changes if it isn't there. It keeps
    /// its sequence, without which its old packages would be good again if it were added again.
    ///
    /// # Errors
    /// [`CommitError::Storage`].
    pub fn remove_trust_anchor(&mut self, anchor: &IssuerKey) -> Result<(), CommitError> {
        let anchors = &mut self.device.trust_anchors;
        let Some(index) = anchors.iter().position(|known| known == anchor) else {
            return Ok(());
        };
        anchors.remove(index);
        let sequences = &mut self.provisioning.sequences;
        sequences.retain(|place| *place != (anchor.id(), NEVER_USED));
        self.write_trust()
    }

    /// Writes the trust anchors, and the places of their sequences.
    fn write_trust(&mut self) -> Result<(), CommitError> {
        let records = [self.device.record(0), self.provisioning.record(0)];
        Ok(self.file.commit(&records)?)
    }

    fn write_device(&mut self) -> Result<(), CommitError> {
        Ok(self.file.commit(&[self.device.record(0)])?)
    }
}
