//! The packet filter nf_tables over netlink: writes tables in one transaction, lists the tables,
//! and notices when somebody else changes one.

mod abi;

use std::os::fd::{AsFd, BorrowedFd};
use std::{fmt, io};

use crate::netlink::{LONGEST, Message, Messages, Netlink, attributes, messages, text_of};

/// The families of tables that a port's rules are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// ARP.
    Arp,
    /// Frames of one interface, before and after everything else.
    Netdev,
    /// Frames that a bridge forwards.
    Bridge,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "inet",
            Self::Arp => "arp",
            Self::Netdev => "netdev",
            Self::Bridge => "bridge",
        })
    }
}

/// A base chain of the type filter. It accepts packets that match no rule, unless `drops` is set.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// Its name.
    pub name: &'a str,
    /// The hook's number in its family.
    pub hook: libc::c_int,
    /// The priority, which determines the order of the chains of a hook.
    pub priority: libc::c_int,
    /// The interface, in the family netdev.
    pub device: Option<&'a [u8]>,
    /// Whether it drops packets that match no rule.
    pub drops: bool,
}

/// A condition of a rule.
#[derive(Clone, Copy, Debug)]
pub enum Condition {
    /// The interface is an Ethernet interface (of Netdev chains only).
    Ethernet,
    /// The packet came in by the interface with this index.
    From(u32),
    /// The packet leaves by the interface with this index.
    To(u32),
    /// Two octets of the frame have a value. If the kernel has removed an 802.1Q tag, the offsets
    /// count as if the tag were still there.
    Octets {
        /// Their offset from the Ethernet header.
        offset: libc::c_int,
        /// The bits that are compared.
        mask: u16,
        /// The value of those bits.
        value: u16,
    },
}

/// The verdict on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet passes.
    Accept,
    /// The packet is dropped.
    Drop,
}

/// The size of a transaction in octets, up to which it allocates nothing after the start.
const CAPACITY: usize = 32 << 10;

/// A transaction, which takes effect completely or not at all.
#[derive(Debug)]
pub struct Transaction {
    messages: Messages,
    expected: usize,
}

impl Default for Transaction {
    fn default() -> Transaction {
        let mut transaction = Transaction {
            messages: Messages::with_capacity(CAPACITY),
            expected: 0,
        };
        transaction.begin();
        transaction
    }
}

impl Transaction {
    /// Clears it, and begins a new transaction.
    pub fn begin(&mut self) {
        self.messages.clear();
        self.expected = 0;
        self.boundary(libc::NFNL_MSG_BATCH_BEGIN);
    }

    /// Whether it is nearly full, and would soon have to allocate.
    pub fn is_long(&self) -> bool {
        self.messages.octets().len() > CAPACITY / 2
    }

    /// Adds a table, which may exist already.
    pub fn add_table(&mut self, family: Family, table: impl AsRef<[u8]>) {
        self.add(libc::NFT_MSG_NEWTABLE, CREATE, family, |message| {
            message.text(abi::NFTA_TABLE_NAME, table);
        });
    }

    /// Removes a table, which need not exist.
    pub fn remove_table(&mut self, family: Family, table: impl AsRef<[u8]>) {
        let table = table.as_ref();
        // The kernel refuses to remove a table that doesn't exist.
        self.add_table(family, table);
        self.add(libc::NFT_MSG_DELTABLE, 0, family, |message| {
            message.text(abi::NFTA_TABLE_NAME, table);
        });
    }

    /// Adds a chain to a table.
    pub fn add_chain(&mut self, family: Family, table: &str, chain: &Chain<'_>) {
        let policy = if chain.drops {
            libc::NF_DROP
        } else {
            libc::NF_ACCEPT
        };
        self.add(libc::NFT_MSG_NEWCHAIN, CREATE, family, |message| {
            message.text(abi::NFTA_CHAIN_TABLE, table);
            message.text(abi::NFTA_CHAIN_NAME, chain.name);
            message.nest(abi::NFTA_CHAIN_HOOK | libc::NLA_F_NESTED, |hook| {
                hook.number(abi::NFTA_HOOK_HOOKNUM, chain.hook);
                hook.number(abi::NFTA_HOOK_PRIORITY, chain.priority);
                if let Some(device) = chain.device {
                    hook.text(abi::NFTA_HOOK_DEV, device);
                }
            });
            message.number(abi::NFTA_CHAIN_POLICY, policy);
            message.text(abi::NFTA_CHAIN_TYPE, "filter");
        });
    }

