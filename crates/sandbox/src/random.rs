//! Randomness straight from getrandom(2).
//!
//! The C library's own function may go through the vDSO, which keeps generator state in ordinary
//! memory and maps more of it while the filter is on; the system call does neither.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

use crate::sys;

/// Fills `buffer` with random octets; waits at most once per boot, until the kernel's pool is
/// ready.
///
/// # Panics
/// If the kernel has no getrandom(2), that is before Linux 3.17.
pub fn fill(mut buffer: &mut [u8]) {
    while !buffer.is_empty() {
        // SAFETY: the kernel writes at most `len` octets to a buffer borrowed for the whole call.
        let written = sys::retry(|| unsafe {
            libc::syscall(libc::SYS_getrandom, buffer.as_mut_ptr(), buffer.len(), 0)
        })
        .expect("getrandom(2) of an initialised kernel fails only on a bad pointer");
        buffer = &mut buffer[written as usize..];
    }
}

/// The kernel's generator behind the traits that the cryptographic crates ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl TryRng for SystemRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        fill(&mut word);
        Ok(u32::from_ne_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        fill(&mut word);
        Ok(u64::from_ne_bytes(word))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        fill(buffer);
        Ok(())
    }
}

impl TryCryptoRng for SystemRng {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_every_part_of_a_buffer_longer_than_one_uninterruptible_read() {
        let mut buffer = [0; 4096];
        fill(&mut buffer);
        assert!(buffer.chunks(32).all(|chunk| chunk != [0; 32]));
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(SystemRng.try_next_u64(), SystemRng.try_next_u64());
    }
}
