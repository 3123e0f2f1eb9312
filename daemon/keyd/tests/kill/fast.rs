//! A server that assigns identities and re-authenticates until keyd is killed, and the check of
//! what keyd has stored.

use std::fmt;

use softsim_client::keyd::{Connection, Error};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, Call, IdentityKind, IdentityRequest, ReauthenticationAnswer, Refusal, Role,
};
use softsim_testkit::dice::Dice;
use softsim_testkit::home_network::*;
use softsim_testkit::host::Host;
use softsim_testkit::requests::*;

use crate::killed;

/// The highest number of fast re-authentications after a full authentication.
const FAST: usize = 6;

/// How many requests are replayed after each kill.
const LAST: usize = 32;

/// The identities that keyd may have stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    pseudonym: Option<String>,
    /// Whether an authentication has succeeded: until then, the newest pseudonym is shown.
    proven: bool,
    /// The re-authentication identity that keyd hasn't shown yet.
    fast: Option<String>,
}

impl Names {
    /// keyd's answer to a request for any identity.
    fn shown(&self) -> (IdentityKind, Option<String>) {
        let realm = "@wlan.mnc001.mcc001.3gppnetwork.org";
        match (&self.fast, &self.pseudonym) {
            (Some(fast), _) => (IdentityKind::Reauthentication, Some(fast.clone())),
            (None, Some(name)) => (IdentityKind::Pseudonym, Some(format!("{name}{realm}"))),
            (None, None) => (IdentityKind::Permanent, None),
        }
    }
}

/// The server, and the state that it expects of keyd.
pub(crate) struct Namer {
    seq: u64,
    names: u64,
    server: Option<Server>,
    /// The last counter that keyd accepted under the server's keys.
    counter: u16,
    confirmed: Names,
    /// The identities that keyd has stored if an unanswered request took effect.
    pending: Option<Names>,
    accepted: Vec<(String, Vec<u8>)>,
    kept: usize,
    changed: usize,
}

impl Namer {
    pub(crate) fn new() -> Self {
        Self {
            seq: 0,
            names: 0,
            server: None,
            counter: 0,
            confirmed: Names::default(),
            pending: None,
            accepted: Vec::new(),
            kept: 0,
            changed: 0,
        }
    }

    pub(crate) fn until_killed(&mut self, host: &Host, mut dice: Dice) {
        match Connection::connect(&host.path(Role::Network.name())) {
            Ok(mut keyd) => while self.once(&mut keyd, &mut dice).is_ok() {},
            Err(error) => assert!(killed(&error), "{error}"),
        }
    }

    /// Makes one full authentication and some fast re-authentications.
    fn once(&mut self, keyd: &mut Connection, dice: &mut Dice) -> Result<(), Error> {
        self.full(keyd)?;
        for _ in 0..dice.below(FAST) {
            self.fast(keyd)?;
        }
        Ok(())
    }

    fn next_name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    /// Sends a request. If no answer comes, keyd may have stored the identities `then`.
    fn ask<C: Call>(
        &mut self,
        keyd: &mut Connection,
        call: &C,
        then: Option<Names>,
    ) -> Result<C::Answer, Error> {
        self.pending = then.clone();
        match keyd.call(call) {
            Ok(answer) => {
                self.confirmed = then.unwrap_or_else(|| self.confirmed.clone());
                self.pending = None;
                Ok(answer)
            }
            Err(error) => {
                assert!(killed(&error), "{}: {error}", C::KIND);
                Err(error)
            }
        }
    }

    fn full(&mut self, keyd: &mut Connection) -> Result<(), Error> {
        self.seq += 1;
        let (pseudonym, fast) = (self.next_name("7"), self.next_name("8"));
        let sent = HomeNetwork::naming(Some(&pseudonym), Some(&fast)).challenge(self.seq << 5);
        let mut stand_by = self.confirmed.clone();
        if !stand_by.proven {
            stand_by.pseudonym = Some(pseudonym.clone());
        }
        let answer = self.ask(keyd, &challenge(&sent.packet, IDENTITY), Some(stand_by))?;
        let AkaAnswer::Success { handle, .. } = answer else {
            panic!("a fresh AUTN was refused");
        };
        let names = Names {
            pseudonym: Some(pseudonym),
            proven: true,
            fast: Some(fast),
        };
        (self.server, self.counter) = (Some(sent.server), 0);
        self.ask(keyd, &Confirm { handle, msk: None }, Some(names))?;
        self.ask(keyd, &CloseSession { handle }, None)
    }

    fn fast(&mut self, keyd: &mut Connection) -> Result<(), Error> {
        let shown = self.show(keyd)?;
        let next = self.next_name("8");
        let counter = self.counter + 1;
        let server = self.server.as_ref().unwrap();
        let packet = server.reauthentication(counter, [self.names as u8; 16], Some(&next));
        let answer = self.ask(keyd, &reauthenticate(&packet, &shown), None)?;
        let ReauthenticationAnswer::Fresh { handle, .. } = answer else {
            panic!("counter {counter} was refused");
        };
        self.counter = counter;
        self.accepted.push((shown, packet));
        let names = Names {
            fast: Some(next),
            ..self.confirmed.clone()
        };
        self.ask(keyd, &Confirm { handle, msk: None }, Some(names))?;
        self.ask(keyd, &CloseSession { handle }, None)
    }

    /// Asks for the re-authentication identity, which keyd must have.
    fn show(&mut self, keyd: &mut Connection) -> Result<String, Error> {
        let fast = self.confirmed.fast.clone().unwrap();
        let then = Names {
            fast: None,
            ..self.confirmed.clone()
        };
        let answer = self.ask(keyd, &identity(IdentityRequest::Any), Some(then))?;
        assert_eq!(answer.kind, IdentityKind::Reauthentication);
        assert_eq!(answer.nai, fast);
        Ok(fast)
    }

    /// Checks after a start that keyd has the identities that it confirmed, accepts no request
    /// twice, and has kept the counter.
    pub(crate) fn check(&mut self, host: &Host) {
        let mut keyd = host.connect(Role::Network);
        let got = keyd.call(&identity(IdentityRequest::Any)).unwrap();
        let permanent = got.kind == IdentityKind::Permanent;
        let got = (got.kind, (!permanent).then_some(got.nai));
        let pending = self.pending.take();
        if let Some(names) = pending.clone().filter(|names| names.shown() == got) {
            self.confirmed = names;
            self.changed += 1;
        } else {
            assert_eq!(got, self.confirmed.shown(), "or {pending:?}");
            self.kept += 1;
        }
        for (identity, packet) in self.accepted.iter().rev().take(LAST) {
            let again = keyd.call(&reauthenticate(packet, identity));
            let refused = matches!(again, Err(Error::Refused(Refusal::NoReauthentication)));
            assert!(refused, "a re-authentication of {identity} was taken again");
        }
        if let ((IdentityKind::Reauthentication, Some(identity)), Some(server)) =
            (got, &self.server)
        {
            let packet = server.reauthentication(self.counter, [0; 16], None);
            match keyd.call(&reauthenticate(&packet, &identity)) {
                Ok(ReauthenticationAnswer::CounterTooSmall { .. }) => {}
                // The Confirm of the full authentication had no effect, so these are the earlier
                // keys.
                Err(Error::Refused(Refusal::Packet(_))) => {}
                other => panic!("counter {} again: {other:?}", self.counter),
            }
        }
        self.confirmed.fast = None;
    }
}

impl fmt::Display for Namer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} re-authentications accepted, none again; names as confirmed {} times, as last asked {} times",
            self.accepted.len(),
            self.kept,
            self.changed
        )
    }
}
