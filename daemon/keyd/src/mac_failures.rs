//! How often MAC-A of an AUTN was wrong, by profile, since keyd started: a wrong K or OPc shows
//! here.

use crate::vault::Installation;

/// The number of profiles that are counted: those that failed last.
const PROFILES: usize = 64;

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct MacFailures(Vec<(Installation, u32)>);

impl MacFailures {
    /// Counts one of this installation.
    pub(crate) fn add(&mut self, of: Installation) {
        let times = self.times(of).saturating_add(1);
        self.0.retain(|(counted, _)| *counted != of);
        if self.0.len() == PROFILES {
            self.0.remove(0);
        }
        self.0.push((of, times));
    }

    /// How many there were of this installation.
    pub(crate) fn times(&self, of: Installation) -> u32 {
        let mut counted = self.0.iter();
        let found = counted.find(|(counted, _)| *counted == of);
        found.map_or(0, |(_, times)| *times)
    }
}
