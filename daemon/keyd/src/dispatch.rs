//! Passes a request to its handler, after checking that it is known, permitted to the role, within
//! the rate limit, and of the right shape.

use core::time::Duration;

use serde::Deserialize;
use softsim_keyd_proto::requests::Status;
use softsim_keyd_proto::{
    Call, MAX_ANSWER, Refusal, RequestKind, decode_request, encode_answer, is_refusal, kind_of,
};

use crate::keyd::{Client, Keyd};
use crate::provision::Staged;

impl Keyd {
    /// Serves one request of a client, and returns the length of the answer in `answer`.
    ///
    /// `now` is the time of the boot clock. The answer must not leave before [`Keyd::flush`].
    pub fn serve(
        &mut self,
        client: &mut Client,
        now: Duration,
        datagram: &[u8],
        answer: &mut [u8; MAX_ANSWER],
    ) -> usize {
        let length = match self.admit(client, now, datagram) {
            Ok(request) => self.dispatch(request, client, datagram, answer),
            Err(refusal) => self.refuse(refusal, answer),
        };
        let of_hello = datagram.first() == Some(&(RequestKind::Hello as u8));
        client.over |= of_hello && is_refusal(&answer[..length]);
        length
    }

    /// Checks a request before its fields are decoded.
    fn admit(
        &mut self,
        client: &Client,
        now: Duration,
        datagram: &[u8],
    ) -> Result<RequestKind, Refusal> {
        let request = kind_of(datagram)?;
        let group =
            self.service.policies[client.role]
                .group_of(request)
                .ok_or(Refusal::NotPermitted {
                    request,
                    role: client.role,
                })?;
        // A Commit of something that an operator has newly signed can't come more often than the
        // operator signs.
        let signed = self.staged[client.role]
            .as_ref()
            .is_some_and(Staged::is_signed);
        let wears = !(request == RequestKind::Commit && signed);
        self.rates
            .take(client.account, group, wears, now)
            .map_err(|milliseconds| Refusal::RetryAfter { milliseconds })?;
        Ok(request)
    }

    fn dispatch(
        &mut self,
        request: RequestKind,
        client: &mut Client,
        datagram: &[u8],
        answer: &mut [u8; MAX_ANSWER],
    ) -> usize {
        use RequestKind as Kind;
        let way = Way {
            keyd: self,
            client,
            datagram,
            answer,
        };
        match request {
            Kind::Hello => way.to(|keyd, client, request| keyd.hello(client, request)),
            Kind::Status => way.to(Keyd::status),
            Kind::Identity => way.to(Keyd::identity),
            Kind::AkaPrimeChallenge => way.to(Keyd::aka_prime_challenge),
            Kind::AkaChallenge => way.to(Keyd::aka_challenge),
            Kind::Reauthenticate => way.to(Keyd::reauthenticate),
            Kind::EncryptCounter => way.to(Keyd::encrypt_counter),
            Kind::Confirm => way.to(Keyd::confirm),
            Kind::EapMac => way.to(Keyd::eap_mac),
            Kind::EapVerify => way.to(Keyd::eap_verify),
            Kind::CloseSession => way.to(Keyd::close_session),
            Kind::DeviceCertificate => way.to(|keyd, _, request| keyd.device_certificate(request)),
            Kind::SignHandshake => way.to(|keyd, _, request| keyd.sign_handshake(request)),
            Kind::PskMasterSecret => way.to(|keyd, _, request| keyd.psk_master_secret(request)),
            Kind::Stage => way.to(Keyd::stage),
            Kind::StageAccounts => way.to(Keyd::stage_accounts),
            Kind::Commit => way.to(Keyd::commit),
            Kind::Abort => way.to(Keyd::abort),
            Kind::ListProfiles => way.to(|keyd, _, request| keyd.list_profiles(request)),
            Kind::Enable => way.to(|keyd, _, request| keyd.enable(request)),
            Kind::Disable => way.to(|keyd, _, request| keyd.disable(request)),
            Kind::Delete => way.to(|keyd, _, request| keyd.delete(request)),
            Kind::Sign => way.to(Keyd::sign),
            Kind::ApplicationKey => way.to(|keyd, _, request| keyd.application_key(request)),
            Kind::AkmaKey => way.to(Keyd::akma_key),
            Kind::ForgetIdentities => way.to(|keyd, _, request| keyd.forget_identities(request)),
            Kind::UmtsAuthenticate => way.to(|keyd, _, request| keyd.umts_authenticate(request)),
            Kind::GenerateDeviceKey => way.to(|keyd, _, request| keyd.generate_device_key(request)),
            Kind::CertificateRequest => {
                way.to(|keyd, _, request| keyd.certificate_request(request))
            }
            Kind::SetDeviceCertificate => {
                way.to(|keyd, _, request| keyd.set_device_certificate(request))
            }
            Kind::SealingStatement => way.to(|keyd, _, request| keyd.sealing_statement(request)),
            Kind::AddTrustAnchor => way.to(|keyd, _, request| keyd.add_trust_anchor(request)),
            Kind::RemoveTrustAnchor => way.to(|keyd, _, request| keyd.remove_trust_anchor(request)),
        }
    }

    /// Counts and encodes a refusal, whatever the request was.
    fn refuse(&mut self, refusal: Refusal, answer: &mut [u8; MAX_ANSWER]) -> usize {
        match refusal {
            Refusal::RetryAfter { .. } => self.counters.rate_limited += 1,
            _ => self.counters.refused += 1,
        }
        write::<Status>(Err(refusal), answer)
    }
}

/// One request between its datagram and its answer.
struct Way<'a, 'd> {
    keyd: &'a mut Keyd,
    client: &'a mut Client,
    datagram: &'d [u8],
    answer: &'a mut [u8; MAX_ANSWER],
}

impl<'d> Way<'_, 'd> {
    /// Decodes the request that `handler` takes, lets it answer, and encodes its answer.
    fn to<C: Call + Deserialize<'d>>(
        self,
        handler: impl FnOnce(&mut Keyd, &mut Client, C) -> Result<C::Answer, Refusal>,
    ) -> usize {
        match decode_request::<C>(self.datagram) {
            Ok(request) => write::<C>(handler(self.keyd, self.client, request), self.answer),
            Err(malformed) => self.keyd.refuse(malformed, self.answer),
        }
    }
}

/// Encodes an answer.
fn write<C: Call>(result: Result<C::Answer, Refusal>, answer: &mut [u8; MAX_ANSWER]) -> usize {
    encode_answer::<C>(&result, answer)
        .expect(
            "a certificate and a page of profiles, the longest answers, take a quarter of the room",
        )
        .len()
}
