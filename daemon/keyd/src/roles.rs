//! Which role may make which requests, and how often: the request table, narrowed by
//! `policies/roles/` at build time.

use core::ops::{Index, IndexMut};

use softsim_keyd_proto::{RequestKind, Role};

/// The policies that this program was built with.
pub const COMPILED: PerRole<RolePolicy> = PerRole(include!(concat!(env!("OUT_DIR"), "/roles.rs")));

/// What one role may do.
#[derive(Clone, Copy, Debug)]
pub struct RolePolicy {
    /// The role.
    pub role: Role,
    /// The requests that it may make. Each is in one group.
    pub groups: &'static [Group],
}

/// Requests that draw from one bucket.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// How often one uid may make any of them.
    pub rate: Rate,
    /// How often it may do so in the long run, if that is less.
    pub long: Option<Rate>,
    /// The requests.
    pub requests: &'static [RequestKind],
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The number of requests
    pub requests: u32,
    /// in this number of seconds.
    pub seconds: u32,
    /// The number of requests at once.
    pub burst: u32,
}

impl RolePolicy {
    /// The index of the group of a request; none if the role may not make it.
    pub fn group_of(&self, request: RequestKind) -> Option<usize> {
        self.groups
            .iter()
            .position(|group| group.requests.contains(&request))
    }
}

/// One value for each role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerRole<T>([T; Role::ALL.len()]);

impl<T> PerRole<T> {
    /// Makes the value of each role.
    pub fn from_fn(mut make: impl FnMut(Role) -> T) -> Self {
        Self(Role::ALL.map(&mut make))
    }
}

impl<T> Index<Role> for PerRole<T> {
    type Output = T;

    fn index(&self, role: Role) -> &T {
        &self.0[role as usize]
    }
}

impl<T> IndexMut<Role> for PerRole<T> {
    fn index_mut(&mut self, role: Role) -> &mut T {
        &mut self.0[role as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_holds_the_policy_of_its_own_role() {
        for role in Role::ALL {
            assert_eq!(COMPILED[role].role, role);
        }
    }

    #[test]
    fn policy_permits_only_what_the_table_does() {
        for role in Role::ALL {
            for request in RequestKind::ALL {
                let permitted = COMPILED[role].group_of(*request).is_some();
                assert!(
                    !permitted || request.roles().contains(&role),
                    "{role} {request}"
                );
            }
        }
    }
}
