//! The server role: the peer's requests, our answers in blocks, and who observes us.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use crate::block::{self, Block, Misfit};
use crate::endpoint::{EXCHANGE_LIFETIME, Endpoint};
use crate::message::{Kind, Message, Options, WireToken};
use crate::reliability::Purpose;
use crate::types::{Code, Event, ExchangeId, Method, Observe, Reliability, Response};

/// Requests that may wait for the application at the same time.
const MAX_EXCHANGES: usize = 16;
/// Bodies that may be in transfer at the same time, in each direction.
const MAX_TRANSFERS: usize = 4;
/// Observations that one peer may hold.
const MAX_OBSERVERS: usize = 32;

/// What the server role remembers.
#[derive(Default)]
pub(crate) struct ServerRole {
    exchanges: BTreeMap<ExchangeId, Exchange>,
    uploads: Vec<Upload>,
    downloads: Vec<Download>,
    observers: BTreeMap<ExchangeId, Observer>,
}

/// A request that the application has yet to answer.
struct Exchange {
    mid: u16,
    wire: WireToken,
    reliability: Reliability,
    acknowledged: bool,
    acknowledge_by: Instant,
    expires: Instant,
    key: Key,
    block1: Option<Block>,
    block2: Option<Block>,
    observe: Option<Observe>,
}

/// What blocks of one body have in common.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    method: Method,
    path: Vec<String>,
    query: Vec<String>,
    accept: Option<u16>,
}

/// A request's body that is coming in blocks.
struct Upload {
    key: Key,
    body: Vec<u8>,
    expires: Instant,
}

/// A response's body that is being fetched in blocks.
struct Download {
    key: Key,
    response: Response,
    expires: Instant,
}

/// Who observes something, and under which token.
struct Observer {
    wire: WireToken,
    key: Key,
    block2: Option<Block>,
    sequence: u32,
    /// The id of the last non-confirmable notification, which a Reset names.
    last_mid: Option<u16>,
    /// The newest state, while an older one is unacknowledged (RFC 7641 §4.5.2).
    pending: Option<(Response, Reliability)>,
}

/// The answer to a block that doesn't complete a body.
struct BlockAnswer {
    code: Code,
    block1: Block,
    size1: Option<u32>,
}

/// Where an answer goes.
struct ReturnPath<'a> {
    kind: Kind,
    mid: u16,
    wire: &'a [u8],
}

impl ServerRole {
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.exchanges
            .values()
            .map(|exchange| {
                if exchange.owes_acknowledgement() {
                    exchange.acknowledge_by
                } else {
                    exchange.expires
                }
            })
            .min()
    }
}

impl Exchange {
    fn owes_acknowledgement(&self) -> bool {
        self.reliability == Reliability::Confirmable && !self.acknowledged
    }
}

impl Endpoint {
    /// Answers a request. Nothing happens if the exchange is over.
    pub fn respond(&mut self, now: Instant, exchange: ExchangeId, response: Response) {
        if let Some(open) = self.server.exchanges.remove(&exchange) {
            self.answer(now, open, response, None);
        }
    }

    /// Answers a request and, if it asked for that with Observe and the answer is a success, adds
    /// its sender to the observers; true if it did. The exchange names the observation from then
    /// on.
    pub fn respond_observed(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
    ) -> bool {
        let Some(open) = self.server.exchanges.remove(&exchange) else {
            return false;
        };
        let accepted = open.observe == Some(Observe::Register)
            && response.code.is_success()
            && self.server.observers.len() < MAX_OBSERVERS;
        if accepted {
            let (wire, key) = (open.wire.clone(), open.key.clone());
            let block2 = open.block2.map(|block| Block { number: 0, ..block });
            let observer = Observer {
                wire,
                key,
                block2,
                sequence: 1,
                last_mid: None,
                pending: None,
            };
            self.server.observers.insert(exchange, observer);
        }
        self.answer(now, open, response, accepted.then_some(1));
        accepted
    }

