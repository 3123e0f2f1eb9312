//! The protocol between netd and the keeper of a port.
//!
//! The socket has the type AF_UNIX and SOCK_SEQPACKET. It is one of a pair that netd creates, or a
//! connection that a process accepted and passed on. Each message is one datagram. Its first octet
//! is the type; the other fields follow without gaps. Any other datagram is malformed.
//!
//! ```text
//!  from netd         0   1                   7
//!                  +---+
//!  open            | 1 |                                       everything passes
//!                  +---+
//!  close           | 2 |                                       nothing but EAPOL passes
//!                  +---+
//!  leave           | 3 |                                       the rules go, and netd is gone
//!                  +---+-------------------+-----------------+
//!  frame           | 4 | destination (6)   | PDU (4 to 2048) |
//!                  +---+-------------------+-----------------+
//!
//!  from the keeper   0   1   2               8
//!                  +---+---+
//!  done            | 5 | T |                                   what the message of type T (1 to 3) asked for is so
//!                  +---+---+---+
//!  refused         | 6 | T | R |                               the message of type T (0: malformed) is refused
//!                  +---+---+---+-----------+-----------------+
//!  frame           | 7 | U | source (6)    | PDU (0 to 2048) | U: 1 where it was sent to this interface alone, else 0
//!                  +---+---+---------------+-----------------+
//!  link            | 8 | S | name (1 to 15)                  | S: 0 down, 1 up, 2 the interface is gone
//!                  +---+---+---------------------------------+
//!
//!  R  1 malformed            3 no such station    5 the packet filter refused
//!     2 no supplicant's PDU  4 not sent           6 no port is kept
//! ```
//!
//! The keeper begins: it sends a link once the port is closed, and again whenever link or name of
//! the interface change. Each open, close and leave has one answer, done or refused; netd waits for
//! the answer before it sends the next. A frame has no answer, except a refused. While the keeper
//! can't send an answer, it reads nothing and relays no frame. Frames that netd doesn't take in
//! time are lost, as they are on a wire.
//!
//! A PDU is what follows the EtherType of EAPOL. For netd, the keeper sends EAPOL-Start,
//! EAPOL-Logoff and EAP-Response, to the PAE group address and to the station that last sent a
//! frame to this interface.
//!
//! The end of the socket, or a datagram of no octets, means that netd has ended. The keeper then
//! closes the port. It ends, or if it listens on a socket, it waits for the next netd.

use softsim_carriers::eapol::Address;
use softsim_link::ethernet::{Link, Name};

/// The longest PDU in octets: more than an Ethernet frame carries, except a jumbo frame. EAP-AKA
/// needs a fraction of it.
pub const MAX_PDU: usize = 2048;

/// The octets of the EAPOL header, and so of netd's shortest PDU.
const MIN_PDU: usize = 4;

/// The longest message in octets.
pub const MAX_MESSAGE: usize = 8 + MAX_PDU;

/// An order of netd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Let everything pass.
    Open,
    /// Let only EAPOL pass.
    Close,
    /// Remove the rules, and say no more to this netd.
    Leave,
}

/// A message of netd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Carry out an order, and answer.
    Order(Order),
    /// Send this PDU.
    Frame {
        /// The destination address.
        destination: Address,
        /// What follows the EtherType.
        pdu: &'a [u8],
    },
}

/// A message of the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The keeper has carried out the order.
    Done(Order),
    /// The keeper has refused, and nothing has changed.
    Refused(Refused),
    /// The interface has received this PDU.
    Frame {
        /// The source address.
        source: Address,
        /// Whether it was sent to this interface alone.
        unicast: bool,
        /// What followed the EtherType.
        pdu: &'a [u8],
    },
    /// The interface has this link and this name now.
    Link {
        /// Its link.
        link: Link,
        /// Its name.
        name: Name,
    },
}

/// A refusal, and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The refused order, or none for a frame or a malformed message.
    pub order: Option<Order>,
    /// Why.
    pub reason: Reason,
}

/// The reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The datagram is malformed.
    Malformed,
    /// No supplicant sends such a PDU.
    Pdu,
    /// The destination is neither the group address nor the station that last sent a frame to this
    /// interface.
    Destination,
    /// The interface didn't send the frame.
    NotSent,
    /// The packet filter refused the rules.
    PacketFilter,
    /// This keeper keeps no port.
    NoPort,
}

/// A datagram that isn't a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

