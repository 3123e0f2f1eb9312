//! An application that gets its key for an application function from keyd (AKMA, TS 33.535).
//!
//!     cargo run --example akma -- af.example
//!
//! There is a key only after a 5G core has authenticated the gateway. A real application uses it as
//! the pre-shared key of TLS (TS 33.535 Annex B), and never prints it.

use std::error::Error;

use softsim_client::keyd::Connection;
use softsim_client::paths::Sockets;
use softsim_client::proto::KeyMemory;
use softsim_client::proto::requests::{AkmaKey, Status};

/// TLS with a pre-shared key and TLS_AES_128_GCM_SHA256 (TS 33.220 Annex H).
const TLS_1_3: [u8; 5] = [1, 0, 1, 0x13, 0x01];

fn main() -> Result<(), Box<dyn Error>> {
    let af = std::env::args()
        .nth(1)
        .ok_or("expected the name of an application function")?;
    let mut keyd = Connection::connect(&Sockets::from_env().app)?;
    let memory = keyd.call(&Status {})?.enforcement.key_memory;
    if memory != KeyMemory::SecretMemory {
        eprintln!("keyd's keys don't lie in secret memory: {memory}");
    }
    let key = keyd.call(&AkmaKey {
        af: &af,
        ua_star: TLS_1_3,
    })?;
    println!("A-KID  {}", key.a_kid);
    println!("K_AF   {} octets", key.k_af.expose().len());
    Ok(())
}
