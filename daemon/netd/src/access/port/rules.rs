//! The rules of a closed port, and in which tables they are.
//!
//! What keeps a port closed are two chains of the family netdev, which see every frame of the
//! interface. They hang on its *name*: since Linux 6.16 an interface that gets another name leaves
//! them behind, until the keeper has written them anew, while an interface that vanishes and comes
//! back under its name finds them. So the keeper adds guards, which know the interface by its
//! *index* and hold through every name: in the families inet, arp and bridge, as far as the kernel
//! has them. They see what the host itself sends and receives over the interface, and what a bridge
//! forwards; what runs over it under the name of another interface (a VLAN), and what others send
//! past the network stack, they don't see.
//!
//! An open port has no rules.
//!
//! All tables of a port have one name, which tells the interface's index and name. Those of an
//! earlier keeper share one of the two, whatever became of the interface meanwhile, and go with the
//! first rules that are written.

use std::fmt::{self, Write};
use std::io;

use softsim_link::ethernet::Name;
use softsim_link::netfilter::{Chain, Condition, Family, PacketFilter, Transaction, Verdict};

/// Before everything else.
const PRIORITY: i32 = -500;

const EAPOL: u16 = softsim_carriers::eapol::ETHERTYPE;

/// The EtherType of an 802.1Q tag.
const TAG: u16 = 0x8100;

/// Where the EtherType is in a frame, and where a tag's number of the VLAN and the inner EtherType
/// are.
const ETHERTYPE: i32 = 12;
const VLAN: i32 = 14;
const INNER_ETHERTYPE: i32 = 16;

/// The bits of a tag's second half that number the VLAN. 0 is none: the tag is for the frame's
/// priority (IEEE 802.1Q §6.9).
const VLAN_BITS: u16 = 0x0fff;

/// A family whose rules know the interface by its index, and its hooks for what comes in and for
/// what leaves, as `linux/netfilter.h`, `netfilter_arp.h` and `netfilter_bridge.h` number them.
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

/// The name of tables that show whether the kernel has a family.
const PROBE: &str = "softsim_probe";

/// How the names of all tables begin.
const PREFIX: &str = "softsim_port_";

/// The name of a port's tables: `softsim_port_INDEX_NAME`, in which what is neither letter nor
/// digit is written `_hh`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    octets: [u8; MAX_TABLE],
    length: usize,
    /// Where the index and the name begin.
    index: usize,
    name: usize,
}

/// Octets of the name of a table: with an index of ten digits and a name of fifteen octets that are
/// written in three each.
const MAX_TABLE: usize = PREFIX.len() + 10 + 1 + 3 * 15;

impl Table {
    /// That of an interface.
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

    /// The name.
    pub(super) fn name(&self) -> &str {
        str::from_utf8(&self.octets[..self.length]).expect("only ASCII was written")
    }

    /// Whether a table is one of this port's, or was at the time of an earlier keeper: its name
    /// tells the same index or the same interface.
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

/// Writes a port's rules. After [`Self::open`] nothing is allocated.
#[derive(Debug)]
pub(super) struct Rules {
    filter: PacketFilter,
    transaction: Transaction,
    index: u32,
    /// Those that the kernel has.
    guards: [Option<Guard>; GUARDS.len()],
}

impl Rules {
    /// Of the interface of this index. Takes CAP_NET_ADMIN.
    ///
    /// # Errors
    /// Whatever the packet filter says.
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

    /// The families that the kernel doesn't have: without them, a new name opens the port until the
    /// rules are written under it.
    pub(super) fn missing(&self) -> impl Iterator<Item = Family> {
        let known = self.guards.iter().zip(GUARDS);
        known.filter_map(|(known, (family, _))| known.is_none().then_some(family))
    }

    /// Closes the port of the interface under this name, in one transaction, in which nothing
    /// passes that neither the old nor the new rules let through. The last that is done is adding a
    /// rule. Once the interface is `gone`, its index is nobody's, but its name may come back.
    ///
    /// # Errors
    /// Whatever the packet filter says; all is as before then.
    pub(super) fn close(&mut self, name: &Name, gone: bool) -> io::Result<()> {
        let table = Table::of(self.index, name);
        self.begin(&table)?;
        for guard in self.guards.into_iter().flatten().filter(|_| !gone) {
            add_guard(&mut self.transaction, table.name(), guard, self.index);
        }
        add_port(&mut self.transaction, table.name(), name);
        self.filter.commit(&mut self.transaction)
    }

    /// Opens it: all its tables go, in one transaction. The last that is done, if anything, is
    /// removing a table.
    ///
    /// # Errors
    /// Whatever the packet filter says; all is as before then.
    pub(super) fn remove(&mut self, name: &Name) -> io::Result<()> {
        self.begin(&Table::of(self.index, name))?;
        self.filter.commit(&mut self.transaction)
    }

    /// Begins a transaction with the end of every table that is this port's.
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

/// Every frame of the interface but EAPOL is dropped. What leaves has no tag; what comes in may
/// have one that tells its priority and no VLAN (IEEE 802.1X §7.4), which the kernel has taken off
/// already.
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

/// What passes the interface of this index is dropped, whatever its name.
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
