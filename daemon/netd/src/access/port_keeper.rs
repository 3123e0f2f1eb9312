//! The keeper of a controlled port: a process beside netd that may change the packet filter, and does nothing else.
//!
//! netd starts it before it gives its own rights up, and says a word of one octet on its standard input, which is a
//! socket. Each is answered by itself once it is so, and by [`REFUSED`] where it isn't. The port is closed at the start,
//! and again when netd is gone, however it went. The words are all that netd can say: the rules' text is fixed, and the
//! interface comes from the command line.
//!
//! As long as netd is there, the rules are put back when somebody takes them away: firewalls begin with `flush ruleset`.

use std::{
    fmt,
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use softsim_sandbox::{
    landlock::{self, PathAccess, PathRule},
    netfilter::{News, TableMonitor},
    poll,
    process::{self, Capability},
};

/// The first argument of the process.
pub const SUBCOMMAND: &str = "port-keeper";

/// The answer where the packet filter refused.
pub const REFUSED: u8 = b'!';

/// Where Debian and others have the program.
const NFT: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

/// What the program and its libraries are read from.
const PROGRAMS: [&str; 7] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/etc",
    "/nix/store",
];

/// After the rules were put back: whoever takes them away again and again doesn't keep us busy.
const REST: Duration = Duration::from_millis(20);

/// Between two attempts where the packet filter refuses.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a port is tried to be closed whose netd is gone.
const LAST_ATTEMPTS: usize = 10;

/// How often the rules are written where somebody changes them at the same moment.
const ATTEMPTS: usize = 8;

/// What netd can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Let everything pass.
    Open,
    /// Let EAPOL pass.
    Close,
    /// Take the rules away, and end.
    Leave,
}

impl Word {
    /// On the socket.
    pub fn octet(self) -> u8 {
        match self {
            Self::Open => b'o',
            Self::Close => b'c',
            Self::Leave => b'l',
        }
    }

    fn of(octet: u8) -> Option<Self> {
        [Self::Open, Self::Close, Self::Leave]
            .into_iter()
            .find(|word| word.octet() == octet)
    }
}

/// The name of an interface that may stand in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface(String);

impl Interface {
    /// Takes 1 to 15 letters, digits, dots, hyphens and underscores.
    pub fn new(name: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let valid = (1..=15).contains(&name.len()) && name.chars().all(plain);
        (valid && ![".", ".."].contains(&name)).then(|| Self(name.into()))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The name of its table, in which a dot or a hyphen would need quotes.
    fn table(&self) -> String {
        let octets = self.0.bytes().map(|octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(octet).to_string(),
            other => format!("_{other:02x}"),
        });
        format!("softsim_port_{}", octets.collect::<String>())
    }

    /// The whole rule set: EAPOL passes in both directions, and so does the rest where `open`. One transaction, in which
    /// nothing passes that neither the old nor the new rules let through.
    fn rules(&self, open: bool) -> String {
        let (table, interface) = (self.table(), &self.0);
        let policy = if open { "accept" } else { "drop" };
        let mut text = format!("add table netdev {table}\n");
        for hook in ["ingress", "egress"] {
            text.push_str(&format!(
                "add chain netdev {table} {hook} {{ type filter hook {hook} device \"{interface}\" priority -500; policy {policy}; }}\n\
                 flush chain netdev {table} {hook}\n\
                 add rule netdev {table} {hook} ether type 0x888e accept\n"
            ));
        }
        text
    }

    fn no_rules(&self) -> String {
        let table = self.table();
        format!("add table netdev {table}\ndelete table netdev {table}\n")
    }
}

/// Why there is no keeper.
#[derive(Debug)]
pub enum Error {
    /// Its command line or its standard input is not what netd gives it.
    Usage(&'static str),
    /// It can't give up what it doesn't need.
    Confinement(String),
    /// The packet filter can't be changed.
    Filter(io::Error),
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(expected) => write!(f, "port-keeper: expected {expected}"),
            Self::Confinement(reason) => write!(f, "port-keeper: {reason}"),
            Self::Filter(error) => write!(f, "port-keeper: {error}"),
        }
    }
}

/// Keeps the port of an interface until netd is gone.
pub fn run(interface: Option<&str>) -> Result<(), Error> {
    let interface = interface
        .and_then(Interface::new)
        .ok_or(Error::Usage("the name of an interface"))?;
    let socket = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(UnixStream::from)
        .map_err(|_| Error::Usage("netd's socket as standard input"))?;
    let nft = NFT
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .ok_or_else(|| Error::Filter(io::Error::other("nft is not installed")))?;
    confine().map_err(Error::Confinement)?;
    let monitor = TableMonitor::open(&interface.table()).map_err(Error::Filter)?;
    let mut keeper = Keeper {
        interface,
        nft,
        monitor,
        now: Word::Close,
        right: false,
    };
    keeper.change(Word::Close).map_err(Error::Filter)?;
    keeper.keep(&socket)
}

/// Its rights are those of the packet filter and of reading programs. A service manager's signals pass: the port is
/// closed when netd is gone, and not before.
fn confine() -> Result<(), String> {
    process::ignore_termination().map_err(|error| error.to_string())?;
    process::deny_dumps().map_err(|error| error.to_string())?;
    process::keep_capabilities(&[Capability::NetAdmin])
        .map_err(|error| format!("CAP_NET_ADMIN: {error}"))?;
    let rules: Vec<_> = PROGRAMS
        .iter()
        .map(Path::new)
        .filter(|path| path.exists())
        .map(|path| PathRule {
            path,
            access: PathAccess::Execute,
        })
        .collect();
    landlock::restrict(&rules).map_err(|error| error.to_string())?;
    Ok(())
}

