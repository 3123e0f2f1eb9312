//! A RADIUS server that authenticates with EAP and sends the MSK as MS-MPPE keys (RFC 3579, RFC
//! 2548).
//!
//! The EAP server behind it is the honest [`Server`] or another [`EapServer`].

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use softsim_aka::kdf::BadNetworkName;
use softsim_carriers::radius::{Error, Msk, Request, Secret, StatusRequest};
use softsim_sandbox::random;
use tokio::net::UdpSocket;

use crate::auc::Auc;
use crate::eap_server::{Config, EapServer, Server, Step};

/// How many conversations and answers are kept. The oldest is dropped first.
const KEPT: usize = 64;

/// Makes the EAP server of a new conversation.
type Open = Box<dyn FnMut() -> Box<dyn EapServer> + Send>;

/// The server without its socket: datagrams in, datagrams out.
pub struct Responder {
    secret: Secret,
    open: Open,
    auc: Arc<Mutex<Auc>>,
    conversations: VecDeque<Conversation>,
    answered: VecDeque<Answered>,
}

/// An EAP conversation, and the State attribute that names it.
struct Conversation {
    state: [u8; 16],
    server: Box<dyn EapServer>,
}

/// A request that was answered, so that a repeated one gets the same answer (RFC 5080 §2.2.2).
struct Answered {
    from: SocketAddr,
    identifier: u8,
    authenticator: [u8; 16],
    answer: Vec<u8>,
}

impl Responder {
    /// A server for clients that know `secret`.
    ///
    /// # Errors
    /// The configured network name doesn't fit AT_KDF_INPUT.
    pub fn new(
        secret: Secret,
        config: Config,
        auc: Arc<Mutex<Auc>>,
    ) -> Result<Self, BadNetworkName> {
        Server::new(config.clone())?;
        let open = move || -> Box<dyn EapServer> {
            Box::new(Server::new(config.clone()).expect("its network name was checked before"))
        };
        Ok(Self::played_by(secret, open, auc))
    }

    /// Makes a server whose conversations use the EAP servers that `open` makes.
    pub fn played_by(
        secret: Secret,
        open: impl FnMut() -> Box<dyn EapServer> + Send + 'static,
        auc: Arc<Mutex<Auc>>,
    ) -> Self {
        Self {
            secret,
            open: Box::new(open),
            auc,
            conversations: VecDeque::new(),
            answered: VecDeque::new(),
        }
    }

    /// Answers one datagram, Access-Request or Status-Server; `Ok(None)` if EAP sends nothing.
    ///
    /// # Errors
    /// Drop the datagram, which isn't a valid request.
    pub fn handle(&mut self, from: SocketAddr, datagram: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if let Ok(status) = StatusRequest::parse(datagram, &self.secret) {
            return status.answer(&self.secret).map(Some);
        }
        let request = Request::parse(datagram, &self.secret)?;
        let again = self.answered.iter().find(|answered| {
            answered.from == from
                && answered.identifier == request.identifier
                && answered.authenticator == request.authenticator
        });
        if let Some(again) = again {
            return Ok(Some(again.answer.clone()));
        }
        let Some(answer) = self.converse(&request)? else {
            return Ok(None);
        };
        let Request {
            identifier,
            authenticator,
            ..
        } = request;
        keep(
            &mut self.answered,
            Answered {
                from,
                identifier,
                authenticator,
                answer: answer.clone(),
            },
        );
        Ok(Some(answer))
    }

    /// Passes the EAP response to its conversation, or opens a new one.
    fn converse(&mut self, request: &Request) -> Result<Option<Vec<u8>>, Error> {
        let known = self
            .conversations
            .iter()
            .position(|c| request.state.as_deref() == Some(&c.state));
        let mut conversation = match (
            known.and_then(|at| self.conversations.remove(at)),
            &request.state,
        ) {
            (Some(conversation), _) => conversation,
            (None, Some(_)) => return request.reject(&self.secret, None).map(Some),
            (None, None) => Conversation {
                state: octets(),
                server: (self.open)(),
            },
        };
        let step = conversation.server.handle(
            &mut self.auc.lock().unwrap_or_else(PoisonError::into_inner),
            &request.eap,
        );
        match step {
            Step::Request(eap) => {
                let answer = request.challenge(&self.secret, &eap, &conversation.state)?;
                keep(&mut self.conversations, conversation);
                Ok(Some(answer))
            }
            Step::Success(eap, session) => {
                tracing::info!("authenticated");
                let msk = Msk::new(*session.msk.as_bytes());
                request
                    .accept(&self.secret, &eap, Some(&msk), u16::from_be_bytes(octets()))
                    .map(Some)
            }
            Step::Failure(eap, reason) => {
                tracing::info!(%reason, "refused");
                request.reject(&self.secret, Some(&eap)).map(Some)
            }
            Step::Discard => {
                keep(&mut self.conversations, conversation);
                Ok(None)
            }
        }
    }
}

/// The server with its socket.
pub struct RadiusServer {
    socket: UdpSocket,
    responder: Responder,
}

impl RadiusServer {
    /// Binds the socket; port 0 lets the system choose.
    ///
    /// # Errors
    /// The operating system refuses.
    pub async fn bind(address: SocketAddr, responder: Responder) -> io::Result<Self> {
        Ok(Self {
            socket: UdpSocket::bind(address).await?,
            responder,
        })
    }

