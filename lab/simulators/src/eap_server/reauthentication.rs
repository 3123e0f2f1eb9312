//! Fast re-authentication (RFC 4187 §5, RFC 9048 §3.3).

use softsim_aka::NonceS;
use softsim_eap_packet::{AkaMessage, Attribute, Packet, Subtype, parse_encrypted};
use softsim_sandbox::random;

use super::register::{Context, Next, new_reauthentication};
use super::{Reason, Server, Session, State, Step};
use crate::auc::Auc;

/// One request to re-authenticate, and the data to check the response.
pub(super) struct Reauthentication {
    context: Context,
    nonce_s: NonceS,
    next: Next,
    /// AT_MAC of the request, which is part of the Session-Id.
    mac: [u8; 16],
}

impl Server {
    pub(super) fn reauthenticate(&mut self, context: Context) -> Step {
        let mut nonce_s = [0; NonceS::LENGTH];
        random::fill(&mut nonce_s);
        let next = Next {
            pseudonym: None,
            reauthentication: Some(new_reauthentication(self.method, &self.identity)),
        };
        let mut inside = vec![
            Attribute::Counter(context.counter),
            Attribute::NonceS(&nonce_s),
        ];
        inside.extend(next.attributes());
        let checkcode = self.identity_messages.checkcode();
        let mut builder = context
            .keys
            .encrypted(self.request(Subtype::Reauthentication), &inside)
            .attribute(Attribute::Checkcode(&checkcode));
        if self.config.result_indication {
            builder = builder.attribute(Attribute::ResultInd);
        }
        let packet = context.keys.authenticated(builder, &[]);
        let mac = mac_of(&packet);
        self.state = State::Reauthentication(Box::new(Reauthentication {
            context,
            nonce_s: NonceS::new(nonce_s),
            next,
            mac,
        }));
        Step::Request(packet)
    }

    pub(super) fn reauthentication_answered(
        &mut self,
        auc: &mut Auc,
        sent: Reauthentication,
        message: &AkaMessage<'_>,
    ) -> Step {
        let Context {
            imsi,
            keys,
            counter,
            ..
        } = sent.context;
        if !keys.authentic(message, sent.nonce_s.as_bytes()) {
            return self.notify_failure(Reason::Mac);
        }
        if !self.checkcode_fits(message) {
            return self.notify_failure(Reason::Checkcode);
        }
        let data = keys.decrypted(message).unwrap_or_default();
        let inside = match parse_encrypted(&data) {
            Ok(inside) => inside,
            Err(error) => return self.notify_failure(Reason::Malformed(error)),
        };
        if !inside.contains(&Attribute::Counter(counter)) {
            return self.notify_failure(Reason::Counter);
        }
        if inside.contains(&Attribute::CounterTooSmall) {
            let (kdfs, groups) = (self.config.kdfs.clone(), self.config.groups.clone());
            return self.challenge(auc, imsi, kdfs, groups, false);
        }
        let derived = keys.reauthenticate(&self.identity, counter, &sent.nonce_s);
        let method = [self.method.number()];
        let session = Session {
            imsi: imsi.clone(),
            method: self.method,
            msk: derived.msk,
            emsk: derived.emsk,
            session_id: [&method, sent.nonce_s.as_bytes().as_slice(), &sent.mac].concat(),
            reauthenticated: true,
            forward_secrecy: None,
            k_ausf: None,
        };
        let context = Context {
            imsi,
            keys: keys.duplicate(),
            counter: counter.saturating_add(1),
            network_name: self.config.network_name.clone(),
        };
        self.config.register.remember(sent.next, context);
        self.authenticated(keys, Some(counter), Box::new(session), message.result_ind())
    }
}

fn mac_of(packet: &[u8]) -> [u8; 16] {
    let packet = Packet::parse(packet).expect("built a moment ago");
    let message = packet.aka().expect("built a moment ago");
    *message.mac().expect("built with AT_MAC")
}
