//! Helpers: messages built octet by octet, and a link in simulated time.

use std::time::{Duration, Instant};

use softsim_coap::{Config, Endpoint, Event, ExchangeId, Request};

pub(crate) const CON: u8 = 0;
pub(crate) const NON: u8 = 1;
pub(crate) const ACK: u8 = 2;
pub(crate) const RST: u8 = 3;

pub(crate) const OBSERVE: u16 = 6;
pub(crate) const URI_PATH: u16 = 11;
pub(crate) const CONTENT_FORMAT: u16 = 12;
pub(crate) const BLOCK2: u16 = 23;
pub(crate) const BLOCK1: u16 = 27;
pub(crate) const SIZE1: u16 = 60;

/// Option numbers and values.
pub(crate) type Options<'a> = &'a [(u16, &'a [u8])];

/// A message, encoded independently of the crate. Options are in ascending order and short.
pub(crate) fn message(
    kind: u8,
    code: (u8, u8),
    mid: u16,
    token: &[u8],
    options: &[(u16, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let mut out = vec![0x40 | kind << 4 | token.len() as u8, code.0 << 5 | code.1];
    out.extend(mid.to_be_bytes());
    out.extend(token);
    let mut last = 0;
    for (number, value) in options {
        let delta = number - last;
        last = *number;
        let (delta, extended) = if delta < 13 {
            (delta as u8, None)
        } else {
            (13, Some((delta - 13) as u8))
        };
        assert!(value.len() < 13);
        out.push(delta << 4 | value.len() as u8);
        out.extend(extended);
        out.extend(*value);
    }
    if !payload.is_empty() {
        out.push(0xff);
        out.extend(payload);
    }
    out
}

/// The value of a Block option.
pub(crate) fn block(number: u8, more: bool, szx: u8) -> [u8; 1] {
    [number << 4 | u8::from(more) << 3 | szx]
}

/// A message, decoded independently of the crate as far as the tests need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: u8,
    pub(crate) code: (u8, u8),
    pub(crate) mid: u16,
    pub(crate) token: Vec<u8>,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
}

impl Seen {
    pub(crate) fn option(&self, number: u16) -> Option<&[u8]> {
        self.options
            .iter()
            .find(|(other, _)| *other == number)
            .map(|(_, value)| value.as_slice())
    }
}

pub(crate) fn look(bytes: &[u8]) -> Seen {
    let token_length = usize::from(bytes[0] & 15);
    let mut rest = &bytes[4 + token_length..];
    let (mut options, mut number) = (Vec::new(), 0);
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == 0xff {
            break;
        }
        let mut extend = |nibble: u8| match nibble {
            13 => {
                let value = u16::from(rest[0]) + 13;
                rest = &rest[1..];
                value
            }
            14 => {
                let value = u16::from_be_bytes([rest[0], rest[1]]) + 269;
                rest = &rest[2..];
                value
            }
            nibble => u16::from(nibble),
        };
        number += extend(first >> 4);
        let length = usize::from(extend(first & 15));
        options.push((number, rest[..length].to_vec()));
        rest = &rest[length..];
    }
    Seen {
        kind: bytes[0] >> 4 & 3,
        code: (bytes[1] >> 5, bytes[1] & 31),
        mid: u16::from_be_bytes([bytes[2], bytes[3]]),
        token: bytes[4..4 + token_length].to_vec(),
        options,
        payload: rest.to_vec(),
    }
}

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::new(Config::default(), 7)
}

pub(crate) fn transmitted(endpoint: &mut Endpoint) -> Vec<Seen> {
    std::iter::from_fn(|| endpoint.poll_transmit())
        .map(|bytes| look(&bytes))
        .collect()
}

/// The only message that the endpoint sends.
pub(crate) fn only(endpoint: &mut Endpoint) -> Seen {
    let mut sent = transmitted(endpoint);
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

pub(crate) fn events(endpoint: &mut Endpoint) -> Vec<Event> {
    std::iter::from_fn(|| endpoint.poll_event()).collect()
}

/// The only request that the endpoint received.
pub(crate) fn requested(endpoint: &mut Endpoint) -> (ExchangeId, Request) {
    match events(endpoint).as_slice() {
        [Event::Request { exchange, request }] => (*exchange, request.clone()),
        other => panic!("expected one request, got {other:?}"),
    }
}

/// What happens to datagrams on their way, in percent.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) reordering: u64,
}

/// Two endpoints and the datagrams between them, in simulated time.
pub(crate) struct Link {
    pub(crate) now: Instant,
    pub(crate) client: Endpoint,
    pub(crate) server: Endpoint,
    weather: Weather,
    random: u64,
    /// The datagrams in transit: time of arrival, whether the server receives it, and its octets.
    in_flight: Vec<(Instant, bool, Vec<u8>)>,
}

impl Link {
    pub(crate) fn new(config: Config, weather: Weather, seed: u64) -> Link {
        Link {
            now: Instant::now(),
            client: Endpoint::new(config.clone(), seed),
            server: Endpoint::new(config, !seed),
            weather,
            random: seed | 1,
            in_flight: Vec::new(),
        }
    }

    /// Runs until neither side has anything to do. `app` gets every event and whether the server
    /// reported it.
    pub(crate) fn run(&mut self, mut app: impl FnMut(&mut Endpoint, Instant, bool, Event)) {
        for _ in 0..100_000 {
            loop {
                let before = self.in_flight.len();
                for at_server in [false, true] {
                    let side = if at_server {
                        &mut self.server
                    } else {
                        &mut self.client
                    };
                    while let Some(event) = side.poll_event() {
                        app(side, self.now, at_server, event);
                    }
                    while let Some(bytes) = side.poll_transmit() {
                        Self::send(
                            self.now,
                            &self.weather,
                            &mut self.random,
                            &mut self.in_flight,
                            !at_server,
                            bytes,
                        );
                    }
                }
                if self.in_flight.len() == before {
                    break;
                }
            }
            let arrival = self.in_flight.iter().map(|(at, ..)| *at).min();
            let timers = [self.client.poll_timeout(), self.server.poll_timeout()];
            let Some(next) = timers.into_iter().flatten().chain(arrival).min() else {
                return;
            };
            self.now = self.now.max(next);
            while let Some(index) = self.in_flight.iter().position(|(at, ..)| *at <= self.now) {
                let (_, at_server, bytes) = self.in_flight.swap_remove(index);
                let side = if at_server {
                    &mut self.server
                } else {
                    &mut self.client
                };
                side.handle_datagram(self.now, &bytes).unwrap();
            }
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
        }
        panic!("the endpoints never rest");
    }

    fn send(
        now: Instant,
        weather: &Weather,
        random: &mut u64,
        in_flight: &mut Vec<(Instant, bool, Vec<u8>)>,
        to_server: bool,
        bytes: Vec<u8>,
    ) {
        let mut chance = |percent: u64| {
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            *random % 100 < percent
        };
        let copies = if chance(weather.duplication) { 2 } else { 1 };
        for _ in 0..copies {
            if !chance(weather.loss) {
                let delay = if chance(weather.reordering) { 700 } else { 20 };
                in_flight.push((now + Duration::from_millis(delay), to_server, bytes.clone()));
            }
        }
    }
}