    /// Adds a rule at the end of a chain.
    pub fn add_rule(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        conditions: &[Condition],
        verdict: Verdict,
    ) {
        self.add(
            libc::NFT_MSG_NEWRULE,
            CREATE | libc::NLM_F_APPEND,
            family,
            |message| {
                message.text(abi::NFTA_RULE_TABLE, table);
                message.text(abi::NFTA_RULE_CHAIN, chain);
                message.nest(abi::NFTA_RULE_EXPRESSIONS | libc::NLA_F_NESTED, |list| {
                    conditions
                        .iter()
                        .for_each(|condition| condition.write(list));
                    verdict.write(list);
                });
            },
        );
    }

    fn add(
        &mut self,
        kind: libc::c_int,
        flags: libc::c_int,
        family: Family,
        attributes: impl FnOnce(&mut Messages),
    ) {
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags;
        let head = head(family.number(), 0);
        self.messages
            .message(SUBSYSTEM | kind as u16, flags, &head, attributes);
        self.expected += 1;
    }

    fn boundary(&mut self, kind: libc::c_int) {
        let head = head(0, libc::NFNL_SUBSYS_NFTABLES as u16);
        self.messages
            .message(kind as u16, libc::NLM_F_REQUEST, &head, |_| {});
    }
}

impl Condition {
    /// Loads the field into the register, and compares it there.
    fn write(self, list: &mut Messages) {
        match self {
            Condition::Ethernet => {
                meta(list, libc::NFT_META_IIFTYPE);
                compare(list, &libc::ARPHRD_ETHER.to_ne_bytes());
            }
            Condition::From(index) => {
                meta(list, libc::NFT_META_IIF);
                compare(list, &index.to_ne_bytes());
            }
            Condition::To(index) => {
                meta(list, libc::NFT_META_OIF);
                compare(list, &index.to_ne_bytes());
            }
            Condition::Octets {
                offset,
                mask,
                value,
            } => {
                expression(list, "payload", |data| {
                    data.number(abi::NFTA_PAYLOAD_DREG, libc::NFT_REG_1);
                    data.number(abi::NFTA_PAYLOAD_BASE, libc::NFT_PAYLOAD_LL_HEADER);
                    data.number(abi::NFTA_PAYLOAD_OFFSET, offset);
                    data.number(abi::NFTA_PAYLOAD_LEN, OCTETS);
                });
                if mask != u16::MAX {
                    expression(list, "bitwise", |data| {
                        data.number(abi::NFTA_BITWISE_SREG, libc::NFT_REG_1);
                        data.number(abi::NFTA_BITWISE_DREG, libc::NFT_REG_1);
                        data.number(abi::NFTA_BITWISE_LEN, OCTETS);
                        operand(data, abi::NFTA_BITWISE_MASK, &mask.to_be_bytes());
                        operand(data, abi::NFTA_BITWISE_XOR, &[0; OCTETS as usize]);
                    });
                }
                compare(list, &value.to_be_bytes());
            }
        }
    }
}

impl Verdict {
    fn write(self, list: &mut Messages) {
        let code = match self {
            Verdict::Accept => libc::NF_ACCEPT,
            Verdict::Drop => libc::NF_DROP,
        };
        expression(list, "immediate", |data| {
            data.number(abi::NFTA_IMMEDIATE_DREG, libc::NFT_REG_VERDICT);
            data.nest(abi::NFTA_IMMEDIATE_DATA | libc::NLA_F_NESTED, |data| {
                data.nest(abi::NFTA_DATA_VERDICT | libc::NLA_F_NESTED, |verdict| {
                    verdict.number(abi::NFTA_VERDICT_CODE, code);
                });
            });
        });
    }
}

impl Family {
    fn number(self) -> u8 {
        let number = match self {
            Family::Inet => libc::NFPROTO_INET,
            Family::Arp => libc::NFPROTO_ARP,
            Family::Netdev => libc::NFPROTO_NETDEV,
            Family::Bridge => libc::NFPROTO_BRIDGE,
        };
        number as u8
    }

