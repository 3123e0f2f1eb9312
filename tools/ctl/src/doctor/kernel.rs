//! The checks of the kernel: what the daemons' confinement and the protection of keys need of it.

use std::io::ErrorKind;

use softsim_client::proto::KeyMemory;

use super::host::{Host, KEYD};
use crate::finding::Finding;

/// The least limit of locked memory with which a vault for 16 profiles is in secret memory, in
/// octets.
const LOCK_LIMIT: u64 = 640 << 10;

pub(super) fn landlock(host: &Host) -> Vec<Finding> {
    const NAME: &str = "landlock";
    vec![match &host.landlock {
        Ok(abi) => Finding::fine(NAME, format!("the kernel has ABI {abi}")),
        Err(error) => Finding::wrong(
            NAME,
            format!("the kernel refuses landlock ({error})"),
            "boot Linux 5.13 or later with landlock in lsm=; let a container's seccomp profile allow the landlock_ calls",
        ),
    }]
}

/// Whether keys can be in memfd_secret(2).
pub(super) fn secret_memory(host: &Host) -> Vec<Finding> {
    const NAME: &str = "secret memory";
    const ENABLE: &str = "boot with secretmem.enable=1, so that not even root can read the keys";
    if let Ok(keyd) = &host.keyd
        && keyd.answer.enforcement.key_memory == KeyMemory::SecretMemory
    {
        return vec![Finding::fine(NAME, "softsim-keyd uses memfd_secret")];
    }
    let enabled = host.read("/sys/module/secretmem/parameters/enable");
    vec![match enabled.as_deref() {
        Ok("Y" | "1") if host.keyd.is_ok() => Finding::amiss(
            NAME,
            "softsim-keyd doesn't use memfd_secret, although the kernel has it",
            "LimitMEMLOCK=8M in softsim-keyd's unit; let a container's seccomp profile allow memfd_secret",
        ),
        Ok("Y" | "1") => Finding::fine(NAME, "the kernel has memfd_secret"),
        Ok(_) => Finding::amiss(NAME, "memfd_secret is switched off", ENABLE),
        Err(error) if error.kind() == ErrorKind::NotFound => Finding::amiss(
            NAME,
            "the kernel has no memfd_secret",
            "boot a kernel with CONFIG_SECRETMEM (Linux 5.14 or later) and secretmem.enable=1",
        ),
        Err(error) => Finding::unexamined(NAME, format!("secretmem.enable: {error}")),
    }]
}

/// RLIMIT_MEMLOCK of keyd, or of this process if keyd doesn't run.
pub(super) fn lock_limit(host: &Host) -> Vec<Finding> {
    const NAME: &str = "lock limit";
    let (whose, process) = match host.process(KEYD) {
        Some(process) => (KEYD, process.id.to_string()),
        None => ("a process of this user", "self".into()),
    };
    let limits = match host.read(format!("/proc/{process}/limits")) {
        Ok(limits) => limits,
        Err(error) => return vec![Finding::unexamined(NAME, format!("{whose}: {error}"))],
    };
    let row = limits
        .lines()
        .find_map(|row| row.strip_prefix("Max locked memory"));
    let soft = row.and_then(|row| row.split_whitespace().next());
    vec![match soft {
        Some("unlimited") => Finding::fine(NAME, format!("{whose} may lock any memory")),
        soft => match soft.and_then(|octets| octets.parse::<u64>().ok()) {
            Some(octets) if octets >= LOCK_LIMIT => {
                Finding::fine(NAME, format!("{whose} may lock {octets} octets"))
            }
            Some(octets) => Finding::amiss(
                NAME,
                format!("{whose} may lock only {octets} octets of memory"),
                "LimitMEMLOCK=8M in softsim-keyd's unit, or --ulimit memlock=8388608:8388608 for a container",
            ),
            None => Finding::unexamined(NAME, format!("{whose}: no limit is told")),
        },
    }]
}

