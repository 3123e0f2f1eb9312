//! `softsim-keyd`: see the library of the same name.
#![no_main]
#![forbid(unsafe_code)]

// The stack has room for X-Wing (63 KiB) and for the part below it that is scrubbed. The heap grows
// with the vault's capacity.
softsim_sandbox::secret_main!(
    stack = 128 << 10,
    heap = softsim_keyd::HEAP,
    softsim_keyd::run
);
