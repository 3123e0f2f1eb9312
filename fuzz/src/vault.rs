//! The vault's file with any damage: octets changed, blocks copied over others, the end cut off.
//!
//! A vault that opens must hold what was stored: nothing unauthenticated may become a profile.

use softsim_keyd::vault::{Kek, Vault};
use softsim_testkit::device::{ICCID, IMSI};

use crate::memory::{Memory, provisioned};

/// A place in the file, and a length, as an edit names them.
fn span(edit: &[u8], length: usize) -> (usize, usize) {
    let place = u32::from_be_bytes([0, edit[0], edit[1], edit[2]]) as usize % length;
    let count = usize::from(edit[3]) * 8 + 1;
    (place, count.min(length - place))
}

/// Edits the file as the input says, eight octets an edit, and opens it.
pub fn run(input: &[u8]) {
    let mut image = provisioned().image.clone();
    for edit in input.chunks_exact(8) {
        if image.is_empty() {
            break;
        }
        let (to, count) = span(&edit[1..5], image.len());
        match edit[0] % 4 {
            0 => image[to] ^= edit[5],
            1 => image[to..to + count].fill(edit[5]),
            2 => {
                let (from, _) = span(&edit[4..8], image.len());
                let count = count.min(image.len() - from);
                image.copy_within(from..from + count, to);
            }
            _ => image.truncate(to),
        }
    }
    if let Ok(vault) = Vault::open(Memory::new(image), &Kek::development()) {
        for (_, stored) in vault.profiles() {
            let profile = &stored.profile;
            assert_eq!(profile.iccid.as_str(), ICCID);
            assert_eq!(profile.imsi.digits(), IMSI);
        }
    }
}
