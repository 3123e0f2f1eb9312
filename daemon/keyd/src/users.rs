//! The users of each role, as the command line names them, and the checks that the kernel can tell
//! them apart.

use softsim_keyd_proto::Role;
use softsim_sandbox::peer::{Membership, Overflow};

use crate::args::Settings;
use crate::roles::PerRole;

/// Who may connect in each role.
#[derive(Debug, Default)]
pub struct Users {
    /// The users by uid.
    pub uids: PerRole<Vec<u32>>,
    /// The groups whose members may connect, too, by gid.
    pub groups: PerRole<Vec<u32>>,
    /// Whether an administrator may have another role.
    pub same_user: bool,
    /// The ids that stand for everybody who has no number here, if there are such ids.
    pub overflow: Option<Overflow>,
}

/// Why a role admits a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It names the user.
    ByName,
    /// It names one of the user's groups.
    ByGroup,
}

/// Why a role doesn't admit a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// It names neither the user nor a group of it, or the user is an administrator.
    NotNamed,
    /// The user is in too many groups to see which.
    TooManyGroups,
    /// The uid stands for every user that has no number here.
    Hidden,
}

impl Users {
    /// Whether the role admits a user. `is_in` says whether the user is in one of some groups.
    pub(crate) fn admit(
        &self,
        role: Role,
        uid: u32,
        is_in: impl Fn(&[u32]) -> Membership,
    ) -> Result<Admitted, Stranger> {
        if self.overflow.is_some_and(|overflow| overflow.uid == uid) {
            return Err(Stranger::Hidden);
        }
        let named = self.uids[role].contains(&uid);
        let one_role = role != Role::Admin && !self.same_user;
        if one_role && is_in(&self.groups[Role::Admin]) == Membership::Member {
            return Err(Stranger::NotNamed);
        }
        if named {
            return Ok(Admitted::ByName);
        }
        if one_role && self.uids[Role::Admin].contains(&uid) {
            return Err(Stranger::NotNamed);
        }
        match is_in(&self.groups[role]) {
            Membership::Member => Ok(Admitted::ByGroup),
            Membership::Stranger => Err(Stranger::NotNamed),
            Membership::TooManyGroups => Err(Stranger::TooManyGroups),
        }
    }

    /// Whether the role admits nobody.
    pub(crate) fn admit_nobody(&self, role: Role) -> bool {
        self.uids[role].is_empty() && self.groups[role].is_empty()
    }

    /// Whether a user may have the role app, for all that is known before the user connects.
    fn may_be_application(&self, uid: u32) -> bool {
        let by_group = !self.groups[Role::App].is_empty();
        let administers = self.uids[Role::Admin].contains(&uid) && !self.same_user;
        self.uids[Role::App].contains(&uid) || by_group && !administers
    }
}

/// Why keyd refuses these settings.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsersError {
    /// The id stands for every user or group that this user namespace has no number for.
    #[error(
        "the role {role}: expected {what}s that the kernel can tell apart, got {id}, which stands for all \
         that have no number here"
    )]
    Overflow {
        role: Role,
        what: &'static str,
        id: u32,
    },
    /// A user or group of the role also administers.
    #[error(
        "the role {role}: expected a {what} that doesn't administer (root, keyd's own user, --admin-user, \
         --admin-group), got {id}; --same-user allows it"
    )]
    Administers {
        role: Role,
        what: &'static str,
        id: u32,
    },
    /// `--app-af` names a user that can't have the role app.
    #[error(
        "--app-af: expected a user of --app-user, or with --app-group one that isn't an administrator, got {uid}"
    )]
    NoApplication { uid: u32 },
}

/// The users of each role. Root and keyd's own user are administrators. Another role admits only
/// users and groups that are named for it, and keyd's own user with `--same-user`.
pub(crate) fn of(
    settings: &Settings,
    keyds_uid: u32,
    overflow: Overflow,
) -> Result<Users, UsersError> {
    let uids = PerRole::from_fn(|role| {
        let mut uids = settings.users[role].clone();
        match role {
            Role::Admin => uids.extend([keyds_uid, 0]),
            _ if settings.same_user && uids.is_empty() && settings.groups[role].is_empty() => {
                uids.push(keyds_uid);
            }
            _ => {}
        }
        uids.sort_unstable();
        uids.dedup();
        uids
    });
    let users = Users {
        uids,
        groups: settings.groups.clone(),
        same_user: settings.same_user,
        overflow: Some(overflow),
    };
    check(&users.uids, "user", overflow.uid, users.same_user)?;
    check(&users.groups, "group", overflow.gid, users.same_user)?;
    let no_application = |(uid, _): &&(u32, String)| !users.may_be_application(*uid);
    match settings.afs.iter().find(no_application) {
        Some(&(uid, _)) => Err(UsersError::NoApplication { uid }),
        None => Ok(users),
    }
}

