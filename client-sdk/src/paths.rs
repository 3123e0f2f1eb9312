//! The paths of the two daemons' sockets.

use std::env;
use std::path::PathBuf;

/// The directory of the sockets, unless the environment names others.
const RUNTIME_DIRECTORY: &str = "/run/softsim";

/// The sockets of the two daemons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sockets {
    /// keyd's, for administrators: `SOFTSIM_ADMIN_SOCKET`.
    pub admin: PathBuf,
    /// keyd's, for the network daemon: `SOFTSIM_NETWORK_SOCKET`.
    pub network: PathBuf,
    /// keyd's, for applications: `SOFTSIM_APP_SOCKET`.
    pub app: PathBuf,
    /// keyd's, for bridges to supplicants that need raw CK and IK, if it is enabled:
    /// `SOFTSIM_SUPPLICANT_SOCKET`.
    pub supplicant: PathBuf,
    /// netd's control socket: `SOFTSIM_NETD_SOCKET`.
    pub netd: PathBuf,
    /// netd's monitor socket, for those who only look: `SOFTSIM_NETD_MONITOR_SOCKET`.
    pub netd_monitor: PathBuf,
}

impl Sockets {
    /// The sockets that the environment names, and those under `/run/softsim` for the rest.
    pub fn from_env() -> Self {
        Self::from_variables(|name| env::var_os(name).map(PathBuf::from))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let socket = |name: &str, file: &str| {
            variable(name)
                .filter(|path| !path.as_os_str().is_empty())
                .unwrap_or_else(|| PathBuf::from(RUNTIME_DIRECTORY).join(file))
        };
        Self {
            admin: socket("SOFTSIM_ADMIN_SOCKET", "admin.sock"),
            network: socket("SOFTSIM_NETWORK_SOCKET", "network.sock"),
            app: socket("SOFTSIM_APP_SOCKET", "app.sock"),
            supplicant: socket("SOFTSIM_SUPPLICANT_SOCKET", "supplicant.sock"),
            netd: socket("SOFTSIM_NETD_SOCKET", "netd.sock"),
            netd_monitor: socket("SOFTSIM_NETD_MONITOR_SOCKET", "netd-monitor.sock"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_a_socket_and_an_empty_variable_does_not() {
        let sockets = Sockets::from_variables(|name| match name {
            "SOFTSIM_APP_SOCKET" => Some("/tmp/lab/app.sock".into()),
            "SOFTSIM_NETD_SOCKET" => Some("".into()),
            _ => None,
        });
        assert_eq!(sockets.app, PathBuf::from("/tmp/lab/app.sock"));
        assert_eq!(sockets.netd, PathBuf::from("/run/softsim/netd.sock"));
        assert_eq!(sockets.admin, PathBuf::from("/run/softsim/admin.sock"));
    }
}
