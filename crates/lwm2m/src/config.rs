//! The settings of the client.

use std::fmt;
use std::time::Duration;

use softsim_coap as coap;

use crate::content::ContentFormat;
use crate::objects::{Device, SIM};

/// A version of LwM2M.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// LwM2M 1.1.
    V1_1,
    /// LwM2M 1.2. If a server answers 4.12, the client tries again with 1.1.
    V1_2,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        })
    }
}

/// The settings of the client, which don't change while it runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The endpoint client name.
    pub endpoint: String,
    /// The version to register with.
    pub version: Version,
    /// The content format to ask the bootstrap server for (`pct=`), if any.
    pub content_format: Option<ContentFormat>,
    /// The id of the Software SIM object; 26241 to 32768 is the vendor range.
    pub sim_object: u16,
    /// The values of the Device object.
    pub device: Device,
    /// How long a bootstrap server may be silent before the client gives up.
    pub bootstrap_timeout: Duration,
    /// Whether the client accepts accounts without security; for tests only.
    pub allow_no_sec: bool,
    /// CoAP's transmission parameters and limits.
    pub coap: coap::Config,
}

impl Config {
    /// The default settings for this endpoint client name.
    pub fn new(endpoint: impl Into<String>) -> Config {
        Config {
            endpoint: endpoint.into(),
            version: Version::V1_1,
            content_format: Some(ContentFormat::SenmlCbor),
            sim_object: SIM.id,
            device: Device::default(),
            bootstrap_timeout: coap::EXCHANGE_LIFETIME,
            allow_no_sec: false,
            coap: coap::Config::default(),
        }
    }
}
