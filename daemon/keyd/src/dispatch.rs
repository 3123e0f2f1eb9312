//! Passes a request to its handler, after checking that it is known, permitted to the role, within
//! the rate limit, and of the right shape.

use core::time::Duration;

use serde::Deserialize;
use softsim_keyd_proto::requests::{Status, Wait};
use softsim_keyd_proto::{
    Call, MAX_ANSWER, Refusal, RequestKind, Role, decode_request, encode_answer, is_refusal,
    kind_of,
};

use crate::device::Keys;
use crate::eap::Sessions;
use crate::keyd::{Client, Keyd};
use crate::provision::Provisioning;
use crate::sim::Sim;
use crate::vault::Vault;
use crate::{akma, application, device, eap, psk, status};

impl Keyd {
    /// Serves one request of a client, and returns the length of the answer in `answer`: 0 if the
    /// client waits from now on.
    ///
    /// `now` is the time of the boot clock. The answer must not leave before [`Keyd::flush`].
    pub fn serve(
        &mut self,
        client: &mut Client,
        now: Duration,
        datagram: &[u8],
        answer: &mut [u8; MAX_ANSWER],
    ) -> usize {
        self.now = now;
        let length = match self.admit(client, now, datagram) {
            Ok(request) => {
                let length = self.dispatch(request, client, datagram, answer);
                self.changes += u64::from(changes(request) && !is_refusal(&answer[..length]));
                length
            }
            Err(refusal) => self.refuse(refusal, answer),
        };
        let of_hello = datagram.first() == Some(&(RequestKind::Hello as u8));
        client.over |= of_hello && is_refusal(&answer[..length]);
        length
    }

