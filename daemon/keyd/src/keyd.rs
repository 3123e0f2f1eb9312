//! The state of the key process: the vault, and the state that it keeps only while it runs.

use core::fmt;
use core::time::Duration;

use softsim_keyd_proto::{Counters, Enforcement, Role};
use softsim_sandbox::peer::Membership;

use crate::akma::Anchored;
use crate::device::Keys;
use crate::eap::Sessions;
use crate::mac_failures::MacFailures;
use crate::patience::{Refusals, Wait};
use crate::provision::Provisioning;
use crate::rates::Rates;
use crate::refusal::refusal_of;
use crate::roles::{PerRole, RolePolicy};
use crate::sim::Sim;
use crate::transactions::Transactions;
use crate::users::{Admitted, Stranger, Users};
use crate::vault::{Installation, Vault};

/// The settings of the key process.
#[derive(Debug)]
pub struct Service {
    /// What is enforced, for `Status`.
    pub enforcement: Enforcement,
    /// What each role may do: [`crate::roles::COMPILED`], except in tests.
    pub policies: PerRole<RolePolicy>,
    /// Who may connect.
    pub users: Users,
    /// The application functions whose keys a user may have: uid and domain name.
    pub afs: Vec<(u32, String)>,
    /// The clock for validity, which gives the time since 1970.
    pub realtime: fn() -> Duration,
}

/// The key process without its sockets.
///
/// [`Keyd::serve`] answers a request. The answer may leave when the next [`Keyd::flush`] has
/// returned.
pub struct Keyd {
    pub(crate) vault: Vault,
    pub(crate) keys: Option<Keys>,
    pub(crate) transactions: Transactions,
    /// The keys of the last primary authentication with a 5G core.
    pub(crate) anchored: Option<Anchored>,
    pub(crate) counters: Counters,
    pub(crate) mac_failures: MacFailures,
    /// The installation that was enabled after the last request that could change that.
    pub(crate) subscriber: Option<Installation>,
    /// How often what [`softsim_keyd_proto::requests::Wait`] tells has changed, from 1 on.
    pub(crate) changes: u64,
    /// The wait before the permanent identity is shown.
    pub(crate) wait: Wait,
    /// The time of the present request, by the boot clock.
    pub(crate) now: Duration,
    pub(crate) rates: Rates,
    pub(crate) service: Service,
}

/// One connection: its role and user, what its network has refused, and its sessions, which are
/// wiped when it ends.
#[derive(Debug)]
pub struct Client {
    pub(crate) role: Role,
    pub(crate) uid: u32,
    pub(crate) admitted: Admitted,
    pub(crate) sessions: Sessions,
    pub(crate) refusals: Refusals,
    /// The number of changes that it has seen, while it waits for another one.
    pub(crate) waits: Option<u64>,
    /// Whether its Hello was refused.
    pub(crate) over: bool,
}

impl Client {
    /// The role of its socket.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether its Hello was refused, so that the connection must end.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether it waits for a change. Until [`Keyd::tell`] has answered it, no other request of it
    /// may be served.
    pub fn is_waiting(&self) -> bool {
        self.waits.is_some()
    }

    /// The user it runs as.
    pub fn uid(&self) -> u32 {
        self.uid
    }
}

/// The vault couldn't be written. No answer of this pass may leave, and the process must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the vault can't be written")]
pub struct StorageFailed;

impl Keyd {
    /// Serves an opened vault.
    pub fn new(vault: Vault, service: Service) -> Self {
        Self {
            keys: vault.device_keys().map(Keys::from_stored),
            rates: Rates::new(&service.policies, &service.users.uids),
            transactions: Transactions::after(vault.last_transaction()),
            anchored: None,
            counters: Counters::default(),
            mac_failures: MacFailures::default(),
            subscriber: enabled(&vault),
            changes: 1,
            wait: Wait::default(),
            now: Duration::ZERO,
            vault,
            service,
        }
    }

    /// Accepts a new connection of a user without groups; none if the role doesn't name the uid.
    pub fn connect(&self, role: Role, uid: u32) -> Option<Client> {
        self.accept(role, uid, |_| Membership::Stranger).ok()
    }

    /// Accepts a new connection, if the role admits the user. `is_in` says whether the user is in
    /// one of some groups.
    pub(crate) fn accept(
        &self,
        role: Role,
        uid: u32,
        is_in: impl Fn(&[u32]) -> Membership,
    ) -> Result<Client, Stranger> {
        Ok(Client {
            role,
            uid,
            admitted: self.service.users.admit(role, uid, is_in)?,
            sessions: Sessions::default(),
            refusals: Refusals::default(),
            waits: None,
            over: false,
        })
    }

    /// Borrows the part of keyd that a request needs to identify the subscriber or to authenticate,
    /// with the refusals of its connection.
    pub(crate) fn sim<'a>(&'a mut self, refusals: &'a mut Refusals) -> Sim<'a> {
        Sim {
            vault: &mut self.vault,
            counters: &mut self.counters,
            mac_failures: &mut self.mac_failures,
            enforcement: &self.service.enforcement,
            refusals,
            wait: &mut self.wait,
            now: self.now,
        }
    }

    /// Borrows the part of keyd that a request needs to provision.
    pub(crate) fn provisioning(&mut self) -> Provisioning<'_> {
        Provisioning {
            vault: &mut self.vault,
            keys: &mut self.keys,
            transactions: &mut self.transactions,
            anchored: &mut self.anchored,
            counters: &mut self.counters,
            enforcement: &self.service.enforcement,
            realtime: self.service.realtime,
        }
    }

    /// Counts a change of the enabled profile, so that netd notices it.
    pub(crate) fn count_subscriber_change(&mut self) {
        let enabled = enabled(&self.vault);
        if enabled != self.subscriber {
            self.subscriber = enabled;
            self.counters.subscriber_changes += 1;
        }
    }

    /// Makes the changes of a pass durable, with at most one sync.
    ///
    /// # Errors
    /// The storage failed, now or during a request of this pass.
    pub fn flush(&mut self) -> Result<(), StorageFailed> {
        match self.vault.flush().map_err(refusal_of) {
            Ok(()) if !self.vault.has_failed() => Ok(()),
            _ => Err(StorageFailed),
        }
    }
}

fn enabled(vault: &Vault) -> Option<Installation> {
    vault.installation(vault.enabled()?)
}

impl fmt::Debug for Keyd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyd")
            .field("service", &self.service)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
