//! EAP-AKA' challenges: AUTN first, then AT_MAC, and only where both hold RES, a session and a used SQN.

use softsim_aka::eap::AkaPrimeKeys;
use softsim_aka::kdf;
use softsim_keyd_proto::requests::AkaPrimeChallenge;
use softsim_keyd_proto::{AkaAnswer, AutnFault, PacketFault, Refusal, SecretBytes};
use softsim_profile::Profile;
use softsim_usim::{AuthenticationFailure, SeparationBit};

use crate::event::Event;
use crate::keyd::{Client, Keyd};
use crate::packet::Challenge;
use crate::vault::Storage;

/// An access network identity with this prefix is that of a 5G serving network (RFC 9048 §5.3.1).
const SERVING_NETWORK_5G: &[u8] = b"5G:";

impl<S: Storage> Keyd<S> {
    pub(crate) fn aka_prime_challenge(
        &mut self,
        client: &mut Client,
        request: AkaPrimeChallenge<'_>,
    ) -> Result<AkaAnswer, Refusal> {
        let challenge = Challenge::parse(request.packet).map_err(Refusal::Packet)?;
        let slot = self.profile_in_use(request.iccid)?;
        client.sessions.check_room()?;

        let stored = self.vault.profile(slot).ok_or(Refusal::NoProfile)?;
        let profile = &stored.profile;
        let algorithm = profile.credentials.functions();
        let verified = match stored.sqn().check(
            &algorithm,
            &challenge.rand,
            &challenge.autn,
            SeparationBit::Required,
        ) {
            Ok(verified) => verified,
            Err(failure) => return self.autn_failed(failure),
        };

        let (ck_prime, ik_prime) = kdf::ck_ik_prime(
            &verified.ck,
            &verified.ik,
            challenge.network_name,
            verified.sqn_xor_ak,
        );
        let identity = derivation_identity(profile, &challenge, request.identity);
        let keys = AkaPrimeKeys::derive(&ck_prime, &ik_prime, identity);
        if !challenge.maced.verify(&keys.k_aut) {
            self.counters.packet_mac_rejected += 1;
            Event::PacketMac.log();
            return Err(Refusal::Packet(PacketFault::Mac));
        }

        // Durable before the answer leaves: the loop flushes first.
        self.vault
            .change_sqn(slot, |sqn| sqn.accept(&verified))
            .expect("the profile was there a moment ago")
            .expect("nothing used the SQN since it was checked");
        self.counters.authentications += 1;
        Ok(AkaAnswer::Success {
            handle: client.sessions.open(keys),
            res: SecretBytes::new(verified.res.as_bytes().to_vec()),
            public_key: None,
        })
    }

    fn autn_failed(&mut self, failure: AuthenticationFailure) -> Result<AkaAnswer, Refusal> {
        let fault = match failure {
            AuthenticationFailure::SyncFailure(auts) => {
                self.counters.synchronisation_failures += 1;
                Event::SynchronisationFailure.log();
                return Ok(AkaAnswer::SynchronisationFailure {
                    auts: *auts.as_bytes(),
                });
            }
            AuthenticationFailure::MacFailure => AutnFault::Mac,
            AuthenticationFailure::SeparationBit => AutnFault::SeparationBit,
        };
        self.counters.autn_rejected += 1;
        Event::Autn(fault).log();
        Err(Refusal::Autn(fault))
    }
}

/// The identity that enters the key derivation: the one that was sent (RFC 9048 §3.3.1), but the digits of
/// the IMSI in a 5G serving network, whatever was sent (TS 33.501 Annex F.3).
fn derivation_identity<'a>(
    profile: &'a Profile,
    challenge: &Challenge<'_>,
    sent: &'a [u8],
) -> &'a [u8] {
    if challenge
        .network_name
        .as_bytes()
        .starts_with(SERVING_NETWORK_5G)
    {
        profile.imsi.digits().as_bytes()
    } else {
        sent
    }
}
