//! softsimctl. The library has all of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    softsim_ctl::main()
}
