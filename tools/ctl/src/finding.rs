//! What a check has found: whether it is as it should be, and if not, what to change.

use serde::Serialize;

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was examined, in a word or two.
    pub(crate) name: &'static str,
    /// Whether it is as it should be.
    pub(crate) state: State,
    /// What there is.
    pub(crate) found: String,
    /// What to change: a command or a setting.
    pub(crate) advice: Option<String>,
}

/// Whether what was examined is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It is.
    Fine,
    /// It couldn't be examined.
    Unexamined,
    /// It isn't, and the gateway can authenticate all the same.
    Amiss,
    /// It keeps the gateway from authenticating.
    Wrong,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Unexamined => "unexamined",
            Self::Amiss => "amiss",
            Self::Wrong => "wrong",
        }
    }
}

impl Finding {
    fn new(name: &'static str, state: State, found: impl Into<String>) -> Self {
        Self {
            name,
            state,
            found: found.into(),
            advice: None,
        }
    }

    pub(crate) fn fine(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, State::Fine, found)
    }

    /// `why` it couldn't be examined.
    pub(crate) fn unexamined(name: &'static str, why: impl Into<String>) -> Self {
        Self::new(name, State::Unexamined, why)
    }

    pub(crate) fn amiss(
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(name, State::Amiss, found).advise(advice)
    }

    pub(crate) fn wrong(
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(name, State::Wrong, found).advise(advice)
    }

    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}
