//! What [`super::Command::Events`] reports.

use serde::{Deserialize, Serialize};

use super::{Access, Direction, Management};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When, in milliseconds since 1970 by the host's clock.
    pub time: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened. A client gets the present states first, as if they were new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "a client holds one at a time")]
pub enum What {
    /// An access has this state now.
    Access {
        /// Its present state.
        access: Access,
    },
    /// A message of an access passed, as in [`super::Event::Message`].
    Message {
        /// The name of the access.
        access: String,
        /// The direction, seen from the gateway.
        direction: Direction,
        /// The message and its attributes.
        text: String,
        /// What became of it, if that is unusual, or the words in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remark: Option<String>,
    },
    /// netd has a connection to keyd, or has lost it.
    Keyd {
        /// Why there is none.
        lost: Option<String>,
    },
    /// A bootstrap or a registration has begun, succeeded, failed or ended.
    Management {
        /// The present state.
        management: Management,
    },
    /// Other accounts are in use, or netd can't use those that it found.
    Accounts {
        /// Their transaction, in hexadecimal; none without accounts.
        transaction: Option<String>,
        /// Why netd doesn't use those that it found when it started.
        fault: Option<String>,
    },
    /// netd has read its configuration again.
    Reload {
        /// Why the configuration in force stays, if so.
        fault: Option<String>,
    },
    /// The client didn't keep up.
    Missed {
        /// The number of events that it doesn't get.
        events: u64,
    },
}
