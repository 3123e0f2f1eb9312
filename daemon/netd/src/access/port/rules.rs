//! The rules of a closed port, and their tables.
//!
//! Two chains of the family netdev keep a port closed. They see every frame of the interface. They
//! match the interface by its *name*: since Linux 6.16, they no longer see an interface that was
//! renamed until the keeper has written them again, but they see an interface that vanishes and
//! returns under its name. Therefore the keeper adds guards, which match the interface by its
//! *index* and still hold after a renaming. They are in the families inet, arp and bridge, as far
//! as the kernel has them. They see what the host itself sends and receives over the interface, and
//! what a bridge forwards. They don't see what passes under the name of another interface (a VLAN),
//! nor what programs send past the network stack.
//!
//! An open port has no rules.
//!
//! All tables of a port have the same name, which contains the index and the name of the interface.
//! Tables of an earlier keeper contain the same index or the same name, even if the interface was
//! renamed or replaced. The keeper removes them when it first writes its rules.

use std::fmt::{self, Write};
use std::io;

use softsim_link::ethernet::Name;
use softsim_link::netfilter::{Chain, Condition, Family, PacketFilter, Transaction, Verdict};

/// The chains come before all others.
const PRIORITY: i32 = -500;

const EAPOL: u16 = softsim_carriers::eapol::ETHERTYPE;

/// The EtherType of an 802.1Q tag.
const TAG: u16 = 0x8100;

/// The offsets in a frame of the EtherType, of a tag's VLAN id, and of the EtherType after a tag.
const ETHERTYPE: i32 = 12;
const VLAN: i32 = 14;
const INNER_ETHERTYPE: i32 = 16;

/// The bits of a tag that contain the VLAN id. With id 0, the tag only has a priority (IEEE 802.1Q
/// §6.9).
const VLAN_BITS: u16 = 0x0fff;

/// A family whose rules match the interface by its index, and the numbers of its hooks for incoming
/// and for outgoing packets, as in `linux/netfilter.h`, `netfilter_arp.h` and `netfilter_bridge.h`.
type Guard = (Family, [i32; 2]);

const GUARDS: [Guard; 3] = [
    // Before and after routing.
    (Family::Inet, [0, 4]),
    (Family::Arp, [0, 1]),
    (Family::Bridge, [0, 4]),
];

/// The hooks of the family netdev.
const INGRESS: i32 = 0;
const EGRESS: i32 = 1;

/// The name of the tables with which the keeper finds out which families the kernel has.
const PROBE: &str = "softsim_probe";

/// The start of the name of each table.
const PREFIX: &str = "softsim_port_";

/// The name of a port's tables, `softsim_port_INDEX_NAME`. An octet that is neither a letter nor a
/// digit is written as `_hh`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    octets: [u8; MAX_TABLE],
    length: usize,
    /// The offsets of the index and of the name.
    index: usize,
    name: usize,
}

/// The longest name of a table in octets: an index of ten digits, and a name of fifteen octets,
/// each written in three.
const MAX_TABLE: usize = PREFIX.len() + 10 + 1 + 3 * 15;

impl Table {
    /// The name for this interface.
    pub(super) fn of(index: u32, name: &Name) -> Self {
        let mut table = Self {
            octets: [0; MAX_TABLE],
            length: 0,
            index: PREFIX.len(),
            name: 0,
        };
        let fits = "the longest index and the longest name fit";
        write!(table, "{PREFIX}{index}_").expect(fits);
        table.name = table.length;
        for octet in name.octets() {
            match octet.is_ascii_alphanumeric() {
                true => write!(table, "{}", char::from(*octet)),
                false => write!(table, "_{octet:02x}"),
            }
            .expect(fits);
        }
        table
    }

    /// The name as text.
    pub(super) fn name(&self) -> &str {
        str::from_utf8(&self.octets[..self.length]).expect("only ASCII was written")
    }

    /// Whether a table belongs to this port, or to one of an earlier keeper: its name contains the
    /// same index or the same name.
    fn is_same_port(&self, other: &[u8]) -> bool {
        let Some(other) = other.strip_prefix(PREFIX.as_bytes()) else {
            return false;
        };
        let (index, name) = (
            &self.octets[self.index..self.name],
            &self.octets[self.name..self.length],
        );
        let end = other.iter().position(|octet| *octet == b'_');
        let (their_index, their_name) = other.split_at(end.map_or(0, |end| end + 1));
        their_index == index || their_name == name
    }
}

impl Write for Table {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.octets.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Writes the rules of a port. After [`Self::open`], it allocates no memory.
#[derive(Debug)]
pub(super) struct Rules {
    filter: PacketFilter,
    transaction: Transaction,
    index: u32,
    /// The guards that the kernel supports.
    guards: [Option<Guard>; GUARDS.len()],
}

impl Rules {
    /// For the interface of this index. It needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// The packet filter refuses.
    pub(super) fn open(index: u32) -> io::Result<Self> {
        let mut rules = Self {
            filter: PacketFilter::open()?,
            transaction: Transaction::default(),
            index,
            guards: [None; GUARDS.len()],
        };
        for (place, guard) in GUARDS.into_iter().enumerate() {
            // Added and removed in one transaction: no packet meets it.
            rules.transaction.begin();
            add_guard(&mut rules.transaction, PROBE, guard, index);
            rules.transaction.remove_table(guard.0, PROBE);
            let known = rules.filter.commit(&mut rules.transaction).is_ok();
            rules.guards[place] = known.then_some(guard);
        }
        Ok(rules)
    }

