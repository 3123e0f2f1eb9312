//! An application that lets keyd sign a message with the gateway's application key.
//!
//!     cargo run --example sign -- "hello"
//!
//! It finds keyd's socket for applications like `softsimctl` finds the others: by
//! SOFTSIM_APP_SOCKET, or at its default path.

use std::error::Error;

use softsim_client::keyd::Connection;
use softsim_client::paths::Sockets;
use softsim_client::proto::requests::{ApplicationKey, Sign};

fn main() -> Result<(), Box<dyn Error>> {
    let message = std::env::args().nth(1).ok_or("expected a message")?;
    let mut keyd = Connection::connect(&Sockets::from_env().app)?;
    let key = keyd.call(&ApplicationKey {})?;
    let signed = keyd.call(&Sign {
        context: "example",
        message: message.as_bytes(),
    })?;
    println!("public key  {}", hex::encode(key.spki));
    println!("signature   {}", hex::encode(signed.signature));
    Ok(())
}
