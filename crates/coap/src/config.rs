//! Transmission parameters and limits.

use std::time::Duration;

use crate::block::BlockSize;

/// EXCHANGE_LIFETIME: how long a message id must not be reused, and how long the endpoint keeps an
/// unfinished exchange (RFC 7252 §4.8.2).
pub const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);

/// Transmission parameters (RFC 7252 §4.8) and limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// ACK_TIMEOUT: the shortest time to wait for an acknowledgement. The endpoint adds up to half
    /// as much at random.
    pub ack_timeout: Duration,
    /// MAX_RETRANSMIT: how often a confirmable message is retransmitted before the endpoint gives
    /// up.
    pub max_retransmit: u8,
    /// NSTART: confirmable messages in flight at the same time.
    pub nstart: usize,
    /// How long the application may take until the endpoint acknowledges the request and sends the
    /// answer separately.
    pub separate_after: Duration,
    /// How long the endpoint waits for the response to an acknowledged or non-confirmable request.
    pub response_timeout: Duration,
    /// The largest block that is sent or asked for.
    pub block_size: BlockSize,
    /// The longest body, in octets, that is assembled from blocks.
    pub max_body: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            ack_timeout: Duration::from_secs(2),
            max_retransmit: 4,
            nstart: 1,
            separate_after: Duration::from_millis(500),
            response_timeout: Duration::from_secs(93),
            block_size: BlockSize::MAX,
            max_body: 16 << 10,
        }
    }
}
