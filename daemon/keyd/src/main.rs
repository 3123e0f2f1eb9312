//! `softsim-keyd`: see the library of the same name.
#![no_main]
#![forbid(unsafe_code)]

// The stack takes X-Wing (63 KiB) with what is scrubbed below it; the heap grows with the vault's
// capacity.
softsim_sandbox::secret_main!(
    stack = 128 << 10,
    heap = softsim_keyd::HEAP,
    softsim_keyd::run
);