/// Checks the users or the groups of all roles.
fn check(
    ids: &PerRole<Vec<u32>>,
    what: &'static str,
    overflow: u32,
    same_user: bool,
) -> Result<(), UsersError> {
    for role in Role::ALL {
        for &id in &ids[role] {
            if id == overflow {
                return Err(UsersError::Overflow { role, what, id });
            }
            let administers = role != Role::Admin && ids[Role::Admin].contains(&id);
            if administers && !same_user {
                return Err(UsersError::Administers { role, what, id });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use crate::args::{Task, parse};

    const KEYDS_UID: u32 = 990;
    const OVERFLOW: Overflow = Overflow {
        uid: 65534,
        gid: 65533,
    };

    fn users(flags: &str) -> Result<Users, UsersError> {
        let line = format!("--state s --development-key {flags}");
        match parse(line.split_whitespace().map(str::as_bytes)) {
            Ok(Task::Run(settings)) => of(&settings, KEYDS_UID, OVERFLOW),
            other => panic!("{line}: {other:?}"),
        }
    }

    /// The answer to a user in these groups.
    fn admit(users: &Users, role: Role, uid: u32, own: &[u32]) -> Result<Admitted, Stranger> {
        users.admit(role, uid, |groups| {
            match own.iter().any(|group| groups.contains(group)) {
                true => Membership::Member,
                false => Membership::Stranger,
            }
        })
    }

    #[test]
    fn role_without_users_admits_nobody_and_admin_admits_root_and_keyds_user() {
        let users = users("--network-user 991 --admin-user 1000").unwrap();
        assert_eq!(users.uids[Role::Network], [991]);
        assert_eq!(users.uids[Role::Admin], [0, KEYDS_UID, 1000]);
        assert!(users.admit_nobody(Role::App) && users.admit_nobody(Role::Supplicant));
    }

    #[test]
    fn administrator_has_no_other_role_unless_same_user_is_given() {
        for role in [Role::Network, Role::App, Role::Supplicant] {
            for id in [0, KEYDS_UID, 1000] {
                let flags = format!("--admin-user 1000 --{role}-user 1001 --{role}-user {id}");
                let what = "user";
                let refused = UsersError::Administers { role, what, id };
                assert_eq!(users(&flags).unwrap_err(), refused);
                assert!(users(&format!("{flags} --same-user")).is_ok());
            }
            let flags = format!("--admin-group 7 --{role}-group 7");
            let (what, id) = ("group", 7);
            let refused = UsersError::Administers { role, what, id };
            assert_eq!(users(&flags).unwrap_err(), refused);
            assert!(users(&format!("{flags} --same-user")).is_ok());
        }
        let all = users("--same-user --app-user 1000 --supplicant-group 7").unwrap();
        assert_eq!(all.uids[Role::Network], [KEYDS_UID]);
        assert_eq!(all.uids[Role::App], [1000]);
        assert!(all.uids[Role::Supplicant].is_empty());
    }

    #[test]
    fn overflow_id_has_no_role() {
        for role in Role::ALL {
            for (what, id) in [("user", OVERFLOW.uid), ("group", OVERFLOW.gid)] {
                let refused = UsersError::Overflow { role, what, id };
                let flags = format!("--{role}-{what} {id} --same-user");
                assert_eq!(users(&flags).unwrap_err(), refused);
            }
            let users = users(&format!("--{role}-group 7 --same-user")).unwrap();
            let hidden = admit(&users, role, OVERFLOW.uid, &[7]);
            assert_eq!(hidden, Err(Stranger::Hidden));
        }
    }

    #[test]
    fn member_of_a_group_has_the_role_unless_an_administrator() {
        let flags = "--admin-user 1000 --admin-group 6 --app-user 1001 --app-group 7 --app-group 8";
        let apart = users(flags).unwrap();
        for (uid, groups, answer) in [
            (1001, &[][..], Ok(Admitted::ByName)),
            (2000, &[9, 8], Ok(Admitted::ByGroup)),
            (2000, &[9], Err(Stranger::NotNamed)),
            (0, &[7], Err(Stranger::NotNamed)),
            (KEYDS_UID, &[7], Err(Stranger::NotNamed)),
            (1000, &[7], Err(Stranger::NotNamed)),
            (1001, &[6], Err(Stranger::NotNamed)),
            (2000, &[6, 7], Err(Stranger::NotNamed)),
        ] {
            assert_eq!(
                admit(&apart, Role::App, uid, groups),
                answer,
                "{uid} {groups:?}"
            );
            let other = admit(&apart, Role::Network, uid, groups);
            assert_eq!(other, Err(Stranger::NotNamed));
        }
        assert_eq!(
            admit(&apart, Role::Admin, 2000, &[6]),
            Ok(Admitted::ByGroup)
        );
        let same = users(&format!("{flags} --same-user")).unwrap();
        for (uid, groups) in [(0, &[7][..]), (1000, &[7]), (2000, &[6, 7])] {
            let answer = admit(&same, Role::App, uid, groups);
            assert_eq!(answer, Ok(Admitted::ByGroup), "{uid} {groups:?}");
        }
    }

    #[test]
    fn user_in_more_groups_than_are_seen_is_in_none() {
        let users = users("--admin-group 6 --app-user 1001 --app-group 7").unwrap();
        let admit = |uid| users.admit(Role::App, uid, |_| Membership::TooManyGroups);
        assert_eq!(admit(2000), Err(Stranger::TooManyGroups));
        assert_eq!(admit(1001), Ok(Admitted::ByName));
    }

    #[test]
    fn keys_of_application_functions_are_for_users_of_the_role_app() {
        let flags = "--app-user 1000 --app-af 1000=af.example --app-af 1001=af.example";
        let refused = UsersError::NoApplication { uid: 1001 };
        assert_eq!(users(flags).unwrap_err(), refused);
        assert!(users(&format!("{flags} --app-user 1001")).is_ok());
        // Whether it is a member shows when it connects.
        assert!(users(&format!("{flags} --app-group 7")).is_ok());
        let refused = UsersError::NoApplication { uid: 0 };
        let root = "--app-group 7 --app-af 0=af.example";
        assert_eq!(users(root).unwrap_err(), refused);
        assert!(users(&format!("{root} --same-user")).is_ok());
    }
}
