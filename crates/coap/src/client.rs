//! The client role: sends our requests, their bodies in blocks, and observes resources of the peer.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::block::{self, AppendError, Block, BlockSize};
use crate::layer::MessageLayer;
use crate::message::{Kind, Message, Options, WireToken};
use crate::reliability::Purpose;
use crate::types::{
    Code, Event, FailureReason, Method, Observe, Reliability, Request, Response, Token,
};

/// The state of the client role.
#[derive(Default)]
pub(crate) struct ClientRole {
    requests: BTreeMap<Token, Outgoing>,
    observations: BTreeMap<Token, Observation>,
}

/// A request whose response isn't complete yet.
struct Outgoing {
    request: Request,
    /// The token of the outstanding message. Each block has its own token, so that a late answer
    /// can't be taken for another one.
    wire: WireToken,
    /// The outstanding block of the body, if the body takes several.
    sent: Option<Block>,
    /// The block size, as far as the peer has agreed to it.
    size: BlockSize,
    /// The blocks of the response so far.
    received: Vec<u8>,
    etag: Option<Vec<u8>>,
    /// The sequence number, if the response begins or continues an observation.
    observe: Option<u32>,
    deadline: Option<Instant>,
    answers: Answers,
}

/// How the application gets the response once it is complete.
#[derive(Clone, Copy, Debug)]
enum Answers {
    Request,
    Notification,
}

/// Which part of a request goes out next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Send the body from this offset on.
    Upload(usize),
    /// Ask for the response from this offset on.
    Download(usize),
}

/// A resource that we observe.
struct Observation {
    request: Request,
    wire: WireToken,
    sequence: u32,
    at: Instant,
}

impl Observation {
    /// RFC 7641 §3.4: whether a notification is newer than the last one.
    fn is_fresh(&self, now: Instant, sequence: u32) -> bool {
        const HALF: u32 = 1 << 23;
        let (old, new) = (self.sequence, sequence);
        (old < new && new - old < HALF)
            || (old > new && old - new > HALF)
            || now.duration_since(self.at).as_secs() > 128
    }
}

