//! The vault's file with any damage: octets changed, blocks copied over others, the end cut off.
//!
//! A vault that opens must hold what was stored: nothing unauthenticated may become a profile.

use softsim_keyd::vault::{Kek, Vault};
use softsim_testkit::device::{ICCID, IMSI};

use crate::memory::{Memory, edited, provisioned};

/// Edits the file as the input says, eight octets an edit, and opens it.
pub fn run(input: &[u8]) {
    let image = edited(provisioned().image.clone(), input);
    if let Ok(vault) = Vault::open(Memory::new(image), &Kek::development()) {
        for (_, stored) in vault.profiles() {
            let profile = &stored.profile;
            assert_eq!(profile.iccid.as_str(), ICCID);
            assert_eq!(profile.imsi.digits(), IMSI);
        }
    }
}
