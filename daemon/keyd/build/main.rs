//! Compiles `policies/roles/*.toml` in. A role file can only take away from the request table: one
//! that names more fails the build.

mod policy;

use std::error::Error;
use std::path::Path;
use std::time::SystemTime;
use std::{env, fs};

use softsim_keyd_proto::Role;

fn main() -> Result<(), Box<dyn Error>> {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/roles");
    let mut compiled = String::from("[");
    for role in Role::ALL {
        let path = policies.join(role.name()).with_extension("toml");
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path)?;
        let expression =
            policy::compile(role, &text).map_err(|error| format!("{}: {error}", path.display()))?;
        compiled.push_str(&expression);
        compiled.push(',');
    }
    compiled.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("roles.rs"), compiled)?;

    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rustc-env=SOFTSIM_BUILD_TIME={}", build_time()?);
    Ok(())
}

/// A time that has certainly passed when the program runs, in seconds since 1970.
fn build_time() -> Result<u64, Box<dyn Error>> {
    match env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => Ok(seconds.parse()?),
        Err(_) => Ok(SystemTime::UNIX_EPOCH.elapsed()?.as_secs()),
    }
}