    fn of(number: u8) -> Option<Family> {
        [Family::Inet, Family::Arp, Family::Netdev, Family::Bridge]
            .into_iter()
            .find(|family| family.number() == number)
    }
}

/// The number of octets that a condition compares.
const OCTETS: libc::c_int = 2;

const CREATE: libc::c_int = libc::NLM_F_CREATE;

const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8;

/// Octets of struct nfgenmsg.
const NFGENMSG: usize = 4;

/// struct nfgenmsg of version 0.
fn head(family: u8, resource: u16) -> [u8; NFGENMSG] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn expression(list: &mut Messages, name: &str, data: impl FnOnce(&mut Messages)) {
    list.nest(abi::NFTA_LIST_ELEM | libc::NLA_F_NESTED, |element| {
        element.text(abi::NFTA_EXPR_NAME, name);
        element.nest(abi::NFTA_EXPR_DATA | libc::NLA_F_NESTED, data);
    });
}

fn meta(list: &mut Messages, key: libc::c_int) {
    expression(list, "meta", |data| {
        data.number(abi::NFTA_META_DREG, libc::NFT_REG_1);
        data.number(abi::NFTA_META_KEY, key);
    });
}

fn compare(list: &mut Messages, value: &[u8]) {
    expression(list, "cmp", |data| {
        data.number(abi::NFTA_CMP_SREG, libc::NFT_REG_1);
        data.number(abi::NFTA_CMP_OP, libc::NFT_CMP_EQ);
        operand(data, abi::NFTA_CMP_DATA, value);
    });
}

fn operand(data: &mut Messages, kind: libc::c_int, value: &[u8]) {
    data.nest(kind | libc::NLA_F_NESTED, |operand| {
        operand.attribute(abi::NFTA_DATA_VALUE, value);
    });
}

/// The packet filter, for a process with CAP_NET_ADMIN.
#[derive(Debug)]
pub struct PacketFilter {
    socket: Netlink,
    question: Messages,
}

impl PacketFilter {
    /// Opens a socket.
    ///
    /// # Errors
    /// The kernel refuses the socket.
    pub fn open() -> io::Result<PacketFilter> {
        let mut question = Messages::with_capacity(0);
        question.message(
            SUBSYSTEM | libc::NFT_MSG_GETTABLE as u16,
            libc::NLM_F_REQUEST | libc::NLM_F_DUMP,
            &head(0, 0),
            |_| {},
        );
        Ok(PacketFilter {
            socket: Netlink::open(libc::NETLINK_NETFILTER, 0)?,
            question,
        })
    }

    /// Passes each table to `found`. A table that is added or removed meanwhile may be missing.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_ADMIN, or another error of the kernel.
    pub fn tables(&self, mut found: impl FnMut(Family, &[u8])) -> io::Result<()> {
        let mut buffer = [0; LONGEST];
        self.socket.send(&self.question)?;
        loop {
            for message in messages(self.socket.receive(&mut buffer)?) {
                match message.error() {
                    Some(0) | None => {}
                    Some(error) => return Err(io::Error::from_raw_os_error(error)),
                }
                if libc::c_int::from(message.kind) == libc::NLMSG_DONE {
                    return Ok(());
                }
                if let Some((family, name)) = table_of(&message) {
                    found(family, name);
                }
            }
        }
    }

