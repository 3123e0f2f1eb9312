//! How many tombstones each operator may cause, so that none takes the room that others need.
//!
//! Tombstones are never removed. Their room is divided equally among as many operators as can be
//! trusted at a time, and an operator is trusted only if its part is there. The tombstones of an
//! operator that isn't trusted any more stay, and count in its part if it is trusted again.

use softsim_keyd_proto::Room;
use softsim_profile::IssuerId;

use super::contents::{MAX_ISSUERS, MAX_TRUST_ANCHORS};
use super::error::CommitError;
use super::store::Vault;

impl Vault {
    /// Refuses the transaction if an operator would have more tombstones than its part.
    pub(super) fn check_quotas(&self) -> Result<(), CommitError> {
        let limit = self.tombstones_each();
        let tombstones = &self.tables.tombstones;
        let caused = tombstones.touched().filter_map(|at| tombstones.get(at));
        for issuer in caused.map(|stored| stored.issuer) {
            if self.tombstones_of(issuer) > limit {
                return Err(CommitError::Quota { issuer, limit });
            }
        }
        Ok(())
    }

    /// Checks that there is a place for the sequence of an operator that is trusted from now on,
    /// and room for its tombstones.
    pub(super) fn check_room_for(&self, operator: IssuerId) -> Result<(), CommitError> {
        let places = &self.provisioning.sequences;
        let has_place = places.iter().any(|(issuer, _)| *issuer == operator);
        if !has_place && places.len() == MAX_ISSUERS {
            return Err(CommitError::full(Room::Issuers, MAX_ISSUERS));
        }
        let each = self.tombstones_each();
        let trusted = self.trust_anchors().len() as u32;
        let distrusted = places.iter().map(|(issuer, _)| *issuer);
        let distrusted = distrusted.filter(|issuer| *issuer != operator && !self.trusts(*issuer));
        let taken: u32 = distrusted
            .map(|issuer| self.part_of_distrusted(issuer))
            .sum();
        let room = self.tables.tombstones.capacity();
        let got = room.saturating_sub(trusted * each + taken);
        if got < each {
            let expected = each;
            return Err(CommitError::NoRoomForOperator { expected, got });
        }
        Ok(())
    }

    /// The number of tombstones that an operator may cause.
    fn tombstones_each(&self) -> u32 {
        self.tables.tombstones.capacity() / MAX_TRUST_ANCHORS as u32
    }

    /// How many tombstones an operator has that isn't trusted any more, with those that its
    /// installed profiles will leave.
    fn part_of_distrusted(&self, issuer: IssuerId) -> u32 {
        let profiles = self
            .profiles()
            .filter(|(_, stored)| stored.issuer == issuer);
        let caused = self.tombstones_of(issuer) + profiles.count() as u32;
        caused.min(self.tombstones_each())
    }

    fn tombstones_of(&self, issuer: IssuerId) -> u32 {
        let tombstones = self.tables.tombstones.from(0);
        let of_issuer = tombstones.filter(|(_, stored)| stored.issuer == issuer);
        of_issuer.count() as u32
    }

    fn trusts(&self, issuer: IssuerId) -> bool {
        self.trust_anchors()
            .iter()
            .any(|known| known.id() == issuer)
    }
}
