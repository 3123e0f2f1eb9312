//! The exit statuses of all programs, as in sysexits.h. `docs/exit-statuses.md` has the same table,
//! which a test compares with this one.

/// The program has done what it was to do.
pub const DONE: u8 = 0;
/// `softsimctl status` and `doctor`: the gateway is degraded.
pub const DEGRADED: u8 = 1;
/// `softsimctl status` and `doctor`: the gateway isn't ready.
pub const NOT_READY: u8 = 2;
/// The command line is wrong.
pub const USAGE: u8 = 64;
/// A file or an answer has the wrong content.
pub const DATA: u8 = 65;
/// A file doesn't exist, or can't be read.
pub const NO_INPUT: u8 = 66;
/// A daemon or a server can't be reached.
pub const UNAVAILABLE: u8 = 69;
/// A fault inside softsim.
pub const SOFTWARE: u8 = 70;
/// The kernel refuses what the program needs.
pub const SYSTEM: u8 = 71;
/// A file or a socket can't be created.
pub const CANNOT_CREATE: u8 = 73;
/// Reading or writing failed.
pub const IO: u8 = 74;
/// It may work later.
pub const TEMPORARY: u8 = 75;
/// The peer broke the protocol.
pub const PROTOCOL: u8 = 76;
/// It was refused.
pub const REFUSED: u8 = 77;
/// The configuration, a key or the state folder can't be used as it is.
pub const CONFIGURATION: u8 = 78;
/// The reader of the output has gone. This is the status that shells show for a program that
/// SIGPIPE ended; no message is printed.
pub const READER_GONE: u8 = 141;

/// Each status, and what it means.
pub const TABLE: &[(u8, &str)] = &[
    (DONE, "done"),
    (
        DEGRADED,
        "the gateway is degraded (softsimctl status, doctor)",
    ),
    (
        NOT_READY,
        "the gateway isn't ready (softsimctl status, doctor)",
    ),
    (USAGE, "the command line is wrong"),
    (DATA, "a file or an answer has the wrong content"),
    (NO_INPUT, "a file doesn't exist or can't be read"),
    (UNAVAILABLE, "a daemon or a server can't be reached"),
    (SOFTWARE, "a fault inside softsim"),
    (SYSTEM, "the kernel refuses what the program needs"),
    (CANNOT_CREATE, "a file or a socket can't be created"),
    (IO, "reading or writing failed"),
    (TEMPORARY, "it may work later"),
    (PROTOCOL, "the peer broke the protocol"),
    (REFUSED, "it was refused"),
    (
        CONFIGURATION,
        "the configuration, a key or the state folder can't be used as it is",
    ),
    (READER_GONE, "the reader of the output has gone"),
];

/// Some rows of [`TABLE`] in lines for `--help`.
pub fn help(statuses: &[u8]) -> String {
    let rows = TABLE.iter().filter(|(status, _)| statuses.contains(status));
    rows.fold("Exit status:".into(), |text, (status, meaning)| {
        format!("{text}\n  {status:<4} {meaning}")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_document_has_the_same_table() {
        let document = include_str!("../../../docs/exit-statuses.md");
        let rows: Vec<_> = document
            .lines()
            .filter_map(|line| {
                line.strip_prefix("| ")?
                    .strip_suffix(" |")?
                    .split_once(" | ")
            })
            .filter_map(|(status, meaning)| Some((status.parse().ok()?, meaning)))
            .collect();
        assert_eq!(rows, TABLE);
    }

    #[test]
    fn each_status_is_there_once_in_order() {
        assert!(TABLE.is_sorted_by(|(before, _), (after, _)| before < after));
        assert_eq!(
            help(&[0, USAGE]),
            "Exit status:\n  0    done\n  64   the command line is wrong"
        );
    }
}