const FRAME: u8 = 4;
const DONE: u8 = 5;
const REFUSED: u8 = 6;
const FRAME_RECEIVED: u8 = 7;
const LINK: u8 = 8;

impl Order {
    const ALL: [Order; 3] = [Self::Open, Self::Close, Self::Leave];

    fn octet(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Close => 2,
            Self::Leave => 3,
        }
    }

    fn of(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.octet() == octet)
    }
}

impl Reason {
    const ALL: [Reason; 6] = [
        Self::Malformed,
        Self::Pdu,
        Self::Destination,
        Self::NotSent,
        Self::PacketFilter,
        Self::NoPort,
    ];

    fn octet(self) -> u8 {
        match self {
            Self::Malformed => 1,
            Self::Pdu => 2,
            Self::Destination => 3,
            Self::NotSent => 4,
            Self::PacketFilter => 5,
            Self::NoPort => 6,
        }
    }

    fn of(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.octet() == octet)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::Pdu => "no PDU that a supplicant sends",
            Self::Destination => {
                "neither the group address nor the station that a frame was last received from"
            }
            Self::NotSent => "the interface didn't take the frame",
            Self::PacketFilter => "the packet filter refused",
            Self::NoPort => "no controlled port is kept",
        })
    }
}

/// The octets of a message, in a buffer of fixed size.
#[derive(Debug)]
pub struct Octets {
    octets: [u8; MAX_MESSAGE],
    length: usize,
}

impl Octets {
    /// The octets to send.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    /// Concatenates fields. None if the last one is too long.
    fn of(fields: &[&[u8]]) -> Option<Self> {
        let mut message = Self {
            octets: [0; MAX_MESSAGE],
            length: 0,
        };
        for field in fields {
            let end = message.length + field.len();
            let place = message.octets.get_mut(message.length..end)?;
            place.copy_from_slice(field);
            message.length = end;
        }
        Some(message)
    }
}

impl<'a> Request<'a> {
    /// Parses a datagram.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, Malformed> {
        match datagram {
            [FRAME, rest @ ..] => {
                let (destination, pdu) = rest.split_first_chunk().ok_or(Malformed)?;
                let fits = (MIN_PDU..=MAX_PDU).contains(&pdu.len());
                let destination = *destination;
                fits.then_some(Self::Frame { destination, pdu })
                    .ok_or(Malformed)
            }
            [order] => Order::of(*order).map(Self::Order).ok_or(Malformed),
            _ => Err(Malformed),
        }
    }

    /// Encodes the message. None if the PDU is too long.
    pub fn encode(&self) -> Option<Octets> {
        match self {
            Self::Order(order) => Octets::of(&[&[order.octet()]]),
            Self::Frame { destination, pdu } => {
                let fits = pdu.len() <= MAX_PDU;
                Octets::of(&[&[FRAME], destination, pdu]).filter(|_| fits)
            }
        }
    }
}