    /// Carries out the transaction, completely or not at all.
    ///
    /// # Errors
    /// The first error that the kernel reports.
    pub fn commit(&self, transaction: &mut Transaction) -> io::Result<()> {
        transaction.boundary(libc::NFNL_MSG_BATCH_END);
        self.socket.send(&transaction.messages)?;
        let mut buffer = [0; LONGEST];
        let mut done = 0;
        let mut failed = None;
        loop {
            match self.socket.receive(&mut buffer) {
                Ok(datagram) => {
                    for error in messages(datagram).filter_map(|message| message.error()) {
                        match error {
                            0 => done += 1,
                            error => failed = failed.or(Some(error)),
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        match failed {
            Some(error) => Err(io::Error::from_raw_os_error(error)),
            None if done == transaction.expected => Ok(()),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Family and name of the table in a message.
fn table_of<'a>(message: &Message<'a>) -> Option<(Family, &'a [u8])> {
    let family = Family::of(*message.body.first()?)?;
    let attributes = message.body.get(NFGENMSG..)?;
    Some((family, text_of(attributes, abi::NFTA_TABLE_NAME)?))
}

/// The last change of the tables of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A rule was added last.
    RuleAdded,
    /// A table was removed last.
    TableRemoved,
    /// Something else changed, or it is unknown what.
    Changed,
}

/// Reports changes of the tables of a name; non-blocking.
#[derive(Debug)]
pub struct TableMonitor(Netlink);

impl TableMonitor {
    /// Opens the monitor. This needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// `PermissionDenied` without the capability, or another error of the kernel.
    pub fn open() -> io::Result<TableMonitor> {
        let group = 1 << (libc::NFNLGRP_NFTABLES - 1);
        Netlink::open(libc::NETLINK_NETFILTER, group).map(TableMonitor)
    }

    /// Reads all pending reports; `None` if none of them was about a table of this name.
    ///
    /// # Errors
    /// The kernel refuses the socket.
    pub fn news(&self, table: &str) -> io::Result<Option<News>> {
        let mut news = None;
        let mut buffer = [0; LONGEST];
        loop {
            match self.0.receive(&mut buffer) {
                // A datagram that fills the buffer may have been cut off.
                Ok(datagram) if datagram.len() == LONGEST => news = Some(News::Changed),
                Ok(datagram) => news = news_in(datagram, table).or(news),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(news),
                // Some reports were lost.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    news = Some(News::Changed);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for TableMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The change that a datagram's last message about the table reports.
fn news_in(datagram: &[u8], table: &str) -> Option<News> {
    const RULE_ADDED: u16 = SUBSYSTEM | libc::NFT_MSG_NEWRULE as u16;
    const TABLE_REMOVED: u16 = SUBSYSTEM | libc::NFT_MSG_DELTABLE as u16;
    // The table's name is the first attribute of messages about tables, chains and rules alike.
    let is_about = |message: &Message<'_>| {
        let first = attributes(message.body.get(NFGENMSG..)?).next()?;
        let name = first.1.strip_suffix(&[0])?;
        (first.0 == abi::NFTA_TABLE_NAME && name == table.as_bytes()).then_some(())
    };
    let about = messages(datagram).filter(|message| is_about(message).is_some());
    about.last().map(|message| match message.kind {
        RULE_ADDED => News::RuleAdded,
        TABLE_REMOVED => News::TableRemoved,
        _ => News::Changed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(kinds: &[(libc::c_int, &str)]) -> Messages {
        let mut messages = Messages::with_capacity(0);
        for (kind, table) in kinds {
            messages.message(SUBSYSTEM | *kind as u16, 0, &head(5, 0), |message| {
                message.text(abi::NFTA_TABLE_NAME, table);
            });
        }
        messages
    }

    #[test]
    fn the_last_message_about_the_table_counts() {
        let rule = (libc::NFT_MSG_NEWRULE, "port");
        let gone = (libc::NFT_MSG_DELTABLE, "port");
        let chain = (libc::NFT_MSG_NEWCHAIN, "port");
        let other = (libc::NFT_MSG_DELTABLE, "ports");
        let news = |kinds: &[_]| news_in(messages(kinds).octets(), "port");
        assert_eq!(news(&[rule]), Some(News::RuleAdded));
        assert_eq!(news(&[gone, rule]), Some(News::RuleAdded));
        assert_eq!(news(&[rule, gone]), Some(News::TableRemoved));
        assert_eq!(news(&[rule, chain]), Some(News::Changed));
        assert_eq!(news(&[rule, other]), Some(News::RuleAdded));
        assert_eq!(news(&[other]), None);
    }

    #[test]
    fn truncated_messages_say_nothing() {
        let rule = messages(&[(libc::NFT_MSG_NEWRULE, "port")]);
        // The last three octets pad the name.
        for length in 0..rule.octets().len() - 3 {
            assert_eq!(news_in(&rule.octets()[..length], "port"), None, "{length}");
        }
        assert_eq!(news_in(&[0; 64], "port"), None);
    }
}