    /// Sends an observer the new state; an error code ends the observation. While an earlier
    /// confirmable notification is unacknowledged only the newest state is kept, and sent after it.
    pub fn notify(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
        reliability: Reliability,
    ) {
        let unacknowledged = self.outbox.holds(Purpose::Notification(exchange));
        let Some(observer) = self.server.observers.get_mut(&exchange) else {
            return;
        };
        if unacknowledged {
            observer.pending = Some((response, reliability));
            return;
        }
        self.send_notification(now, exchange, response, reliability);
        self.flush(now);
    }

    fn send_notification(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
        reliability: Reliability,
    ) {
        let mid = self.next_mid();
        let Some(observer) = self.server.observers.get_mut(&exchange) else {
            return;
        };
        observer.sequence = (observer.sequence + 1) & 0x00ff_ffff;
        observer.last_mid = (reliability == Reliability::NonConfirmable).then_some(mid);
        let (wire, key, block2) = (observer.wire.clone(), observer.key.clone(), observer.block2);
        let sequence = response.code.is_success().then_some(observer.sequence);
        if sequence.is_none() {
            self.server.observers.remove(&exchange);
        }
        let (code, mut options, payload) = self.in_blocks(now, key, block2, response);
        options.observe = sequence;
        let bytes = Message::encode(reliability.into(), code, mid, &wire, &options, &payload);
        match reliability {
            Reliability::Confirmable => {
                self.outbox
                    .push(mid, Purpose::Notification(exchange), bytes)
            }
            Reliability::NonConfirmable => self.send(bytes),
        }
    }

    /// An observer acknowledged: what became of the state meanwhile goes out.
    pub(crate) fn notified(&mut self, now: Instant, exchange: ExchangeId) {
        let pending = self
            .server
            .observers
            .get_mut(&exchange)
            .and_then(|observer| observer.pending.take());
        if let Some((response, reliability)) = pending {
            self.send_notification(now, exchange, response, reliability);
        }
    }

    pub(crate) fn forget_observer(&mut self, exchange: ExchangeId) {
        self.outbox.cancel(Purpose::Notification(exchange));
        if self.server.observers.remove(&exchange).is_some() {
            self.emit(Event::ObserverGone { exchange });
        }
    }

    /// A Reset for a non-confirmable message: a notification that nobody wants.
    pub(crate) fn reset_non_confirmable(&mut self, mid: u16) {
        let gone = self
            .server
            .observers
            .iter()
            .find(|(_, observer)| observer.last_mid == Some(mid));
        if let Some((&exchange, _)) = gone {
            self.forget_observer(exchange);
        }
    }

    /// Acknowledges the request with this message id, whose answer then comes separately.
    pub(crate) fn acknowledge_request(&mut self, mid: u16) {
        let waiting = self
            .server
            .exchanges
            .values_mut()
            .find(|open| open.mid == mid && open.owes_acknowledgement());
        if let Some(open) = waiting {
            open.acknowledged = true;
            self.acknowledge(Kind::Confirmable, mid);
        }
    }

    pub(crate) fn server_timeout(&mut self, now: Instant) {
        let late = |open: &&Exchange| open.owes_acknowledgement() && open.acknowledge_by <= now;
        while let Some(mid) = self
            .server
            .exchanges
            .values()
            .find(late)
            .map(|open| open.mid)
        {
            self.acknowledge_request(mid);
        }
        self.server.exchanges.retain(|_, open| open.expires > now);
        self.server.uploads.retain(|upload| upload.expires > now);
        self.server
            .downloads
            .retain(|download| download.expires > now);
    }