struct Keeper<'a> {
    interface: Interface,
    nft: &'a Path,
    monitor: TableMonitor,
    /// What was said last that could be done.
    now: Word,
    /// Whether the rules are those, as far as is known.
    right: bool,
}

impl Keeper<'_> {
    fn keep(&mut self, mut socket: &UnixStream) -> Result<(), Error> {
        let mut answer = self.now.octet();
        loop {
            let heard = socket.write_all(&[answer]).and_then(|()| self.hear(socket));
            answer = match heard {
                Ok(Some(word)) => match self.change(word) {
                    Ok(()) if word == Word::Leave => {
                        // netd may be gone already.
                        let _ = socket.write_all(&[word.octet()]);
                        return Ok(());
                    }
                    Ok(()) => word.octet(),
                    Err(error) => {
                        log(&error);
                        REFUSED
                    }
                },
                Ok(None) => REFUSED,
                // netd is gone.
                Err(_) => return self.close_behind(),
            };
        }
    }

    /// netd's next word; an error says that netd is gone. Until the word comes, the rules stay as they are, whoever
    /// changes them.
    fn hear(&mut self, mut socket: &UnixStream) -> io::Result<Option<Word>> {
        loop {
            let mut entries = [
                poll::Entry::readable(&socket),
                poll::Entry::readable(&self.monitor),
            ];
            match self.right {
                true => poll::wait(&mut entries, None)?,
                // Whatever is told meanwhile: they are wrong already.
                false => poll::wait(&mut entries[..1], Some(PAUSE))?,
            };
            if entries[0].ready() {
                let mut octet = [0];
                socket.read_exact(&mut octet)?;
                return Ok(Word::of(octet[0]));
            }
            if !self.right || !matches!(self.monitor.news(), Ok(None)) {
                self.put_back();
            }
        }
    }

    /// Undoes what somebody did to the rules, or leaves it for the next attempt.
    fn put_back(&mut self) {
        match self.change(self.now) {
            Ok(()) => log(&"somebody changed the rules: put back"),
            Err(error) => log(&format_args!("the rules can't be put back yet: {error}")),
        }
        thread::sleep(REST);
    }

    /// Nothing stays open behind a netd that is gone, as far as that is in our power.
    fn close_behind(&mut self) -> Result<(), Error> {
        for _ in 1..LAST_ATTEMPTS {
            match self.change(Word::Close) {
                Ok(()) => return Ok(()),
                Err(error) => log(&format_args!("the port can't be closed yet: {error}")),
            }
            thread::sleep(PAUSE);
        }
        self.change(Word::Close).map_err(Error::Filter)
    }

    /// Makes it so, and so that nobody undid it meanwhile: our own change ends with a rule.
    fn change(&mut self, word: Word) -> io::Result<()> {
        self.right = false;
        for _ in 0..ATTEMPTS {
            self.monitor.news()?;
            self.write(word)?;
            if word == Word::Leave || self.monitor.news()? == Some(News::RuleAdded) {
                (self.now, self.right) = (word, true);
                return Ok(());
            }
        }
        Err(io::Error::other(
            "somebody else changes the rules all the time",
        ))
    }

    fn write(&self, word: Word) -> io::Result<()> {
        let rules = match word {
            Word::Open => self.interface.rules(true),
            Word::Close => self.interface.rules(false),
            Word::Leave => self.interface.no_rules(),
        };
        let mut child = Command::new(self.nft)
            .args(["-f", "-"])
            .env_clear()
            .stdin(Stdio::piped())
            .spawn()?;
        let written = match child.stdin.take() {
            Some(mut stdin) => stdin.write_all(rules.as_bytes()),
            None => Ok(()),
        };
        match child.wait()? {
            status if status.success() => written,
            status => Err(io::Error::other(format!("nft: {status}"))),
        }
    }
}

/// netd has our standard error, too.
fn log(what: &dyn fmt::Display) {
    eprintln!("softsim-netd port-keeper: {what}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_that_could_be_anything_else_in_a_rule_is_refused() {
        for name in [
            "",
            ".",
            "..",
            "sixteen-octets-x",
            "eth0 ",
            "eth0\"",
            "a;b",
            "a{b",
            "ä",
            "eth0\n",
            "a/b",
        ] {
            assert_eq!(Interface::new(name), None, "{name:?}");
        }
        for name in ["eth0", "enp3s0f1", "br-lan", "eth0.100", "fifteen-octets-"] {
            assert!(Interface::new(name).is_some(), "{name}");
        }
    }

    #[test]
    fn tables_of_different_interfaces_have_different_names() {
        let table = |name| Interface::new(name).unwrap().table();
        assert_eq!(table("eth0.100"), "softsim_port_eth0_2e100");
        assert_ne!(table("a-b"), table("a_b"));
        assert_ne!(table("a_2d"), table("a-"));
    }

    #[test]
    fn a_closed_port_lets_eapol_pass_and_nothing_else() {
        let rules = Interface::new("eth1").unwrap().rules(false);
        let accepted = rules.lines().filter(|line| line.contains("accept"));
        for line in accepted {
            assert!(line.ends_with("ether type 0x888e accept"), "{line}");
        }
        assert_eq!(rules.matches("policy drop").count(), 2);
        let open = Interface::new("eth1").unwrap().rules(true);
        assert_eq!(open.matches("policy accept").count(), 2);
    }
}
