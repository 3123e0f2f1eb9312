//! One EAP-AKA' authentication over RADIUS, as the supplicant behind an access point would run it.
//!
//! Packets are the peer's business ([`softsim_eap`]), datagrams those of [`softsim_carriers::radius`], keys
//! those of keyd: each [`Ask`] of the peer becomes one request, and each session handle is closed again.

use std::{net::SocketAddr, time::Instant};

use softsim_carriers::radius::{self, Msk, Secret};
use softsim_client::{
    keyd::Error as KeydError,
    netd::{self, Direction, Failure, MskComparison, RadiusSecret},
    proto::{
        AkaAnswer, PacketFault, Refusal,
        requests::{AkaPrimeChallenge, CloseSession, EapMac, EapVerify, ExportMsk, Identity},
    },
};
use softsim_eap::{
    Answer, Ask, ChallengeAnswer, Config, Nai, Note, Outcome, Output, Peer, Reason, Unprocessable,
};
use softsim_sandbox::random;
use tokio::{
    net::UdpSocket,
    time::{Duration, sleep_until},
};

use crate::{
    keyd::{Keyd, refusal},
    progress::{Fault, Progress},
    session::{connected, is_passing},
};

/// How this gateway calls itself towards the RADIUS server.
const NAS_IDENTIFIER: &str = "softsim";

/// What an access point sends first: EAP-Request/Identity (RFC 3748 §5.1).
const IDENTITY_REQUEST: [u8; 5] = [1, 0, 0, 5, 1];

/// How long a server may draw it out.
const LONGEST: Duration = Duration::from_secs(120);

/// The type of AT_MAC (RFC 4187 §10.15).
const AT_MAC: u8 = 11;

/// The longest RADIUS packet (RFC 2865 §3).
const MAX_DATAGRAM: usize = 4096;

/// Authenticates once against `radius`; succeeds only with a verified challenge, EAP-Success and an MSK that
/// equals the server's, where it sent one.
pub async fn run(
    keyd: &Keyd,
    server: SocketAddr,
    secret: &RadiusSecret,
    identity: Option<String>,
    progress: &Progress,
) -> Result<netd::EapTest, Fault> {
    let nai = match identity {
        Some(identity) => identity,
        None => refusal(keyd.call(&Identity { iccid: None }).await)??.nai,
    };
    let wrong_nai = |error| Fault::new(Failure::Command, format!("identity: {error}"));
    let config = Config::new(Nai::new(&*nai).map_err(wrong_nai)?);
    let command = |error: radius::Error| Fault::new(Failure::Command, error);
    let secret = Secret::new(secret.expose().to_vec()).map_err(command)?;
    let client = radius::Client::new(secret, nai.as_bytes(), NAS_IDENTIFIER).map_err(command)?;
    let network = |error| Fault::new(Failure::Unavailable, format!("{server}: {error}"));
    let mut exchange = Exchange {
        keyd,
        progress,
        server,
        socket: connected(server).await.map_err(network)?,
        radius: client,
        peer: Peer::new(config),
        started: Instant::now(),
        handle: None,
        synchronised: false,
        refused: None,
        server_msk: None,
    };
    let started = exchange.started;
    let result = exchange.run().await;
    let microseconds = started.elapsed().as_micros().try_into().unwrap_or(u64::MAX);
    let result = match result {
        Ok(()) => exchange.compare_msk().await,
        Err(fault) => Err(fault),
    };
    exchange.close_session().await?;
    Ok(netd::EapTest {
        identity: nai,
        synchronised: exchange.synchronised,
        msk: result?,
        microseconds,
    })
}

struct Exchange<'a> {
    keyd: &'a Keyd,
    progress: &'a Progress,
    server: SocketAddr,
    socket: UdpSocket,
    radius: radius::Client,
    peer: Peer,
    started: Instant,
    /// keyd's session with the keys of the last challenge.
    handle: Option<u32>,
    synchronised: bool,
    /// The last refusal of keyd that the peer has no word for.
    refused: Option<Refusal>,
    server_msk: Option<Msk>,
}