impl<'a> Message<'a> {
    /// Parses a datagram.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let message = match datagram {
            [DONE, order] => Order::of(*order).map(Self::Done),
            [REFUSED, kind, reason] => {
                let order = Order::of(*kind);
                let fits = |reason: &Reason| match *kind {
                    0 => *reason == Reason::Malformed,
                    FRAME => *reason != Reason::Malformed,
                    _ => order.is_some(),
                };
                Reason::of(*reason)
                    .filter(fits)
                    .map(|reason| Self::Refused(Refused { order, reason }))
            }
            [FRAME_RECEIVED, unicast @ (0 | 1), rest @ ..] => rest
                .split_first_chunk()
                .filter(|(_, pdu)| pdu.len() <= MAX_PDU)
                .map(|(source, pdu)| Self::Frame {
                    source: *source,
                    unicast: *unicast == 1,
                    pdu,
                }),
            [LINK, link @ 0..=2, name @ ..] => Name::new(name).map(|name| Self::Link {
                link: [Link::Down, Link::Up, Link::Gone][usize::from(*link)],
                name,
            }),
            _ => None,
        };
        message.ok_or(Malformed)
    }

    /// Encodes the message. None if the PDU is too long.
    pub fn encode(&self) -> Option<Octets> {
        match self {
            Self::Done(order) => Octets::of(&[&[DONE, order.octet()]]),
            Self::Refused(Refused { order, reason }) => {
                let kind = match (order, reason) {
                    (Some(order), _) => order.octet(),
                    (None, Reason::Malformed) => 0,
                    (None, _) => FRAME,
                };
                Octets::of(&[&[REFUSED, kind, reason.octet()]])
            }
            Self::Frame {
                source,
                unicast,
                pdu,
            } => Octets::of(&[&[FRAME_RECEIVED, u8::from(*unicast)], source, pdu]),
            Self::Link { link, name } => {
                let link = match link {
                    Link::Down => 0,
                    Link::Up => 1,
                    Link::Gone => 2,
                };
                Octets::of(&[&[LINK, link], name.octets()])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const STATION: Address = [2, 0, 0, 0, 0, 1];

    fn requests() -> Vec<Request<'static>> {
        let frame = |pdu| Request::Frame {
            destination: STATION,
            pdu,
        };
        let orders = Order::ALL.map(Request::Order);
        [&orders[..], &[frame(&[7; 4]), frame(&[7; MAX_PDU])]].concat()
    }

    fn answers() -> Vec<Message<'static>> {
        let mut messages = Vec::new();
        for order in Order::ALL {
            messages.push(Message::Done(order));
            let reason = Reason::PacketFilter;
            let order = Some(order);
            messages.push(Message::Refused(Refused { order, reason }));
        }
        for reason in Reason::ALL {
            let order = None;
            messages.push(Message::Refused(Refused { order, reason }));
        }
        for (unicast, pdu) in [(true, &[][..]), (false, &[7; MAX_PDU])] {
            let source = STATION;
            messages.push(Message::Frame {
                source,
                unicast,
                pdu,
            });
        }
        for link in [Link::Down, Link::Up, Link::Gone] {
            for name in ["e", "fifteen-octets-"] {
                let name = Name::new(name.as_bytes()).unwrap();
                messages.push(Message::Link { link, name });
            }
        }
        messages
    }

    #[test]
    fn what_is_written_is_read() {
        for request in requests() {
            let octets = request.encode().unwrap();
            assert_eq!(Request::decode(octets.as_slice()), Ok(request));
        }
        for message in answers() {
            let octets = message.encode().unwrap();
            assert_eq!(Message::decode(octets.as_slice()), Ok(message));
        }
    }

    #[test]
    fn what_is_read_is_written_so_and_no_otherwise() {
        // Every datagram of up to three octets, and some of the longer ones.
        let mut datagrams = vec![vec![]];
        for length in 1..=3 {
            for place in 0..1usize << (4 * length) {
                let digit = |at: usize| (place >> (4 * at) & 15) as u8;
                datagrams.push((0..length).map(digit).collect());
            }
        }
        for kind in 0..=u8::MAX {
            for length in [5, 9, 10, 17, 18, MAX_MESSAGE, MAX_MESSAGE + 1] {
                let mut datagram = vec![1; length];
                datagram[0] = kind;
                datagrams.push(datagram);
            }
        }
        for datagram in datagrams {
            if let Ok(request) = Request::decode(&datagram) {
                assert_eq!(request.encode().unwrap().as_slice(), datagram);
            }
            if let Ok(message) = Message::decode(&datagram) {
                assert_eq!(message.encode().unwrap().as_slice(), datagram);
            }
        }
    }

    #[test]
    fn a_field_out_of_its_bounds_is_malformed() {
        let frame = |octets: usize| [&[FRAME][..], &STATION, &vec![0; octets]].concat();
        let received =
            |octets: usize| [&[FRAME_RECEIVED, 1][..], &STATION, &vec![0; octets]].concat();
        for request in [
            vec![],
            vec![0],
            vec![1, 0],
            vec![5],
            frame(3),
            frame(MAX_PDU + 1),
        ] {
            assert_eq!(Request::decode(&request), Err(Malformed), "{request:?}");
        }
        for message in [
            vec![],
            vec![DONE],
            vec![DONE, 4],
            vec![REFUSED, 5, 1],
            vec![REFUSED, 1, 0],
            vec![REFUSED, 1, 7],
            [&[FRAME_RECEIVED, 2][..], &STATION].concat(),
            vec![FRAME_RECEIVED, 1, 2, 0, 0, 0, 0],
            received(MAX_PDU + 1),
            vec![LINK, 1],
            vec![LINK, 3, b'e'],
            [&[LINK, 1][..], &[b'e'; 16]].concat(),
        ] {
            assert_eq!(Message::decode(&message), Err(Malformed), "{message:?}");
        }
        let pdu = &[0; MAX_PDU + 1];
        let destination = STATION;
        assert!(Request::Frame { destination, pdu }.encode().is_none());
    }
}
