//! What keyd tells about itself: to everybody, and nothing secret.

use softsim_keyd_proto::requests::{Hello, ListProfiles, Status};
use softsim_keyd_proto::{
    HelloAnswer, MAX_ANSWER, MAX_HANDLES, MAX_REQUEST, PROTOCOL_VERSION, ProfileInfo, ProfileState,
    ProfilesAnswer, Refusal, Role, StatusAnswer,
};
use softsim_sandbox::log;

use crate::args::MAX_CAPACITY;
use crate::keyd::{Client, Keyd};
use crate::vault::Storage;

/// A profile in an answer: lengths, 20 digits of ICCID, state and the name of the algorithm.
const LONGEST_PROFILE_INFO: usize = 1 + 20 + 1 + 1 + 8;
/// What else there is in the answer to Status, generously.
const REST_OF_STATUS: usize = 512;

const _: () = assert!(
    MAX_CAPACITY as usize * LONGEST_PROFILE_INFO + REST_OF_STATUS <= MAX_ANSWER,
    "an answer holds all the profiles there may be"
);

impl<S: Storage> Keyd<S> {
    pub(crate) fn hello(
        &mut self,
        client: &mut Client,
        request: Hello,
    ) -> Result<HelloAnswer, Refusal> {
        if request.version != PROTOCOL_VERSION {
            return Err(Refusal::Version {
                expected: PROTOCOL_VERSION,
                came: request.version,
            });
        }
        Ok(HelloAnswer {
            version: PROTOCOL_VERSION,
            role: client.role,
            max_request: MAX_REQUEST as u32,
            max_handles: MAX_HANDLES as u8,
        })
    }

    pub(crate) fn status(&mut self, _: Status) -> Result<StatusAnswer, Refusal> {
        let mut counters = self.counters;
        counters.log_lines_dropped = log::dropped();
        Ok(StatusAnswer {
            enforcement: self.service.enforcement,
            device_id: self.keys.as_ref().map(|keys| keys.device_id.0),
            sealing_key_id: self.keys.as_ref().map(|keys| keys.sealing_key_id.0),
            certified: self.vault.certificate().is_some(),
            trust_anchors: self.vault.trust_anchors().len() as u8,
            profiles: self.profile_infos(),
            capacity: self.vault.capacity(),
            committed: self.committed[Role::Network],
            counters,
        })
    }

    pub(crate) fn list_profiles(&mut self, _: ListProfiles) -> Result<ProfilesAnswer, Refusal> {
        Ok(ProfilesAnswer {
            profiles: self.profile_infos(),
        })
    }

    fn profile_infos(&self) -> Vec<ProfileInfo> {
        self.vault
            .profiles()
            .map(|(_, stored)| ProfileInfo {
                iccid: stored.profile.iccid.as_str().to_owned(),
                state: if stored.enabled {
                    ProfileState::Enabled
                } else {
                    ProfileState::Disabled
                },
                algorithm: stored.profile.algorithm.name().to_owned(),
            })
            .collect()
    }
}