impl Exchange<'_> {
    /// From the identity to EAP-Success.
    async fn run(&mut self) -> Result<(), Fault> {
        self.peer.handle_packet(&IDENTITY_REQUEST);
        // Our own request is no message of the server's.
        if !matches!(self.peer.poll(), Some(Output::Note(_))) {
            return Err(Fault::new(Failure::Internal, "the peer noted no request"));
        }
        loop {
            if let Some(outcome) = self.work().await? {
                return self.judge(outcome);
            }
            self.receive().await?;
        }
    }

    /// Does what the peer wants done, until it has nothing more, or is done.
    async fn work(&mut self) -> Result<Option<Outcome>, Fault> {
        while let Some(output) = self.peer.poll() {
            match output {
                Output::Note(note) => self.note(&note),
                Output::Ask(ask) => {
                    let answer = self.ask(&ask).await?;
                    self.peer.answer(answer);
                }
                Output::Send(packet) => {
                    let mut authenticator = [0; 16];
                    random::fill(&mut authenticator);
                    let datagram = self
                        .radius
                        .request(Instant::now(), authenticator, &packet)
                        .map_err(|error| Fault::new(Failure::Internal, error))?;
                    self.send(&datagram).await?;
                }
                Output::Done(outcome) => return Ok(Some(outcome)),
            }
        }
        Ok(None)
    }

    /// Waits for an answer that can be believed, and gives it to the peer. Only here an authentication can
    /// be cut short: keyd is never left in the middle of a request.
    async fn receive(&mut self) -> Result<(), Fault> {
        let mut datagram = [0; MAX_DATAGRAM];
        loop {
            let Some(at) = self.radius.poll_timeout() else {
                // The peer ignored the server's last packet, and a RADIUS server says nothing by itself.
                self.peer.carrier_failed();
                return Ok(());
            };
            tokio::select! {
                received = self.socket.recv(&mut datagram) => match received {
                    Ok(length) => match self.radius.handle(&datagram[..length]) {
                        Ok(answer) => {
                            self.answered(answer);
                            return Ok(());
                        }
                        Err(error) => self.progress.step(format!("ignored a datagram: {error}")),
                    },
                    Err(error) if is_passing(&error) => {}
                    Err(error) => return Err(self.unreachable(error)),
                },
                () = sleep_until(at.into()) => match self.radius.handle_timeout(Instant::now()) {
                    Some(radius::Timeout::Retransmit(datagram)) => self.send(&datagram).await?,
                    Some(radius::Timeout::GaveUp) => {
                        return Err(self.unreachable(
                            "no answer: no RADIUS server is there, it doesn't know this client, or it has another secret",
                        ));
                    }
                    None => {}
                },
                () = sleep_until((self.started + LONGEST).into()) => {
                    return Err(self.unreachable("the server draws the authentication out"));
                }
                () = self.progress.abandoned() => {
                    return Err(Fault::new(Failure::Command, "whoever asked has left"));
                }
            }
        }
    }

    fn answered(&mut self, answer: radius::Answer) {
        match answer {
            radius::Answer::Challenge { eap } => self.peer.handle_packet(&eap),
            radius::Answer::Accept { eap, msk } => {
                self.server_msk = msk;
                self.peer.handle_packet(&eap);
            }
            radius::Answer::Reject { eap } => {
                if let Some(eap) = eap {
                    self.peer.handle_packet(&eap);
                }
                self.peer.carrier_failed();
            }
        }
    }

    async fn send(&self, datagram: &[u8]) -> Result<(), Fault> {
        match self.socket.send(datagram).await {
            Err(error) if !is_passing(&error) => Err(self.unreachable(error)),
            _ => Ok(()),
        }
    }

    fn unreachable(&self, reason: impl std::fmt::Display) -> Fault {
        Fault::new(Failure::Unavailable, format!("{}: {reason}", self.server))
    }

    /// Has keyd answer the peer.
    async fn ask(&mut self, ask: &Ask) -> Result<Answer, Fault> {
        match (ask, self.handle) {
            (Ask::Challenge { packet, identity }, _) => self.challenge(packet, identity).await,
            (Ask::Mac { packet }, Some(handle)) => {
                let mac = self.keyd.call(&EapMac { handle, packet }).await;
                self.or_unavailable(mac, |answer| Answer::Mac(answer.mac))
            }
            (Ask::Verify { packet }, Some(handle)) => {
                let verified = self.keyd.call(&EapVerify { handle, packet }).await;
                match verified {
                    Err(KeydError::Refused(Refusal::Packet(_))) => Ok(Answer::Verify(false)),
                    verified => self.or_unavailable(verified, |()| Answer::Verify(true)),
                }
            }
            (Ask::Mac { .. } | Ask::Verify { .. }, None) => Ok(Answer::Unavailable),
        }
    }

    async fn challenge(&mut self, packet: &[u8], identity: &[u8]) -> Result<Answer, Fault> {
        // A challenge after a synchronisation, say: the keys of the one before are of no use.
        self.close_session().await?;
        let request = AkaPrimeChallenge {
            iccid: None,
            identity,
            packet,
        };
        let answer = match self.keyd.call(&request).await {
            Ok(AkaAnswer::Success { handle, res }) => {
                self.handle = Some(handle);
                let res = res.expose().to_vec();
                let res_bits = u16::try_from(res.len() * 8).unwrap_or(u16::MAX);
                ChallengeAnswer::Success { res, res_bits }
            }
            Ok(AkaAnswer::SynchronisationFailure { auts }) => {
                self.synchronised = true;
                ChallengeAnswer::SyncFailure(auts)
            }
            Err(KeydError::Refused(Refusal::Autn(fault))) => {
                self.refused = Some(Refusal::Autn(fault));
                ChallengeAnswer::AutnRejected
            }
            Err(KeydError::Refused(Refusal::Packet(
                PacketFault::Mac | PacketFault::Missing(AT_MAC),
            ))) => ChallengeAnswer::MacInvalid,
            other => return self.or_unavailable(other, |_| Answer::Unavailable),
        };
        Ok(Answer::Challenge(answer))
    }

    /// A refusal ends the conversation in the peer's words, the loss of keyd in ours.
    fn or_unavailable<T>(
        &mut self,
        result: Result<T, KeydError>,
        answer: impl FnOnce(T) -> Answer,
    ) -> Result<Answer, Fault> {
        match result {
            Ok(value) => Ok(answer(value)),
            Err(KeydError::Refused(refusal)) => {
                self.refused = Some(refusal);
                Ok(Answer::Unavailable)
            }
            Err(error) => Err(Fault::new(Failure::Unavailable, error)),
        }
    }

    fn judge(&self, outcome: Outcome) -> Result<(), Fault> {
        let Outcome::Failure(reason) = outcome else {
            return Ok(());
        };
        let failure = match (&reason, &self.refused) {
            (_, Some(Refusal::RetryAfter { .. })) => Failure::Busy,
            (Reason::Unprocessable(Unprocessable::Sim), _) => Failure::Refused,
            (Reason::Unprocessable(_) | Reason::NoCommonMethod { .. }, _) => Failure::Protocol,
            _ => Failure::Refused,
        };
        let reason = match &self.refused {
            Some(refusal) => format!("{reason} ({refusal})"),
            None => reason.to_string(),
        };
        Err(Fault::new(failure, reason))
    }

    /// The MSK is asked for only where there is something to compare it with.
    async fn compare_msk(&mut self) -> Result<MskComparison, Fault> {
        let Some(server) = &self.server_msk else {
            return Ok(MskComparison::NotSent);
        };
        let Some(handle) = self.handle else {
            return Err(Fault::new(
                Failure::Internal,
                "success without a session of softsim-keyd",
            ));
        };
        let ours = refusal(self.keyd.call(&ExportMsk { handle }).await)??.secret;
        match <&[u8; 64]>::try_from(ours.expose()) {
            Ok(ours) if server.matches(ours) => Ok(MskComparison::Equal),
            _ => Err(Fault::new(
                Failure::Refused,
                "expected the server's MS-MPPE keys to be our MSK, came others",
            )),
        }
    }

    async fn close_session(&mut self) -> Result<(), Fault> {
        if let Some(handle) = self.handle.take() {
            // Only the loss of keyd matters: it forgets the handle with the connection.
            let _ = refusal(self.keyd.call(&CloseSession { handle }).await)?;
        }
        Ok(())
    }

    fn note(&self, note: &Note) {
        let direction = match note.direction {
            softsim_eap::Direction::Received => Direction::Received,
            softsim_eap::Direction::Sent => Direction::Sent,
        };
        let mut text = note.message.clone();
        for attribute in &note.attributes {
            text.push(' ');
            text.push_str(attribute);
        }
        if let Some(remark) = &note.remark {
            text.push_str(&format!(" ({remark})"));
        }
        self.progress.message(direction, text);
    }
}