    /// Answers a client that waits, once something has changed that it hasn't seen. Returns the
    /// length of the answer; 0 if there is none.
    pub fn tell(&self, client: &mut Client, answer: &mut [u8; MAX_ANSWER]) -> usize {
        match client.waits.take_if(|seen| *seen != self.changes) {
            Some(_) => write::<Wait>(status::status(self, client.role), answer),
            None => 0,
        }
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
        // A Commit of a newly signed package doesn't count towards the limit on writes, because it
        // can't occur more often than an operator signs.
        let signed = self.transactions.is_signed(client.role);
        let wears = !(request == RequestKind::Commit && signed);
        self.rates
            .take((client.role, client.uid), group, wears, now)
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
        let exchange = Exchange {
            keyd: self,
            client,
            datagram,
            answer,
        };
        match request {
            Kind::Hello => exchange.with(|_, client, request| status::hello(client.role, request)),
            Kind::Status => {
                exchange.with(|keyd, client, Status {}| status::status(keyd, client.role))
            }
            Kind::Wait => exchange.wait(),
            Kind::Identity => exchange.with(|keyd, client, request| {
                keyd.sim(&mut client.refusals)
                    .identity(client.role, request)
            }),
            Kind::AkaPrimeChallenge => exchange
                .with_sim(|sim, sessions, request| sim.aka_prime_challenge(sessions, request)),
            Kind::AkaChallenge => {
                exchange.with_sim(|sim, sessions, request| sim.aka_challenge(sessions, request))
            }
            Kind::Reauthenticate => {
                exchange.with_sim(|sim, sessions, request| sim.reauthenticate(sessions, request))
            }
            Kind::EncryptCounter => exchange.with_sessions(eap::encrypt_counter),
            Kind::Confirm => exchange.with(|keyd, client, request| {
                let (vault, anchored) = (&mut keyd.vault, &mut keyd.anchored);
                eap::confirm(&mut client.sessions, vault, anchored, request)
            }),
            Kind::IdentityRefused => {
                exchange.with_sim(|sim, _, request| sim.identity_refused(request))
            }
            Kind::EapMac => exchange.with_sessions(eap::eap_mac),
            Kind::EapVerify => exchange.with(|keyd, client, request| {
                eap::eap_verify(&mut client.sessions, &mut keyd.counters, request)
            }),
            Kind::CloseSession => exchange.with_sessions(eap::close_session),
            Kind::DeviceCertificate => exchange.with_vault(device::device_certificate),
            Kind::SignHandshake => exchange.with(|keyd, _, request| {
                let keys = device::made(&keyd.keys)?;
                device::sign_handshake(keys, &keyd.vault, &mut keyd.counters, request)
            }),
            Kind::PskMasterSecret => exchange.with_vault(psk::psk_master_secret),
            Kind::Stage => {
                exchange.provision(|provisioning, role, request| provisioning.stage(role, request))
            }
            Kind::StageAccounts => exchange.with(|keyd, client, request| {
                let (transactions, vault) = (&mut keyd.transactions, &keyd.vault);
                psk::stage_accounts(transactions, vault, client.role, request)
            }),
            Kind::Commit => {
                exchange.provision(|provisioning, role, request| provisioning.commit(role, request))
            }
            Kind::Abort => {
                exchange.provision(|provisioning, role, request| provisioning.abort(role, request))
            }
            Kind::ListProfiles => {
                exchange.with(|keyd, _, request| status::list_profiles(keyd, request))
            }
            Kind::Enable => {
                exchange.provision(|provisioning, _, request| provisioning.enable(request))
            }
            Kind::Disable => {
                exchange.provision(|provisioning, _, request| provisioning.disable(request))
            }
            Kind::Delete => {
                exchange.provision(|provisioning, _, request| provisioning.delete(request))
            }
            Kind::Sign => exchange.with(|keyd, client, request| {
                application::sign(device::made(&keyd.keys)?, client.uid, request)
            }),
            Kind::ApplicationKey => exchange.with_keys(application::application_key),
            Kind::AkmaKey => exchange.with(|keyd, client, request| {
                let (anchored, afs) = (keyd.anchored.as_ref(), &keyd.service.afs);
                akma::akma_key(&keyd.vault, anchored, afs, client.uid, request)
            }),
            Kind::ForgetIdentities => {
                exchange.with_sim(|sim, _, request| sim.forget_identities(request))
            }
            Kind::UmtsAuthenticate => {
                exchange.with_sim(|sim, _, request| sim.umts_authenticate(request))
            }
            Kind::GenerateDeviceKey => exchange.with(|keyd, _, request| {
                device::generate_device_key(&mut keyd.keys, &mut keyd.vault, request)
            }),
            Kind::CertificateRequest => exchange.with_keys(device::certificate_request),
            Kind::SetDeviceCertificate => exchange.with(|keyd, _, request| {
                device::set_device_certificate(device::made(&keyd.keys)?, &mut keyd.vault, request)
            }),
            Kind::SealingStatement => exchange.with_keys(device::sealing_statement),
            Kind::AddTrustAnchor => exchange.with_vault_mut(device::add_trust_anchor),
            Kind::SetTimeBack => {
                exchange.provision(|provisioning, _, request| provisioning.set_time_back(request))
            }
            Kind::RemoveTrustAnchor => exchange.with_vault_mut(device::remove_trust_anchor),
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

/// Whether a request that keyd carries out may change what a client that waits has to know.
fn changes(request: RequestKind) -> bool {
    use RequestKind as Kind;
    matches!(
        request,
        Kind::Commit
            | Kind::Enable
            | Kind::Disable
            | Kind::Delete
            | Kind::ForgetIdentities
            | Kind::GenerateDeviceKey
            | Kind::SetDeviceCertificate
            | Kind::AddTrustAnchor
            | Kind::RemoveTrustAnchor
            | Kind::SetTimeBack
    )
}

/// One request between its datagram and its answer.
struct Exchange<'a, 'd> {
    keyd: &'a mut Keyd,
    client: &'a mut Client,
    datagram: &'d [u8],
    answer: &'a mut [u8; MAX_ANSWER],
}

impl<'d> Exchange<'_, 'd> {
    /// Decodes the request, calls `handler` with keyd and the request, and encodes the answer.
    fn with<C: Call + Deserialize<'d>>(
        self,
        handler: impl FnOnce(&mut Keyd, &mut Client, C) -> Result<C::Answer, Refusal>,
    ) -> usize {
        match decode_request::<C>(self.datagram) {
            Ok(request) => write::<C>(handler(self.keyd, self.client, request), self.answer),
            Err(malformed) => self.keyd.refuse(malformed, self.answer),
        }
    }

    /// Has the client wait, unless there is something to tell already.
    fn wait(self) -> usize {
        match decode_request::<Wait>(self.datagram) {
            Ok(Wait { seen }) => {
                self.client.waits = Some(seen);
                self.keyd.tell(self.client, self.answer)
            }
            Err(malformed) => self.keyd.refuse(malformed, self.answer),
        }
    }

    /// Like [`Exchange::with`], for a handler that provisions for the client's role.
    fn provision<C: Call + Deserialize<'d>>(
        self,
        handler: impl FnOnce(&mut Provisioning<'_>, Role, C) -> Result<C::Answer, Refusal>,
    ) -> usize {
        self.with(|keyd, client, request| {
            let result = handler(&mut keyd.provisioning(), client.role, request);
            keyd.count_subscriber_change();
            result
        })
    }

    /// Like [`Exchange::with`], for a handler that needs only the SIM and the connection's
    /// sessions.
    fn with_sim<C: Call + Deserialize<'d>>(
        self,
        handler: impl FnOnce(&mut Sim<'_>, &mut Sessions, C) -> Result<C::Answer, Refusal>,
    ) -> usize {
        self.with(|keyd, client, request| {
            let mut sim = keyd.sim(&mut client.refusals);
            handler(&mut sim, &mut client.sessions, request)
        })
    }

    /// Like [`Exchange::with`], for a handler that needs only the connection's sessions.
    fn with_sessions<C: Call + Deserialize<'d>>(
        self,
        handler: impl FnOnce(&mut Sessions, C) -> Result<C::Answer, Refusal>,
    ) -> usize {
        self.with(|_, client, request| handler(&mut client.sessions, request))
    }

    /// Like [`Exchange::with`], for a handler that needs only the device's keys.
    fn with_keys<C: Call + Deserialize<'d>>(
        self,
        handler: impl FnOnce(&Keys, C) -> Result<C::Answer, Refusal>,
    ) -> usize {
        self.with(|keyd, _, request| handler(device::made(&keyd.keys)?, request))
    }

    /// Like [`Exchange::with`], for a handler that needs only the vault, and doesn't change it.
    fn with_vault<C: Call + Deserialize<'d>>(
        self,
        handler: impl FnOnce(&Vault, C) -> Result<C::Answer, Refusal>,
    ) -> usize {
        self.with(|keyd, _, request| handler(&keyd.vault, request))
    }

    /// Like [`Exchange::with`], for a handler that needs only the vault, and may change it.
    fn with_vault_mut<C: Call + Deserialize<'d>>(
        self,
        handler: impl FnOnce(&mut Vault, C) -> Result<C::Answer, Refusal>,
    ) -> usize {
        self.with(|keyd, _, request| handler(&mut keyd.vault, request))
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
