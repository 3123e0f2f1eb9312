//! Identities and fast re-authentication: keyd shows each identity only as often as allowed, and
//! accepts no counter twice.

use softsim_aka::Iv;
use softsim_aka::eap::decrypt;
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    IdentityKind, IdentityRequest, MAX_HANDLES, Method, Realm, ReauthenticationAnswer, Refusal,
};

use super::home::Context;
use super::sessions::{Fast, Session};
use super::{Keyd, Walk};
use crate::dice::Dice;
use crate::requests::identity;

const NETWORKS: [&str; 3] = ["WLAN", "WLAN:lobby", "OTHER"];
const METHODS: [Method; 2] = [Method::Aka, Method::AkaPrime];
const KINDS: [IdentityRequest; 6] = [
    IdentityRequest::Any,
    IdentityRequest::Any,
    IdentityRequest::FullAuthentication,
    IdentityRequest::Permanent,
    IdentityRequest::Anonymous,
    IdentityRequest::Suci,
];

impl<K: Keyd> Walk<K> {
    /// The subscription to which a request refers, if its profile is enabled.
    fn meant(&self, iccid: Option<&str>) -> Option<usize> {
        let enabled = self.profiles.enabled?;
        let its_own = |iccid: &str| self.home.subscriptions[enabled].iccid == iccid;
        iccid.is_none_or(its_own).then_some(enabled)
    }

    /// Asks for an identity, and checks that it is the expected one and that a re-authentication
    /// identity is shown once.
    pub(super) fn identity(&mut self, on: usize, dice: &mut Dice) {
        let iccid = self.home.any_iccid(dice);
        let request = Identity {
            iccid: (!dice.once_in(2)).then_some(&*iccid),
            method: *dice.pick(&METHODS),
            any_method: dice.once_in(2),
            kind: *dice.pick(&KINDS),
            inside: dice.once_in(2),
            realm: Realm::Wlan,
            network_name: dice.pick::<&str>(&NETWORKS),
        };
        self.ask_for_identity(on, &request);
        // That a network has refused the pseudonym is netd's word, and unlocks nothing under the
        // policy of a walk, which is conservative.
        if dice.once_in(4) {
            let iccid = request.iccid;
            let counts = dice.once_in(2);
            let refused = self.ask(on, &IdentityRefused { iccid, counts });
            assert!(self.meant(iccid).is_some() || refused.is_err());
        }
    }

    fn ask_for_identity(&mut self, on: usize, request: &Identity<'_>) {
        let answer = self.ask(on, request);
        let Some(subscription) = self.meant(request.iccid) else {
            return assert!(answer.is_err());
        };
        let expected = self.expected_identity(subscription, request);
        // As long as no authentication has succeeded, keyd withholds nothing, and shows the
        // permanent identity once the network has refused the stand-by.
        // Later, it withholds that in place of pseudonyms that were refused before the method.
        let free = self.home.names[subscription].proven.is_none();
        let in_its_place = match free {
            true => Ok(IdentityKind::Permanent),
            false => Err(Refusal::IdentityWithheld),
        };
        if expected == Ok(IdentityKind::Pseudonym)
            && (free || !request.inside)
            && answer.as_ref().map(|answer| answer.kind) == in_its_place.as_ref().copied()
        {
            return;
        }
        assert_eq!(
            answer.as_ref().map(|answer| answer.kind),
            expected.as_ref().copied()
        );
        let names = &mut self.home.names[subscription];
        match answer.map(|answer| (answer.kind, answer.nai)) {
            Ok((IdentityKind::Reauthentication, nai)) => {
                let context = names.context.as_mut().unwrap();
                assert_eq!(nai, context.identity);
                context.shown = true;
            }
            Ok((IdentityKind::Pseudonym, nai)) => {
                let mut known = [&names.proven, &names.stand_by].into_iter().flatten();
                assert!(known.any(|name| nai.starts_with(name)), "{nai}");
            }
            _ => {}
        }
    }

    fn expected_identity(
        &self,
        subscription: usize,
        request: &Identity<'_>,
    ) -> Result<IdentityKind, Refusal> {
        let names = &self.home.names[subscription];
        let may_use = |context: &Context| {
            let method = self.home.genuine(&context.challenge).unwrap().method;
            let network = method == Method::Aka || request.network_name.starts_with("WLAN");
            let fits = request.any_method || method == request.method;
            !context.shown && fits && network
        };
        let hidden = names.proven.is_some();
        let has_name = hidden || names.stand_by.is_some();
        match request.kind {
            IdentityRequest::Any if names.context.as_ref().is_some_and(may_use) => {
                Ok(IdentityKind::Reauthentication)
            }
            IdentityRequest::Any | IdentityRequest::FullAuthentication if has_name => {
                Ok(IdentityKind::Pseudonym)
            }
            IdentityRequest::Anonymous => Ok(IdentityKind::Anonymous),
            IdentityRequest::Suci if hidden => Err(Refusal::NoHomeNetworkKey),
            IdentityRequest::Suci => Ok(IdentityKind::NullSuci),
            _ if hidden => Err(Refusal::IdentityWithheld),
            _ => Ok(IdentityKind::Permanent),
        }
    }

