//! Whether somebody changed a table of the packet filter nf_tables: what its netlink group tells.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::netlink::{LONGEST, NLMSGHDR, Netlink};

/// What became of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The last that was done to it was adding a rule.
    RuleAdded,
    /// Something else, or nobody knows what.
    Changed,
}

/// Tells what is done to one table, non-blocking.
#[derive(Debug)]
pub struct TableMonitor {
    socket: Netlink,
    table: String,
}

impl TableMonitor {
    /// Opens the monitor of the table of this name, which need not be there yet. Takes CAP_NET_ADMIN.
    ///
    /// # Errors
    /// `PermissionDenied` without the capability, and whatever the kernel says of the socket.
    pub fn open(table: &str) -> io::Result<TableMonitor> {
        let group = 1 << (libc::NFNLGRP_NFTABLES - 1);
        Ok(TableMonitor {
            socket: Netlink::open(libc::NETLINK_NETFILTER, group)?,
            table: table.to_owned(),
        })
    }

    /// All that has been told and not yet taken; `None` where none of it was about the table.
    ///
    /// # Errors
    /// Whatever the kernel says of the socket.
    pub fn news(&self) -> io::Result<Option<News>> {
        let mut news = None;
        let mut buffer = [0; LONGEST];
        loop {
            match self.socket.receive(&mut buffer) {
                // One that fills the buffer may have been longer.
                Ok(datagram) if datagram.len() == LONGEST => news = Some(News::Changed),
                Ok(datagram) => news = news_in(datagram, &self.table).or(news),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(news),
                // Some of it was lost.
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
        self.socket.as_fd()
    }
}

/// Octets of struct nfgenmsg and struct nlattr.
const NFGENMSG: usize = 4;
const NLATTR: usize = 4;

/// The attribute that holds the table's name, in messages about tables, chains and rules alike.
const TABLE: u16 = 1;

/// What a datagram's last message about the table says.
fn news_in(mut datagram: &[u8], table: &str) -> Option<News> {
    const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8;
    const RULE_ADDED: u16 = SUBSYSTEM | libc::NFT_MSG_NEWRULE as u16;
    let mut news = None;
    while let Some((length, kind)) = header(datagram) {
        let message = datagram.get(NLMSGHDR + NFGENMSG..length);
        if message.is_some_and(|message| is_about(message, table)) {
            news = Some(match kind {
                RULE_ADDED => News::RuleAdded,
                _ => News::Changed,
            });
        }
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    news
}

/// Length and kind of the first message.
fn header(datagram: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(*datagram.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*datagram.get(4..)?.first_chunk()?);
    (length >= NLMSGHDR && length <= datagram.len()).then_some((length, kind))
}

/// Whether the first attribute is the table's name.
fn is_about(message: &[u8], table: &str) -> bool {
    let attribute = || {
        let length = u16::from_ne_bytes(*message.first_chunk()?);
        let kind = u16::from_ne_bytes(*message.get(2..)?.first_chunk()?);
        let name = message.get(NLATTR..length.into())?;
        (kind == TABLE).then_some(name)
    };
    attribute().and_then(|name| name.strip_suffix(&[0])) == Some(table.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn message(kind: libc::c_int, table: &str) -> Vec<u8> {
        let mut attribute = vec![0; NLATTR];
        attribute.extend(table.as_bytes());
        attribute.push(0);
        let length = attribute.len() as u16;
        attribute[..2].copy_from_slice(&length.to_ne_bytes());
        attribute[2..4].copy_from_slice(&TABLE.to_ne_bytes());
        let mut message = vec![0; NLMSGHDR + NFGENMSG];
        message.extend(attribute);
        let length = message.len() as u32;
        message[..4].copy_from_slice(&length.to_ne_bytes());
        let kind = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | kind as u16;
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    #[test]
    fn the_last_message_about_the_table_counts() {
        let rule = message(libc::NFT_MSG_NEWRULE, "port");
        let gone = message(libc::NFT_MSG_DELTABLE, "port");
        let other = message(libc::NFT_MSG_DELTABLE, "ports");
        let news = |messages: &[&[u8]]| news_in(&messages.concat(), "port");
        assert_eq!(news(&[&rule]), Some(News::RuleAdded));
        assert_eq!(news(&[&gone, &rule]), Some(News::RuleAdded));
        assert_eq!(news(&[&rule, &gone]), Some(News::Changed));
        assert_eq!(news(&[&rule, &other]), Some(News::RuleAdded));
        assert_eq!(news(&[&other]), None);
    }

    #[test]
    fn truncated_messages_say_nothing() {
        let rule = message(libc::NFT_MSG_NEWRULE, "port");
        let whole = u32::from_ne_bytes(*rule.first_chunk().unwrap()) as usize;
        for length in 0..whole {
            assert_eq!(news_in(&rule[..length], "port"), None, "{length}");
        }
        assert_eq!(news_in(&[0; 64], "port"), None);
    }
}