    pub(crate) fn handle_request(&mut self, now: Instant, message: Message) {
        let (kind, mid, wire) = (message.kind, message.mid, message.token.clone());
        let path = ReturnPath {
            kind,
            mid,
            wire: &wire,
        };
        let Some(method) = Method::from_code(message.code) else {
            return self.refuse(&path, Code::METHOD_NOT_ALLOWED, Options::default());
        };
        let mut options = match message.options() {
            Ok(options) => options,
            // RFC 7252 §5.4.1: a non-confirmable request is rejected by silence.
            Err(_) if kind == Kind::NonConfirmable => return,
            Err(bad) => return self.refuse(&path, bad.code(), Options::default()),
        };
        let key = Key {
            method,
            path: options.path.clone(),
            query: options.query.clone(),
            accept: options.accept,
        };
        let mut body = message.into_payload();
        if let Some(block) = options.block1 {
            match self.reassemble(now, &key, block, options.size1, &body) {
                Ok(whole) => body = whole,
                Err(BlockAnswer {
                    code,
                    block1,
                    size1,
                }) => {
                    let options = Options {
                        block1: Some(block1),
                        size1,
                        ..Options::default()
                    };
                    return self.refuse(&path, code, options);
                }
            }
        }
        if options.block1.is_none() && self.serve_next_block(now, &path, &key, options.block2) {
            return;
        }
        if self.server.exchanges.len() >= MAX_EXCHANGES {
            return self.refuse(&path, Code::SERVICE_UNAVAILABLE, Options::default());
        }
        if options.observe.is_some() {
            self.replace_observer(&wire);
        }
        let reliability = if kind == Kind::Confirmable {
            Reliability::Confirmable
        } else {
            Reliability::NonConfirmable
        };
        let exchange = ExchangeId(self.next_id());
        let (block1, block2) = (options.block1.take(), options.block2.take());
        let request = options.into_request(method, reliability, body);
        let open = Exchange {
            mid,
            wire,
            reliability,
            acknowledged: false,
            acknowledge_by: now + self.config.separate_after,
            expires: now + EXCHANGE_LIFETIME,
            key,
            block1,
            block2,
            observe: request.observe,
        };
        self.server.exchanges.insert(exchange, open);
        self.emit(Event::Request { exchange, request });
    }

    /// RFC 7641 §4.1: a token that registers again, or deregisters, ends the observation it stood
    /// for.
    fn replace_observer(&mut self, wire: &[u8]) {
        let old = self
            .server
            .observers
            .iter()
            .find(|(_, observer)| observer.wire == wire);
        if let Some((&exchange, _)) = old {
            self.forget_observer(exchange);
        }
    }

    /// Adds a block to a request's body. The whole body, or the answer to an incomplete one.
    fn reassemble(
        &mut self,
        now: Instant,
        key: &Key,
        block: Block,
        size1: Option<u32>,
        payload: &[u8],
    ) -> Result<Vec<u8>, BlockAnswer> {
        let limit = self.config.max_body;
        let agreed = Block {
            size: block.size.min(self.config.block_size),
            ..block
        };
        let answer = |code| BlockAnswer {
            code,
            block1: agreed,
            size1: None,
        };
        let too_large = BlockAnswer {
            code: Code::REQUEST_ENTITY_TOO_LARGE,
            block1: block,
            size1: Some(limit as u32),
        };
        let uploads = &mut self.server.uploads;
        uploads.retain(|upload| upload.expires > now);
        if block.number == 0 {
            if size1.is_some_and(|size| size as usize > limit) {
                return Err(too_large);
            }
            uploads.retain(|upload| upload.key != *key);
            if uploads.len() == MAX_TRANSFERS {
                uploads.remove(0);
            }
            uploads.push(Upload {
                key: key.clone(),
                body: Vec::new(),
                expires: now + EXCHANGE_LIFETIME,
            });
        }
        let index = uploads.iter().position(|upload| upload.key == *key);
        let index = index.ok_or_else(|| answer(Code::REQUEST_ENTITY_INCOMPLETE))?;
        match block::append(&mut uploads[index].body, block, payload, limit) {
            Ok(()) if block.more => Err(answer(Code::CONTINUE)),
            Ok(()) => Ok(uploads.remove(index).body),
            Err(Misfit::Length) => Err(answer(Code::BAD_REQUEST)),
            Err(Misfit::Gap) => Err(answer(Code::REQUEST_ENTITY_INCOMPLETE)),
            Err(Misfit::TooLarge) => {
                uploads.remove(index);
                Err(too_large)
            }
        }
    }