    /// Sends a re-authentication request that is genuine and fresh, replayed, or forged.
    pub(super) fn reauthenticate(&mut self, on: usize, dice: &mut Dice) {
        let in_use = self.profiles.enabled;
        let context_of = |walk: &Self| in_use.and_then(|of| walk.home.names[of].context.clone());
        if let Some(context) = context_of(self)
            && !dice.once_in(3)
        {
            let request = Identity {
                method: self.home.genuine(&context.challenge).unwrap().method,
                ..identity(IdentityRequest::Any)
            };
            self.ask_for_identity(on, &request);
        }
        let current = context_of(self);
        let memory = &self.home.memory.contexts;
        let context = match current {
            Some(context) if !dice.once_in(3) => context,
            _ if memory.is_empty() => return,
            _ => dice.pick(memory).clone(),
        };
        let counter = match dice.below(6) {
            0 => context.counter,
            1 => dice.below(8) as u16,
            2 => context.counter.saturating_add(3),
            _ => context.counter.saturating_add(1),
        };
        let next = (!dice.once_in(3)).then(|| self.home.new_name("8"));
        let nonce_s = dice.octets();
        let genuine = self.home.genuine(&context.challenge).unwrap();
        let server = &genuine.sent.server;
        let mut packet = server.reauthentication(counter, nonce_s, next.as_deref());
        let mut right = true;
        if dice.once_in(6) {
            let place = dice.below(packet.len());
            packet[place] ^= 1 << dice.below(8);
            right = false;
        }
        let own = self.home.subscriptions[genuine.subscription].iccid.clone();
        let iccid = (!dice.once_in(3)).then_some(&*own);
        let identity = if dice.once_in(8) {
            right = false;
            "8nobody"
        } else {
            &context.identity
        };
        let answer = self.ask(
            on,
            &Reauthenticate {
                iccid,
                identity: identity.as_bytes(),
                packet: &packet,
            },
        );
        let known = self
            .meant(iccid)
            .and_then(|of| self.home.names[of].context.clone());
        right &= known.is_some_and(|known| {
            known.shown
                && known.identity == context.identity
                && known.challenge == context.challenge
                && known.counter == context.counter
        });
        let fast = |too_small| Fast {
            identity: context.identity.clone(),
            counter,
            nonce_s,
            next,
            too_small,
        };
        let (handle, session) = match answer {
            Ok(ReauthenticationAnswer::Fresh {
                handle,
                counter: got,
                nonce_s: nonce,
            }) => {
                assert!(right && counter > context.counter, "against the rules");
                assert_eq!((got, nonce), (counter, nonce_s));
                let once = (context.challenge.clone(), counter);
                assert!(
                    self.home.memory.accepted.insert(once),
                    "a counter came back"
                );
                self.home.names[in_use.unwrap()].context = None;
                self.given.reauthentications += 1;
                (handle, fast(false))
            }
            Ok(ReauthenticationAnswer::CounterTooSmall {
                handle,
                counter: got,
            }) => {
                assert!(right && counter <= context.counter && got == counter);
                (handle, fast(true))
            }
            Err(Refusal::TooManyHandles { .. }) => {
                let handles = self.connections[on].sessions.iter().filter(|of| of.open);
                return assert_eq!(handles.count(), MAX_HANDLES);
            }
            Err(refusal) => return assert!(!right, "{refusal}"),
        };
        let session = Session::fast(handle, context.challenge, session);
        self.forbidden.add_session(&self.home, &session);
        self.begin(on, session);
    }

    /// Asserts that keyd encrypts only the session's counter.
    pub(super) fn encrypt_counter(&mut self, on: usize, dice: &mut Dice) {
        let handle = self.any_handle(on, dice);
        match self.ask(on, &EncryptCounter { handle }) {
            Ok(mut answer) => {
                let session = self
                    .open_session(on, handle)
                    .expect("of another connection");
                let fast = session.fast.clone().expect("of a full authentication");
                let challenge = session.challenge.clone();
                let server = &self.home.genuine(&challenge).unwrap().sent.server;
                decrypt(&server.keys.k_encr, &Iv::new(answer.iv), &mut answer.data).unwrap();
                let [high, low] = fast.counter.to_be_bytes();
                let mut expected = vec![19, 1, high, low];
                if fast.too_small {
                    expected.extend([20, 1, 0, 0]);
                }
                assert_eq!(answer.data.len(), 16);
                assert_eq!(answer.data[..expected.len()], expected);
                self.given.counters += 1;
            }
            Err(refusal) => {
                if !self.refused_by_handle(on, handle, &refusal) {
                    assert_eq!(refusal, Refusal::NoReauthentication);
                    assert!(self.open_session(on, handle).unwrap().fast.is_none());
                }
            }
        }
    }
}
