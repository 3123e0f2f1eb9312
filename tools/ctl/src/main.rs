//! softsimctl; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    softsim_ctl::main()
}