/// Whether a process may trace others of its user.
pub(super) fn ptrace(host: &Host) -> Vec<Finding> {
    const NAME: &str = "ptrace";
    let scope = host.read("/proc/sys/kernel/yama/ptrace_scope");
    vec![match scope.as_deref() {
        Ok("0") => Finding::amiss(
            NAME,
            "Yama lets every process trace others of its user",
            "sysctl -w kernel.yama.ptrace_scope=1, and the same in /etc/sysctl.d",
        ),
        Ok(scope) => Finding::fine(NAME, format!("Yama's ptrace_scope is {scope}")),
        Err(error) if error.kind() == ErrorKind::NotFound => Finding::fine(
            NAME,
            "the kernel has no Yama; the daemons forbid others of their user to trace them",
        ),
        Err(error) => Finding::unexamined(NAME, format!("ptrace_scope: {error}")),
    }]
}

/// Where core files go. The daemons make none, because they aren't dumpable; what they gave keys to
/// may.
pub(super) fn core_files(host: &Host) -> Vec<Finding> {
    const NAME: &str = "core files";
    vec![match host.read("/proc/sys/kernel/core_pattern") {
        Ok(pattern) => match pattern.strip_prefix('|') {
            Some(handler) => Finding::fine(
                NAME,
                format!("{handler} gets those of other programs; the daemons make none"),
            ),
            None => Finding::fine(NAME, "the daemons make none"),
        },
        Err(error) => Finding::unexamined(NAME, format!("core_pattern: {error}")),
    }]
}

pub(super) fn swap(host: &Host) -> Vec<Finding> {
    const NAME: &str = "swap";
    let table = match host.read("/proc/swaps") {
        Ok(table) => table,
        Err(error) => return vec![Finding::unexamined(NAME, format!("/proc/swaps: {error}"))],
    };
    // Each area is a line, after a line that names the columns.
    let areas = table.lines().skip(1);
    let areas: Vec<_> = areas
        .filter_map(|row| row.split_whitespace().next())
        .collect();
    let plain = match &host.keyd {
        Ok(keyd) => keyd.answer.enforcement.key_memory == KeyMemory::Plain,
        Err(_) => false,
    };
    let shown = areas.join(", ");
    vec![match (areas.is_empty(), plain) {
        (true, _) => Finding::fine(NAME, "there is none"),
        (false, false) => Finding::fine(
            NAME,
            format!("{shown}: keys of softsim-keyd never go there"),
        ),
        (false, true) => Finding::amiss(
            NAME,
            format!("keys of softsim-keyd may be swapped to {shown}"),
            "LimitMEMLOCK=8M and MemorySwapMax=0 in softsim-keyd's unit, or swapoff -a",
        ),
    }]
}

/// nf_tables, which a controlled port needs, if there is one.
pub(super) fn nf_tables(host: &Host) -> Vec<Finding> {
    const NAME: &str = "nf_tables";
    let checked = host.checked.iter();
    let mut interfaces = checked.flat_map(|checked| &checked.interfaces);
    if !interfaces.any(|interface| interface.controlled_port) {
        return Vec::new();
    }
    let is_named = |table: &str| table.contains("/nf_tables.ko");
    let release = host.read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let table = |name: &str| host.read(format!("/lib/modules/{release}/{name}"));
    vec![if host.at("/sys/module/nf_tables").is_dir() {
        Finding::fine(NAME, "the kernel has it")
    } else {
        match (
            table("modules.builtin").as_deref(),
            table("modules.dep").as_deref(),
        ) {
            (Ok(builtin), _) if is_named(builtin) => Finding::fine(NAME, "it is built in"),
            (_, Ok(modules)) if is_named(modules) => Finding::fine(NAME, "the kernel can load it"),
            (Err(_), Err(_)) => Finding::unexamined(
                NAME,
                "it isn't loaded, and no list of modules says whether it can be",
            ),
            _ => Finding::amiss(
                NAME,
                "the kernel has no nf_tables",
                "a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_NETDEV, or controlled_port = \"none\"",
            ),
        }
    }]
}
