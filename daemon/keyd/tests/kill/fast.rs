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

use crate::killed;

/// Fast re-authentications that follow a full one, at most.
const FAST: usize = 6;

/// Replayed after each kill.
const LAST: usize = 32;

/// What keyd may hold of the subscriber's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    pseudonym: Option<String>,
    /// The identity that was not shown yet.
    fast: Option<String>,
}

impl Names {
    /// What keyd says when it is asked for any identity.
    fn shown(&self) -> (IdentityKind, Option<String>) {
        let realm = "@wlan.mnc001.mcc001.3gppnetwork.org";
        match (&self.fast, &self.pseudonym) {
            (Some(fast), _) => (IdentityKind::Reauthentication, Some(fast.clone())),
            (None, Some(name)) => (IdentityKind::Pseudonym, Some(format!("{name}{realm}"))),
            (None, None) => (IdentityKind::Permanent, None),
        }
    }
}

/// The server, and what it knows.
pub(crate) struct Namer {
    seq: u64,
    names: u64,
    server: Option<Server>,
    /// The last counter that was accepted under the server's keys.
    counter: u16,
    confirmed: Names,
    /// What it becomes where an unanswered request took effect.
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

    /// One full authentication and some fast ones.
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

    /// Asks; where no answer comes, the names may be those of `then`.
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
        let answer = self.ask(keyd, &challenge(&sent.packet, IDENTITY), None)?;
        let AkaAnswer::Success { handle, .. } = answer else {
            panic!("a fresh AUTN was refused");
        };
        let names = Names {
            pseudonym: Some(pseudonym),
            fast: Some(fast),
        };
        (self.server, self.counter) = (Some(Server::of(&sent.keys)), 0);
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

    /// The identity for a fast re-authentication, which is there.
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

    /// After a start: the names are those that keyd confirmed, nothing that was accepted is
    /// accepted again, and the counter is where it was.
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
                // Of a full authentication whose Confirm had no effect: these are the keys before
                // it.
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
