//! The counter with a TPM in memory, which answers as a real one does, or fails.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::*;
use crate::tpm::MAX_RESPONSE;

const INDEX: Index = Index::DEFAULT;

/// A TPM with room for one index.
#[derive(Default)]
struct Tpm {
    defined: bool,
    written: bool,
    value: u64,
    /// The highest value that a counter ever had.
    highest: u64,
    /// Response codes for the next commands.
    refusals: VecDeque<u32>,
    /// Response codes for every Increment.
    spares_its_memory: bool,
    commands: Vec<u32>,
    waited: Duration,
}

impl Tpm {
    fn with(value: u64) -> Self {
        Self {
            defined: true,
            written: true,
            value,
            highest: value,
            ..Self::default()
        }
    }

    fn respond(&mut self, code: u32) -> Result<Vec<u8>, u32> {
        if let Some(refusal) = self.refusals.pop_front() {
            return Err(refusal);
        }
        match code {
            0x169 if !self.defined => Err(0x18b),
            0x169 => {
                let mut public = hex::decode("000e01800010000b0206001600000008").unwrap();
                public[8] |= u8::from(self.written) << 5;
                public.extend([0, 34]);
                public.extend([7; 34]);
                Ok(public)
            }
            0x12a if self.defined => Err(0x14c),
            0x12a => {
                (self.defined, self.written) = (true, false);
                Ok(Vec::new())
            }
            0x134 if self.spares_its_memory => Err(0x920),
            0x134 => {
                let from = if self.written {
                    self.value
                } else {
                    self.highest
                };
                (self.value, self.written) = (from + 1, true);
                self.highest = self.highest.max(self.value);
                Ok(Vec::new())
            }
            0x14e if !self.written => Err(0x14a),
            0x14e => Ok([&[0, 8], &self.value.to_be_bytes()[..]].concat()),
            other => panic!("{other:#x}"),
        }
    }
}

impl Transport for &mut Tpm {
    fn transmit<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8; MAX_RESPONSE],
    ) -> io::Result<&'r [u8]> {
        let code = u32::from_be_bytes(*command[6..].first_chunk().unwrap());
        self.commands.push(code);
        let sessions = command[1] == 2;
        let (tag, code, rest) = match self.respond(code) {
            Err(refusal) => (1, refusal, Vec::new()),
            Ok(parameters) if sessions => {
                let size = (parameters.len() as u32).to_be_bytes();
                (2, 0, [&size, &*parameters, &[0, 0, 1, 0, 0]].concat())
            }
            Ok(parameters) => (1, 0, parameters),
        };
        let size = (10 + rest.len()) as u32;
        let whole = [
            &[0x80, tag],
            &size.to_be_bytes()[..],
            &code.to_be_bytes(),
            &rest,
        ]
        .concat();
        let place = &mut response[..whole.len()];
        place.copy_from_slice(&whole);
        Ok(place)
    }

    fn pause(&mut self, pause: Duration) {
        self.waited += pause;
    }
}

#[test]
fn a_counter_is_defined_and_raised_once_where_there_is_none() {
    let mut tpm = Tpm {
        highest: 41,
        ..Tpm::default()
    };
    let mut counter = Counter::open(&mut tpm, INDEX).unwrap();
    assert_eq!(counter.value().unwrap(), 42, "above every counter that was");
    let commands = [0x169, 0x12a, 0x169, 0x134, 0x14e, 0x14e];
    assert_eq!(tpm.commands, commands);
}

#[test]
fn a_definition_that_was_cut_off_is_finished() {
    let mut tpm = Tpm {
        defined: true,
        ..Tpm::default()
    };
    assert_eq!(Counter::open(&mut tpm, INDEX).unwrap().value().unwrap(), 1);
}

#[test]
fn a_counter_that_is_there_is_left_as_it_is() {
    let mut tpm = Tpm::with(7);
    assert_eq!(Counter::open(&mut tpm, INDEX).unwrap().value().unwrap(), 7);
    assert_eq!(tpm.commands, [0x169, 0x14e, 0x14e]);
}

#[test]
fn it_rises_one_step_at_most() {
    let mut tpm = Tpm::with(7);
    let mut counter = Counter::open(&mut tpm, INDEX).unwrap();
    counter.advance(8).unwrap();
    counter.advance(8).unwrap();
    for to in [0, 7, 10, u64::MAX] {
        let error = counter.advance(to).unwrap_err().to_string();
        let expected = format!("expected one step from epoch 8, got a step to {to}");
        assert_eq!(error, expected);
    }
    assert_eq!(tpm.value, 8);
}

#[test]
fn a_counter_that_others_raise_is_noticed() {
    let mut tpm = Tpm::with(7);
    Counter::open(&mut tpm, INDEX).unwrap();
    let mut counter = Counter {
        tpm: &mut tpm,
        index: INDEX,
        // Somebody raised it from there.
        value: 6,
    };
    let error = counter.advance(7).unwrap_err();
    assert!(matches!(
        error,
        AdvanceError::NotOneStep { value: 8, to: 7 }
    ));
    assert!(counter.advance(9).is_ok());
}

#[test]
fn a_tpm_that_asks_for_patience_gets_some() {
    let mut tpm = Tpm::with(7);
    tpm.refusals = [0x922, 0x90a, 0x908, 0x920, 0x922].into();
    let mut counter = Counter::open(&mut tpm, INDEX).unwrap();
    counter.advance(8).unwrap();
    assert_eq!(tpm.waited, Duration::from_millis(380));
}

#[test]
fn patience_has_an_end() {
    let mut tpm = Tpm::with(7);
    tpm.spares_its_memory = true;
    let mut counter = Counter::open(&mut tpm, INDEX).unwrap();
    let error = counter.advance(8).unwrap_err().to_string();
    let expected =
        "TPM2_NV_Increment: the TPM refused: 0x920 (it spares its memory: TPM_RC_NV_RATE)";
    assert_eq!(error, expected);
    assert!(tpm.waited < Duration::from_secs(2), "{:?}", tpm.waited);
}

#[test]
fn any_other_refusal_is_an_error_at_once() {
    let mut tpm = Tpm {
        refusals: [0x18b, 0x9a2].into(),
        ..Tpm::default()
    };
    let error = Counter::open(&mut tpm, INDEX).err().unwrap().to_string();
    let expected = "TPM2_NV_DefineSpace: the TPM refused: 0x9a2 (the owner has a password, so define the index by hand)";
    assert_eq!(error, expected);
    assert_eq!(tpm.commands.len(), 2);
}