    /// Its address.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers until the socket fails.
    ///
    /// # Errors
    /// The operating system refuses.
    pub async fn serve(mut self) -> io::Result<Infallible> {
        let mut buffer = vec![0; 4096];
        loop {
            let (length, from) = self.socket.recv_from(&mut buffer).await?;
            match self.responder.handle(from, &buffer[..length]) {
                Ok(Some(answer)) => drop(self.socket.send_to(&answer, from).await?),
                Ok(None) => {}
                Err(error) => tracing::info!(%error, %from, "dropped"),
            }
        }
    }
}

fn keep<T>(kept: &mut VecDeque<T>, new: T) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(new);
}

fn octets<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    random::fill(&mut octets);
    octets
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::time::Instant;

    use softsim_carriers::radius::{Answer, Client};
    use softsim_eap_packet::{Code, Type, typed};

    use super::*;
    use crate::auc::tests::{IMSI, auc};

    const NAI: &[u8] = b"6001010000000001@wlan.mnc001.mcc001.3gppnetwork.org";

    fn secret(octets: &[u8]) -> Secret {
        Secret::new(octets.to_vec()).unwrap()
    }

    fn responder() -> Responder {
        let auc = Arc::new(Mutex::new(auc(0)));
        Responder::new(secret(b"testing123"), Config::default(), auc).unwrap()
    }

    fn client() -> Client {
        Client::new(secret(b"testing123"), "gateway").unwrap()
    }

    fn from() -> SocketAddr {
        "127.0.0.1:50000".parse().unwrap()
    }

    fn identity() -> Vec<u8> {
        typed(Code::Response, 1, Type::Identity, NAI).unwrap()
    }

    #[test]
    fn a_nak_is_answered_with_access_reject_and_eap_failure() {
        let (mut responder, mut client) = (responder(), client());
        let request = client
            .request(Instant::now(), [1; 16], &identity())
            .unwrap();
        let answer = responder.handle(from(), &request).unwrap().unwrap();
        let Answer::Challenge { eap } = client.handle(&answer).unwrap() else {
            panic!()
        };
        let nak = typed(Code::Response, eap[1], Type::Nak, &[23]).unwrap();
        let request = client.request(Instant::now(), [2; 16], &nak).unwrap();
        let answer = responder.handle(from(), &request).unwrap().unwrap();
        let Answer::Reject { eap: Some(eap) } = client.handle(&answer).unwrap() else {
            panic!()
        };
        assert_eq!(eap, [4, 2, 0, 4]);
    }

    #[test]
    fn a_request_that_comes_again_gets_the_identical_answer_and_no_second_vector() {
        let (mut responder, mut client) = (responder(), client());
        let request = client
            .request(Instant::now(), [1; 16], &identity())
            .unwrap();
        let first = responder.handle(from(), &request).unwrap();
        assert_eq!(responder.handle(from(), &request).unwrap(), first);
        assert_eq!(responder.conversations.len(), 1);
        let sqn = responder
            .auc
            .lock()
            .unwrap()
            .subscriber(IMSI)
            .unwrap()
            .sqn();
        assert_eq!(sqn.value(), 0, "the identity round needs none");
    }

    #[test]
    fn status_server_is_answered_and_opens_no_conversation() {
        let (mut responder, mut client) = (responder(), client());
        let probe = client.probe([3; 16]);
        let answer = responder.handle(from(), &probe.datagram).unwrap().unwrap();
        probe.verify(&answer).unwrap();
        assert!(responder.conversations.is_empty() && responder.answered.is_empty());
        let guessed = Client::new(secret(b"wrong"), "gateway")
            .unwrap()
            .probe([3; 16]);
        assert!(responder.handle(from(), &guessed.datagram).is_err());
    }

    #[test]
    fn another_secret_is_not_answered() {
        let mut client = Client::new(secret(b"wrong"), "gateway").unwrap();
        let request = client
            .request(Instant::now(), [1; 16], &identity())
            .unwrap();
        assert!(responder().handle(from(), &request).is_err());
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        for datagram in [&[][..], &[1; 19], &[0xff; 4096]] {
            assert!(responder().handle(from(), datagram).is_err());
        }
    }

    #[test]
    fn a_state_that_names_no_conversation_is_rejected() {
        let (mut first, mut client) = (responder(), client());
        let request = client
            .request(Instant::now(), [1; 16], &identity())
            .unwrap();
        client
            .handle(&first.handle(from(), &request).unwrap().unwrap())
            .unwrap();
        let request = client
            .request(Instant::now(), [2; 16], &identity())
            .unwrap();
        let answer = responder().handle(from(), &request).unwrap().unwrap();
        assert!(matches!(
            client.handle(&answer).unwrap(),
            Answer::Reject { eap: None }
        ));
    }

    #[test]
    fn unfinished_conversations_are_bounded() {
        let mut responder = responder();
        for count in 0..KEPT as u8 + 10 {
            let request = client()
                .request(Instant::now(), [count; 16], &identity())
                .unwrap();
            assert!(responder.handle(from(), &request).unwrap().is_some());
        }
        assert_eq!(
            (responder.conversations.len(), responder.answered.len()),
            (KEPT, KEPT)
        );
    }
}
