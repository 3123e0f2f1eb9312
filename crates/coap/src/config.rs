//! Transmission parameters and limits.

use std::time::Duration;

use crate::block::BlockSize;

/// How long a message id must not be used again, and so how long a half-finished exchange is kept
/// (RFC 7252 §4.8.2).
pub const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);

/// Transmission parameters (RFC 7252 §4.8) and limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// ACK_TIMEOUT: the least time to wait for an acknowledgement; up to half as much is added at
    /// random.
    pub ack_timeout: Duration,
    /// MAX_RETRANSMIT: repetitions before a confirmable message is given up.
    pub max_retransmit: u8,
    /// NSTART: confirmable messages in flight at the same time.
    pub nstart: usize,
    /// How long the application may think before its answer is no longer piggybacked on the
    /// acknowledgement.
    pub separate_after: Duration,
    /// How long an acknowledged, or non-confirmable, request waits for its response.
    pub response_timeout: Duration,
    /// The largest block that is sent or asked for.
    pub block_size: BlockSize,
    /// The longest body, in octets, that is put together from blocks.
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
