//! The users of each role, as the command line names them, and the checks that the kernel can tell
//! them apart.

use softsim_keyd_proto::Role;

use crate::args::Settings;
use crate::roles::PerRole;

/// Why keyd refuses these settings.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsersError {
    /// The uid stands for every user that this user namespace has no number for.
    #[error(
        "the role {role}: expected users that the kernel can tell apart, got {uid}, which stands for all \
         that have no number here"
    )]
    Overflow { role: Role, uid: u32 },
    /// A user of the role is also an administrator.
    #[error(
        "the role {role}: expected a user that is not an administrator (root, keyd's own, --admin-uid), got {uid}; \
         --same-user allows it"
    )]
    Administers { role: Role, uid: u32 },
    /// `--app-af` names a user that isn't of the role app.
    #[error("--app-af: expected a user of --app-uid, got {uid}")]
    NoApplication { uid: u32 },
}

/// The users of each role. Root and keyd's own user are administrators. Another role admits only
/// users that are named for it, and keyd's own user with `--same-user`.
pub(crate) fn of(
    settings: &Settings,
    keyds_uid: u32,
    overflow_uid: u32,
) -> Result<PerRole<Vec<u32>>, UsersError> {
    let users = PerRole::from_fn(|role| {
        let mut uids = settings.uids[role].clone();
        match role {
            Role::Admin => uids.extend([keyds_uid, 0]),
            _ if settings.same_user && uids.is_empty() => uids.push(keyds_uid),
            _ => {}
        }
        uids.sort_unstable();
        uids.dedup();
        uids
    });
    for role in Role::ALL {
        for &uid in &users[role] {
            if uid == overflow_uid {
                return Err(UsersError::Overflow { role, uid });
            }
            let administers = role != Role::Admin && users[Role::Admin].contains(&uid);
            if administers && !settings.same_user {
                return Err(UsersError::Administers { role, uid });
            }
        }
    }
    let not_an_application = |(uid, _): &&(u32, String)| !users[Role::App].contains(uid);
    match settings.afs.iter().find(not_an_application) {
        Some(&(uid, _)) => Err(UsersError::NoApplication { uid }),
        None => Ok(users),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use crate::args::{Task, parse};

    const KEYDS_UID: u32 = 990;
    const OVERFLOW_UID: u32 = 65534;

    fn users(flags: &str) -> Result<PerRole<Vec<u32>>, UsersError> {
        let line = format!("--state s --development-key {flags}");
        match parse(line.split_whitespace().map(str::as_bytes)) {
            Ok(Task::Run(settings)) => of(&settings, KEYDS_UID, OVERFLOW_UID),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn role_without_users_admits_nobody_and_admin_admits_root_and_keyds_user() {
        let users = users("--network-uid 991 --admin-uid 1000").unwrap();
        assert_eq!(users[Role::Network], [991]);
        assert_eq!(users[Role::Admin], [0, KEYDS_UID, 1000]);
        assert!(users[Role::App].is_empty() && users[Role::Supplicant].is_empty());
    }

    #[test]
    fn administrator_has_no_other_role_unless_same_user_is_given() {
        for role in [Role::Network, Role::App, Role::Supplicant] {
            for uid in [0, KEYDS_UID, 1000] {
                let flags = format!("--admin-uid 1000 --{role}-uid 1001 --{role}-uid {uid}");
                let refused = UsersError::Administers { role, uid };
                assert_eq!(users(&flags).unwrap_err(), refused);
                assert!(users(&format!("{flags} --same-user")).is_ok());
            }
        }
        let all = users("--same-user --app-uid 1000").unwrap();
        assert_eq!(
            (&*all[Role::Network], &*all[Role::App]),
            (&[KEYDS_UID][..], &[1000][..])
        );
    }

    #[test]
    fn overflow_uid_has_no_role() {
        for role in Role::ALL {
            let refused = UsersError::Overflow {
                role,
                uid: OVERFLOW_UID,
            };
            let flags = format!("--{role}-uid {OVERFLOW_UID} --same-user");
            assert_eq!(users(&flags).unwrap_err(), refused);
        }
    }

    #[test]
    fn keys_of_application_functions_are_for_users_of_the_role_app() {
        let flags = "--app-uid 1000 --app-af 1000=af.example --app-af 1001=af.example";
        let refused = UsersError::NoApplication { uid: 1001 };
        assert_eq!(users(flags).unwrap_err(), refused);
        assert!(users(&format!("{flags} --app-uid 1001")).is_ok());
    }
}
