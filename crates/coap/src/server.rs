//! The server role: answers the peer's requests, in blocks if need be, and serves the peer's
//! observations.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use crate::block::{self, AppendError, Block};
use crate::config::EXCHANGE_LIFETIME;
use crate::layer::MessageLayer;
use crate::message::{Kind, Message, Options, WireToken};
use crate::reliability::Purpose;
use crate::types::{Code, Event, ExchangeId, Method, Observe, Reliability, Response};

/// Requests that may wait for the application at the same time.
const MAX_EXCHANGES: usize = 16;
/// Bodies that may be in transfer at the same time, in each direction.
const MAX_TRANSFERS: usize = 4;
/// Observations that one peer may hold.
const MAX_OBSERVERS: usize = 32;

/// The state of the server role.
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

/// The fields that all blocks of one body share.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    method: Method,
    path: Vec<String>,
    query: Vec<String>,
    accept: Option<u16>,
}

/// A request's body that the peer is sending in blocks.
struct Upload {
    key: Key,
    body: Vec<u8>,
    expires: Instant,
}

/// A response's body that the peer is fetching in blocks.
struct Download {
    key: Key,
    response: Response,
    expires: Instant,
}

/// An observation of the peer, and its token.
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

impl Exchange {
    fn owes_acknowledgement(&self) -> bool {
        self.reliability == Reliability::Confirmable && !self.acknowledged
    }
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

    pub(crate) fn respond(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
    ) {
        if let Some(open) = self.exchanges.remove(&exchange) {
            self.answer(layer, now, open, response, None);
        }
    }

