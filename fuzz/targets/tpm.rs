#![no_main]
#![allow(missing_docs)]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| softsim_fuzz::tpm::run(octets));
