//! What a TPM answers: softsim-anchord takes it for the response to one command, or refuses it.

use softsim_anchord::tpm::{Command, Index, done, has_value, value};

/// Reads the octets as the response to each command.
pub fn run(octets: &[u8]) {
    let value = value(octets);
    let has_value = has_value(Index::DEFAULT, octets);
    let done = [Command::Define, Command::Increment].map(|command| done(command, octets));
    // Both of these are only done, or refused.
    assert_eq!(done[0], done[1]);
    let taken = [value.is_ok(), has_value.is_ok(), done[0].is_ok()];
    assert!(taken.into_iter().filter(|taken| *taken).count() <= 1);
    if let Ok(value) = value {
        assert_eq!(octets[16..24], value.to_be_bytes());
    }
}