impl ClientRole {
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.requests
            .values()
            .filter_map(|outgoing| outgoing.deadline)
            .min()
    }

    fn request_with(&self, wire: &[u8]) -> Option<Token> {
        self.requests
            .iter()
            .find(|(_, outgoing)| outgoing.wire == wire)
            .map(|(token, _)| *token)
    }

    fn observation_with(&self, wire: &[u8]) -> Option<Token> {
        self.observations
            .iter()
            .find(|(_, observation)| observation.wire == wire)
            .map(|(token, _)| *token)
    }

    pub(crate) fn request(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        request: Request,
    ) -> Token {
        let token = Token(layer.next_id());
        let wire = layer.new_wire_token();
        self.begin(layer, now, token, wire, request);
        token
    }

    pub(crate) fn cancel_observation(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        token: Token,
    ) {
        if let Some(Observation {
            mut request, wire, ..
        }) = self.observations.remove(&token)
        {
            self.abandon(layer, token);
            request.observe = Some(Observe::Deregister);
            self.begin(layer, now, token, wire, request);
        }
    }

    pub(crate) fn abandon(&mut self, layer: &mut MessageLayer, token: Token) {
        self.requests.remove(&token);
        self.observations.remove(&token);
        layer.outbox.cancel(Purpose::Request(token));
    }

    fn begin(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        token: Token,
        wire: WireToken,
        request: Request,
    ) {
        let outgoing = Outgoing {
            request,
            wire,
            sent: None,
            size: layer.config.block_size,
            received: Vec::new(),
            etag: None,
            observe: None,
            deadline: None,
            answers: Answers::Request,
        };
        self.requests.insert(token, outgoing);
        self.send_step(layer, now, token, Step::Upload(0));
    }

    /// Sends the next part with a token of its own.
    fn continue_with(&mut self, layer: &mut MessageLayer, now: Instant, token: Token, step: Step) {
        let wire = layer.new_wire_token();
        if let Some(outgoing) = self.requests.get_mut(&token) {
            outgoing.wire = wire;
        }
        self.send_step(layer, now, token, step);
    }

    fn send_step(&mut self, layer: &mut MessageLayer, now: Instant, token: Token, step: Step) {
        let mid = layer.next_mid();
        let Some(outgoing) = self.requests.get_mut(&token) else {
            return;
        };
        let request = &outgoing.request;
        let mut options = Options::of_request(request);
        let size = outgoing.size;
        outgoing.sent = None;
        let payload = match step {
            Step::Upload(offset) if request.payload.len() > size.octets() => {
                let (part, more) = block::slice(&request.payload, offset, size).unwrap_or_default();
                options.block1 = Some(Block::at(offset, more, size));
                options.size1 = (offset == 0).then_some(request.payload.len() as u32);
                outgoing.sent = options.block1;
                part
            }
            Step::Upload(_) => &request.payload,
            Step::Download(offset) => {
                options.block2 = Some(Block::at(offset, false, size));
                options.observe = None;
                // The body of a FETCH is part of what identifies the representation (RFC 8132
                // §2.1).
                let repeated =
                    request.method == Method::Fetch && request.payload.len() <= size.octets();
                if repeated { &request.payload } else { &[][..] }
            }
        };
        let kind = Kind::from(request.reliability);
        let bytes = Message::encode(
            kind,
            request.method.code(),
            mid,
            &outgoing.wire,
            &options,
            payload,
        );
        match request.reliability {
            Reliability::Confirmable => {
                outgoing.deadline = None;
                layer.outbox.push(mid, Purpose::Request(token), bytes);
                layer.flush(now);
            }
            Reliability::NonConfirmable => {
                outgoing.deadline = Some(now + layer.config.response_timeout);
                layer.send(bytes);
            }
        }
    }

    /// Notes that a request was acknowledged without its response, so that the response must come
    /// separately.
    pub(crate) fn await_response(&mut self, layer: &mut MessageLayer, now: Instant, token: Token) {
        if let Some(outgoing) = self.requests.get_mut(&token) {
            outgoing.deadline = Some(now + layer.config.response_timeout);
        }
    }

    pub(crate) fn fail(&mut self, layer: &mut MessageLayer, token: Token, reason: FailureReason) {
        layer.outbox.cancel(Purpose::Request(token));
        if self.requests.remove(&token).is_some() {
            self.observations.remove(&token);
            layer.emit(Event::Failed { token, reason });
        }
    }

    pub(crate) fn handle_timeout(&mut self, layer: &mut MessageLayer, now: Instant) {
        let late = |outgoing: &Outgoing| outgoing.deadline.is_some_and(|deadline| deadline <= now);
        while let Some((&token, _)) = self.requests.iter().find(|(_, outgoing)| late(outgoing)) {
            self.fail(layer, token, FailureReason::Timeout);
        }
    }

    /// Handles a response in the acknowledgement of a request.
    pub(crate) fn handle_piggybacked(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        message: Message,
    ) {
        let Some(Purpose::Request(token)) = layer.outbox.purpose_of(message.mid) else {
            return;
        };
        if self.request_with(&message.token) == Some(token) {
            layer.outbox.finish(message.mid);
            self.accept_response(layer, now, token, message);
        }
    }

    /// Handles a response, or a notification, in a message of its own.
    pub(crate) fn handle_response(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        message: Message,
    ) {
        let (kind, mid) = (message.kind, message.mid);
        if let Some(token) = self.request_with(&message.token) {
            layer.acknowledge(kind, mid);
            // The response implies the acknowledgement, which may have been lost.
            layer.outbox.cancel(Purpose::Request(token));
            self.accept_response(layer, now, token, message);
        } else if let Some(token) = self.observation_with(&message.token) {
            layer.acknowledge(kind, mid);
            self.accept_notification(layer, now, token, message);
        } else {
            layer.reject(Kind::Confirmable, mid);
        }
    }

    fn accept_response(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        token: Token,
        message: Message,
    ) {
        let code = message.code;
        let Ok(options) = message.options() else {
            return self.fail(layer, token, FailureReason::Unintelligible);
        };
        let Some(outgoing) = self.requests.get_mut(&token) else {
            return;
        };
        outgoing.deadline = None;
        match upload_progress(outgoing, code, &options) {
            Ok(Some(step)) => return self.continue_with(layer, now, token, step),
            Ok(None) => {}
            Err(reason) => return self.fail(layer, token, reason),
        }
        if let (Some(sequence), true, Some(Observe::Register), Answers::Request) = (
            options.observe,
            code.is_success(),
            outgoing.request.observe,
            outgoing.answers,
        ) {
            let (request, wire) = (outgoing.request.clone(), outgoing.wire.clone());
            outgoing.observe = Some(sequence);
            self.observations.insert(
                token,
                Observation {
                    request,
                    wire,
                    sequence,
                    at: now,
                },
            );
        }
        self.download(layer, now, token, code, options, message.into_payload());
    }

    /// Adds a block to the response. Then asks for the next block, or gives the complete response
    /// to the application.
    fn download(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        token: Token,
        code: Code,
        options: Options,
        payload: Vec<u8>,
    ) {
        let max_body = layer.config.max_body;
        let Some(outgoing) = self.requests.get_mut(&token) else {
            return;
        };
        let first = outgoing.received.is_empty();
        let whole = match options.block2 {
            _ if !code.is_success() => payload,
            None if first => payload,
            Some(block) => {
                if first {
                    outgoing.etag = options.etag.clone();
                }
                let outcome = if outgoing.etag == options.etag {
                    block::append(&mut outgoing.received, block, &payload, max_body)
                } else {
                    Err(AppendError::Gap)
                };
                match outcome {
                    Ok(()) if block.more => {
                        outgoing.size = outgoing.size.min(block.size);
                        let offset = outgoing.received.len();
                        return self.continue_with(layer, now, token, Step::Download(offset));
                    }
                    Ok(()) => std::mem::take(&mut outgoing.received),
                    Err(AppendError::TooLarge) => {
                        return self.fail(layer, token, FailureReason::TooLarge);
                    }
                    Err(AppendError::Gap | AppendError::Length) => {
                        return self.fail(layer, token, FailureReason::BlockMismatch);
                    }
                }
            }
            None => return self.fail(layer, token, FailureReason::BlockMismatch),
        };
        let (observe, answers) = (outgoing.observe, outgoing.answers);
        self.requests.remove(&token);
        let response = Response {
            observe,
            ..options.into_response(code, whole)
        };
        layer.emit(match answers {
            Answers::Request => Event::Response { token, response },
            Answers::Notification => Event::Notification { token, response },
        });
    }

    fn accept_notification(
        &mut self,
        layer: &mut MessageLayer,
        now: Instant,
        token: Token,
        message: Message,
    ) {
        let code = message.code;
        let Ok(options) = message.options() else {
            return;
        };
        let Some(observation) = self.observations.get_mut(&token) else {
            return;
        };
        match options.observe {
            Some(sequence) if code.is_success() => {
                if !observation.is_fresh(now, sequence) {
                    return;
                }
                (observation.sequence, observation.at) = (sequence, now);
            }
            // RFC 7641 §4.2: the peer has taken us off its list.
            _ => {
                self.observations.remove(&token);
                let response = options.into_response(code, message.into_payload());
                return layer.emit(Event::Notification { token, response });
            }
        }
        let request = Request {
            observe: None,
            ..observation.request.clone()
        };
        // A newer state replaces a partially received older one, and answers the request that began
        // it.
        layer.outbox.cancel(Purpose::Request(token));
        let unanswered = self.requests.get(&token).map(|outgoing| outgoing.answers);
        let outgoing = Outgoing {
            request,
            wire: WireToken::new(),
            sent: None,
            size: layer.config.block_size,
            received: Vec::new(),
            etag: None,
            observe: options.observe,
            deadline: None,
            answers: unanswered.unwrap_or(Answers::Notification),
        };
        self.requests.insert(token, outgoing);
        self.download(layer, now, token, code, options, message.into_payload());
    }
}

/// The next step after a response to one block of our body; none if the body is sent.
fn upload_progress(
    outgoing: &mut Outgoing,
    code: Code,
    options: &Options,
) -> Result<Option<Step>, FailureReason> {
    let hint = options.block1.map(|block| block.size);
    match (outgoing.sent, code) {
        (Some(sent), Code::CONTINUE) if sent.more => {
            if options
                .block1
                .is_none_or(|block| block.number != sent.number)
            {
                return Err(FailureReason::BlockMismatch);
            }
            outgoing.size = hint.map_or(outgoing.size, |size| size.min(outgoing.size));
            Ok(Some(Step::Upload(sent.offset() + sent.size.octets())))
        }
        // RFC 7959 §2.9.3: the block size was too large. Start again with the smaller one.
        (_, Code::REQUEST_ENTITY_TOO_LARGE) if hint.is_some_and(|size| size < outgoing.size) => {
            outgoing.size = hint.unwrap_or(outgoing.size);
            Ok(Some(Step::Upload(0)))
        }
        (_, Code::CONTINUE) => Err(FailureReason::BlockMismatch),
        (Some(sent), code) if sent.more && code.is_success() => Err(FailureReason::BlockMismatch),
        _ => Ok(None),
    }
}