    pub(crate) fn respond_observed(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
    ) -> bool {
        let Some(open) = self.exchanges.remove(&exchange) else {
            return false;
        };
        let accepted = open.observe == Some(Observe::Register)
            && response.code.is_success()
            && self.observers.len() < MAX_OBSERVERS;
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
            self.observers.insert(exchange, observer);
        }
        self.answer(layer, now, open, response, accepted.then_some(1));
        accepted
    }

    pub(crate) fn notify(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
        reliability: Reliability,
    ) {
        let unacknowledged = layer.outbox.holds(Purpose::Notification(exchange));
        let Some(observer) = self.observers.get_mut(&exchange) else {
            return;
        };
        if unacknowledged {
            observer.pending = Some((response, reliability));
            return;
        }
        self.send_notification(layer, now, exchange, response, reliability);
        layer.flush(now);
    }

    fn send_notification(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
        reliability: Reliability,
    ) {
        let mid = layer.next_mid();
        let Some(observer) = self.observers.get_mut(&exchange) else {
            return;
        };
        observer.sequence = (observer.sequence + 1) & 0x00ff_ffff;
        observer.last_mid = (reliability == Reliability::NonConfirmable).then_some(mid);
        let (wire, key, block2) = (observer.wire.clone(), observer.key.clone(), observer.block2);
        let sequence = response.code.is_success().then_some(observer.sequence);
        if sequence.is_none() {
            self.observers.remove(&exchange);
        }
        let (code, mut options, payload) = self.in_blocks(layer, now, key, block2, response);
        options.observe = sequence;
        let bytes = Message::encode(reliability.into(), code, mid, &wire, &options, &payload);
        match reliability {
            Reliability::Confirmable => {
                layer
                    .outbox
                    .push(mid, Purpose::Notification(exchange), bytes)
            }
            Reliability::NonConfirmable => layer.send(bytes),
        }
    }

    /// Handles an acknowledgement of a notification: sends the newest state, if it has changed
    /// meanwhile.
    pub(crate) fn notified(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        exchange: ExchangeId,
    ) {
        let pending = self
            .observers
            .get_mut(&exchange)
            .and_then(|observer| observer.pending.take());
        if let Some((response, reliability)) = pending {
            self.send_notification(layer, now, exchange, response, reliability);
        }
    }

    pub(crate) fn forget_observer(&mut self, layer: &mut MessageLayer, exchange: ExchangeId) {
        layer.outbox.cancel(Purpose::Notification(exchange));
        if self.observers.remove(&exchange).is_some() {
            layer.emit(Event::ObserverGone { exchange });
        }
    }

    /// Handles a Reset for a non-confirmable message: the peer doesn't want this notification.
    pub(crate) fn reset_non_confirmable(&mut self, layer: &mut MessageLayer, mid: u16) {
        let gone = self
            .observers
            .iter()
            .find(|(_, observer)| observer.last_mid == Some(mid));
        if let Some((&exchange, _)) = gone {
            self.forget_observer(layer, exchange);
        }
    }

    /// Acknowledges the request with this message id, whose answer then comes separately.
    pub(crate) fn acknowledge_request(&mut self, layer: &mut MessageLayer, mid: u16) {
        let waiting = self
            .exchanges
            .values_mut()
            .find(|open| open.mid == mid && open.owes_acknowledgement());
        if let Some(open) = waiting {
            open.acknowledged = true;
            layer.acknowledge(Kind::Confirmable, mid);
        }
    }

    pub(crate) fn handle_timeout(&mut self, layer: &mut MessageLayer, now: Instant) {
        let late = |open: &&Exchange| open.owes_acknowledgement() && open.acknowledge_by <= now;
        while let Some(mid) = self.exchanges.values().find(late).map(|open| open.mid) {
            self.acknowledge_request(layer, mid);
        }
        self.exchanges.retain(|_, open| open.expires > now);
        self.uploads.retain(|upload| upload.expires > now);
        self.downloads.retain(|download| download.expires > now);
    }

    pub(crate) fn handle_request(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        message: Message,
    ) {
        let (kind, mid, wire) = (message.kind, message.mid, message.token.clone());
        let path = ReturnPath {
            kind,
            mid,
            wire: &wire,
        };
        let Some(method) = Method::from_code(message.code) else {
            return self.refuse(layer, &path, Code::METHOD_NOT_ALLOWED, Options::default());
        };
        let mut options = match message.options() {
            Ok(options) => options,
            // RFC 7252 §5.4.1: a non-confirmable request is rejected without an answer.
            Err(_) if kind == Kind::NonConfirmable => return,
            Err(bad) => return self.refuse(layer, &path, bad.code(), Options::default()),
        };
        let key = Key {
            method,
            path: options.path.clone(),
            query: options.query.clone(),
            accept: options.accept,
        };
        let mut body = message.into_payload();
        if let Some(block) = options.block1 {
            match self.reassemble(layer, now, &key, block, options.size1, &body) {
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
                    return self.refuse(layer, &path, code, options);
                }
            }
        }
        if options.block1.is_none()
            && self.serve_next_block(layer, now, &path, &key, options.block2)
        {
            return;
        }
        if self.exchanges.len() >= MAX_EXCHANGES {
            return self.refuse(layer, &path, Code::SERVICE_UNAVAILABLE, Options::default());
        }
        if options.observe.is_some() {
            self.replace_observer(layer, &wire);
        }
        let reliability = if kind == Kind::Confirmable {
            Reliability::Confirmable
        } else {
            Reliability::NonConfirmable
        };
        let exchange = ExchangeId(layer.next_id());
        let (block1, block2) = (options.block1.take(), options.block2.take());
        let request = options.into_request(method, reliability, body);
        let open = Exchange {
            mid,
            wire,
            reliability,
            acknowledged: false,
            acknowledge_by: now + layer.config.separate_after,
            expires: now + EXCHANGE_LIFETIME,
            key,
            block1,
            block2,
            observe: request.observe,
        };
        self.exchanges.insert(exchange, open);
        layer.emit(Event::Request { exchange, request });
    }

    /// Ends the observation of this token, because the peer registers it again or deregisters it
    /// (RFC 7641 §4.1).
    fn replace_observer(&mut self, layer: &mut MessageLayer, wire: &[u8]) {
        let old = self
            .observers
            .iter()
            .find(|(_, observer)| observer.wire == wire);
        if let Some((&exchange, _)) = old {
            self.forget_observer(layer, exchange);
        }
    }

    /// Adds a block to a request's body. Returns the complete body, or the answer to an incomplete
    /// one.
    fn reassemble(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        key: &Key,
        block: Block,
        size1: Option<u32>,
        payload: &[u8],
    ) -> Result<Vec<u8>, BlockAnswer> {
        let limit = layer.config.max_body;
        let agreed = Block {
            size: block.size.min(layer.config.block_size),
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
        let uploads = &mut self.uploads;
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
            Err(AppendError::Length) => Err(answer(Code::BAD_REQUEST)),
            Err(AppendError::Gap) => Err(answer(Code::REQUEST_ENTITY_INCOMPLETE)),
            Err(AppendError::TooLarge) => {
                uploads.remove(index);
                Err(too_large)
            }
        }
    }

    /// Answers a request for a later block of a body whose first block was sent before. Returns
    /// false if there is none.
    fn serve_next_block(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        path: &ReturnPath<'_>,
        key: &Key,
        block2: Option<Block>,
    ) -> bool {
        let Some(block) = block2.filter(|block| block.number > 0) else {
            return false;
        };
        self.downloads.retain(|download| download.expires > now);
        let Some(download) = self.downloads.iter().find(|download| download.key == *key) else {
            return false;
        };
        let response = download.response.clone();
        let (code, options, payload) =
            self.in_blocks(layer, now, key.clone(), Some(block), response);
        self.send_answer(layer, path, code, &options, &payload);
        true
    }

    fn refuse(
        &mut self,
        layer: &mut MessageLayer,
        path: &ReturnPath<'_>,
        code: Code,
        options: Options,
    ) {
        self.send_answer(layer, path, code, &options, &[]);
    }

    /// Answers at once: in the acknowledgement, or non-confirmable if the request was.
    fn send_answer(
        &mut self,
        layer: &mut MessageLayer,
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
            layer.reply(path.mid, bytes);
        } else {
            let mid = layer.next_mid();
            layer.send(Message::encode(
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
    fn answer(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        open: Exchange,
        response: Response,
        observe: Option<u32>,
    ) {
        let (code, mut options, payload) =
            self.in_blocks(layer, now, open.key, open.block2, response);
        options.observe = observe;
        options.block1 = open.block1.map(|block| Block {
            size: block.size.min(layer.config.block_size),
            ..block
        });
        if open.acknowledged {
            let mid = layer.next_mid();
            let bytes =
                Message::encode(Kind::Confirmable, code, mid, &open.wire, &options, &payload);
            layer.outbox.push(mid, Purpose::Response, bytes);
            layer.flush(now);
        } else {
            let path = ReturnPath {
                kind: open.reliability.into(),
                mid: open.mid,
                wire: &open.wire,
            };
            self.send_answer(layer, &path, code, &options, &payload);
        }
    }

    /// The part of a response that goes into one message. A body that needs more is kept for the
    /// requests that follow.
    fn in_blocks(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        key: Key,
        block2: Option<Block>,
        response: Response,
    ) -> (Code, Options, Vec<u8>) {
        let size = block2.map_or(layer.config.block_size, |block| {
            block.size.min(layer.config.block_size)
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
        let downloads = &mut self.downloads;
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

/// An ETag, which distinguishes the blocks of one representation from those of another. Equal
/// bodies have equal tags.
fn etag(body: &[u8]) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish().to_be_bytes().to_vec()
}
