//! `softsim-keyd`: see the library of the same name.
#![no_main]
#![forbid(unsafe_code)]

// The stack takes X-Wing (63 KiB) with what is scrubbed below it; the arena 256 profiles, 64 KiB of
// answers and the longest request.
softsim_sandbox::secret_main!(stack = 128 << 10, heap = 1 << 20, softsim_keyd::run);