    /// The families that the kernel doesn't have. Without them, a renaming opens the port until the
    /// keeper has written the rules again.
    pub(super) fn missing(&self) -> impl Iterator<Item = Family> {
        let known = self.guards.iter().zip(GUARDS);
        known.filter_map(|(known, (family, _))| known.is_none().then_some(family))
    }

    /// Closes the port of the interface under this name, in one transaction. During it, a packet
    /// passes only if the old or the new rules accept it. The last change is a rule that is added.
    /// Once the interface is `gone`, no interface has its index, but one may get its name.
    ///
    /// # Errors
    /// The packet filter refuses, and nothing has changed.
    pub(super) fn close(&mut self, name: &Name, gone: bool) -> io::Result<()> {
        let table = Table::of(self.index, name);
        self.begin(&table)?;
        for guard in self.guards.into_iter().flatten().filter(|_| !gone) {
            add_guard(&mut self.transaction, table.name(), guard, self.index);
        }
        add_port(&mut self.transaction, table.name(), name);
        self.filter.commit(&mut self.transaction)
    }

    /// Opens the port: removes all its tables, in one transaction. The last change, if any, is a
    /// table that is removed.
    ///
    /// # Errors
    /// The packet filter refuses, and nothing has changed.
    pub(super) fn remove(&mut self, name: &Name) -> io::Result<()> {
        self.begin(&Table::of(self.index, name))?;
        self.filter.commit(&mut self.transaction)
    }

    /// Begins a transaction that removes every table of this port.
    fn begin(&mut self, table: &Table) -> io::Result<()> {
        let transaction = &mut self.transaction;
        transaction.begin();
        self.filter.tables(|family, other| {
            if table.is_same_port(other) && !transaction.is_long() {
                transaction.remove_table(family, other);
            }
        })
    }
}

/// Adds the chains that drop every frame of the interface but EAPOL. EAPOL that leaves has no tag.
/// EAPOL that comes in may have one with a priority and without a VLAN (IEEE 802.1X §7.4), or had
/// one that the kernel has removed already.
fn add_port(transaction: &mut Transaction, table: &str, name: &Name) {
    let field = |offset, value| Condition::Octets {
        offset,
        mask: u16::MAX,
        value,
    };
    let untagged = [Condition::Ethernet, field(ETHERTYPE, EAPOL)];
    let no_vlan = Condition::Octets {
        offset: VLAN,
        mask: VLAN_BITS,
        value: 0,
    };
    let tagged = [
        Condition::Ethernet,
        field(ETHERTYPE, TAG),
        no_vlan,
        field(INNER_ETHERTYPE, EAPOL),
    ];
    let accepted: [(_, _, &[&[Condition]]); 2] = [
        ("ingress", INGRESS, &[&tagged, &untagged]),
        ("egress", EGRESS, &[&untagged]),
    ];
    transaction.add_table(Family::Netdev, table);
    for (chain, hook, rules) in accepted {
        let base = Chain {
            name: chain,
            hook,
            priority: PRIORITY,
            device: Some(name.octets()),
            drops: true,
        };
        transaction.add_chain(Family::Netdev, table, &base);
        for rule in rules {
            transaction.add_rule(Family::Netdev, table, chain, rule, Verdict::Accept);
        }
    }
}

/// Adds the chains that drop what passes the interface of this index, whatever its name.
fn add_guard(transaction: &mut Transaction, table: &str, guard: Guard, index: u32) {
    let (family, [inwards, outwards]) = guard;
    transaction.add_table(family, table);
    for (name, hook, condition) in [
        ("in", inwards, Condition::From(index)),
        ("out", outwards, Condition::To(index)),
    ] {
        let base = Chain {
            name,
            hook,
            priority: PRIORITY,
            device: None,
            drops: false,
        };
        transaction.add_chain(family, table, &base);
        transaction.add_rule(family, table, name, &[condition], Verdict::Drop);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn table(index: u32, name: &str) -> Table {
        Table::of(index, &Name::new(name.as_bytes()).unwrap())
    }

    #[test]
    fn a_table_tells_index_and_name_of_its_interface() {
        assert_eq!(table(7, "eth0.100").name(), "softsim_port_7_eth0_2e100");
        assert_ne!(table(7, "a-b").name(), table(7, "a_b").name());
        assert_ne!(table(7, "a_2d").name(), table(7, "a-").name());
        let longest = table(u32::MAX, "---------------");
        assert_eq!(longest.name().len(), MAX_TABLE);
    }

    #[test]
    fn tables_of_the_same_index_or_the_same_name_are_one_ports() {
        let own = table(7, "eth1");
        let same = |other: &str| own.is_same_port(other.as_bytes());
        for other in [(7, "eth1"), (7, "wan0"), (9, "eth1")] {
            assert!(same(table(other.0, other.1).name()), "{other:?}");
        }
        for other in [(9, "wan0"), (77, "eth"), (70, "eth11"), (0, "_eth1")] {
            assert!(!same(table(other.0, other.1).name()), "{other:?}");
        }
        for other in [
            "",
            "softsim_port_",
            "softsim_port_7",
            "port_7_eth1",
            "filter",
        ] {
            assert!(!same(other), "{other:?}");
        }
    }
}