    /// Answers a request for a later block from the body that its first block was cut from; false
    /// if there is none.
    fn serve_next_block(
        &mut self,
        now: Instant,
        path: &ReturnPath<'_>,
        key: &Key,
        block2: Option<Block>,
    ) -> bool {
        let Some(block) = block2.filter(|block| block.number > 0) else {
            return false;
        };
        self.server
            .downloads
            .retain(|download| download.expires > now);
        let Some(download) = self
            .server
            .downloads
            .iter()
            .find(|download| download.key == *key)
        else {
            return false;
        };
        let response = download.response.clone();
        let (code, options, payload) = self.in_blocks(now, key.clone(), Some(block), response);
        self.send_answer(path, code, &options, &payload);
        true
    }

    fn refuse(&mut self, path: &ReturnPath<'_>, code: Code, options: Options) {
        self.send_answer(path, code, &options, &[]);
    }

    /// Answers at once: piggybacked on the acknowledgement, or non-confirmable as the request was.
    fn send_answer(
        &mut self,
        path: &ReturnPath<'_>,
        code: Code,
        options: &Options,
        payload: &[u8],
    ) {
        if path.kind == Kind::Confirmable {
            let bytes = Message::encode(
                Kind::Acknowledgement,
                code,
                path.mid,
                path.wire,
                options,
                payload,
            );
            self.reply(path.mid, bytes);
        } else {
            let mid = self.next_mid();
            self.send(Message::encode(
                Kind::NonConfirmable,
                code,
                mid,
                path.wire,
                options,
                payload,
            ));
        }
    }

    /// Answers an exchange of the application: at once, or separately if its request was
    /// acknowledged before.
    fn answer(&mut self, now: Instant, open: Exchange, response: Response, observe: Option<u32>) {
        let (code, mut options, payload) = self.in_blocks(now, open.key, open.block2, response);
        options.observe = observe;
        options.block1 = open.block1.map(|block| Block {
            size: block.size.min(self.config.block_size),
            ..block
        });
        if open.acknowledged {
            let mid = self.next_mid();
            let bytes =
                Message::encode(Kind::Confirmable, code, mid, &open.wire, &options, &payload);
            self.outbox.push(mid, Purpose::Response, bytes);
            self.flush(now);
        } else {
            let path = ReturnPath {
                kind: open.reliability.into(),
                mid: open.mid,
                wire: &open.wire,
            };
            self.send_answer(&path, code, &options, &payload);
        }
    }

    /// The part of a response that goes into one message. A body that needs more is kept for the
    /// requests that follow.
    fn in_blocks(
        &mut self,
        now: Instant,
        key: Key,
        block2: Option<Block>,
        response: Response,
    ) -> (Code, Options, Vec<u8>) {
        let size = block2.map_or(self.config.block_size, |block| {
            block.size.min(self.config.block_size)
        });
        let offset = block2.map_or(0, Block::offset);
        let mut options = Options::of_response(&response);
        let short = block2.is_none() && response.payload.len() <= size.octets();
        if short || !response.code.is_success() {
            return (response.code, options, response.payload);
        }
        let Some((part, more)) = block::slice(&response.payload, offset, size) else {
            return (Code::BAD_REQUEST, Options::default(), Vec::new());
        };
        options.block2 = Some(Block::at(offset, more, size));
        options.size2 = (offset == 0).then_some(response.payload.len() as u32);
        options.etag = Some(etag(&response.payload));
        let (code, part) = (response.code, part.to_vec());
        if more {
            self.keep_download(now, key, response);
        }
        (code, options, part)
    }

    fn keep_download(&mut self, now: Instant, key: Key, response: Response) {
        let downloads = &mut self.server.downloads;
        downloads.retain(|download| download.expires > now && download.key != key);
        if downloads.len() == MAX_TRANSFERS {
            downloads.remove(0);
        }
        downloads.push(Download {
            key,
            response,
            expires: now + EXCHANGE_LIFETIME,
        });
    }
}

/// Tells the blocks of one representation from those of another; equal bodies have equal tags.
fn etag(body: &[u8]) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish().to_be_bytes().to_vec()
}
