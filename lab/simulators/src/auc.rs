//! The authentication centre: the subscribers, and the sequence numbers of their vectors (TS 33.102
//! §6.3.2, §6.3.5 and C.1).

use std::collections::BTreeMap;

use softsim_aka::{Amf, Auts, Credentials, Functions, Rand, Sqn};
use softsim_lab_aka::{AuthenticationVector, sqn_ms};

/// The AuC's data of one subscriber.
pub struct Subscriber {
    algorithm: Functions,
    amf: Amf,
    ind_bits: u8,
    sqn: Sqn,
}

impl Subscriber {
    /// A subscriber whose last used sequence number is `sqn`, the `ind_bits` lowest bits of which
    /// are IND.
    pub fn new(credentials: &Credentials, amf: Amf, sqn: Sqn, ind_bits: u8) -> Self {
        Self {
            algorithm: credentials.functions(),
            amf,
            ind_bits,
            sqn,
        }
    }

    /// The sequence number of the last vector.
    pub fn sqn(&self) -> Sqn {
        self.sqn
    }

    /// Sets the sequence number, to put the AuC out of step or back into it.
    pub fn set_sqn(&mut self, sqn: Sqn) {
        self.sqn = sqn;
    }

    /// Sets the AMF of future vectors, for example one without the separation bit.
    pub fn set_amf(&mut self, amf: Amf) {
        self.amf = amf;
    }

    /// The next SQN: SEQ and IND each go up by one, IND in a circle (TS 33.102 C.1.1.1 and
    /// C.1.1.2).
    fn next_sqn(&self) -> Option<Sqn> {
        let ind_mask = (1u64 << self.ind_bits) - 1;
        let seq = (self.sqn.value() >> self.ind_bits) + 1;
        let ind = (self.sqn.value() + 1) & ind_mask;
        Sqn::new(seq << self.ind_bits | ind)
    }
}

/// Why the AuC has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AucError {
    /// Nobody has this IMSI.
    #[error("no subscriber has this IMSI")]
    UnknownSubscriber,
    /// SQN has reached its end.
    #[error("the sequence numbers are used up")]
    SequenceNumbersUsedUp,
    /// MAC-S isn't made with the subscriber's K.
    #[error("MAC-S does not verify: AUTS was not made with this K and RAND")]
    MacS,
}

/// Fills RAND.
type Random = Box<dyn FnMut(&mut [u8]) + Send>;

/// The subscribers of the home network, by IMSI.
pub struct Auc {
    subscribers: BTreeMap<String, Subscriber>,
    random: Random,
}

impl Auc {
    /// An AuC without subscribers, which takes its RANDs from `random`.
    pub fn new(random: impl FnMut(&mut [u8]) + Send + 'static) -> Self {
        Self {
            subscribers: BTreeMap::new(),
            random: Box::new(random),
        }
    }

    /// Adds a subscriber, or replaces the one who had the IMSI.
    pub fn insert(&mut self, imsi: impl Into<String>, subscriber: Subscriber) {
        self.subscribers.insert(imsi.into(), subscriber);
    }

    /// The subscriber with this IMSI.
    pub fn subscriber(&mut self, imsi: &str) -> Option<&mut Subscriber> {
        self.subscribers.get_mut(imsi)
    }

    /// Whether somebody has this IMSI.
    pub fn knows(&self, imsi: &str) -> bool {
        self.subscribers.contains_key(imsi)
    }

    /// Makes the next authentication vector (TS 33.102 §6.3.2).
    ///
    /// # Errors
    /// Nobody has the IMSI, or SQN has reached its end.
    pub fn vector(&mut self, imsi: &str) -> Result<AuthenticationVector, AucError> {
        let subscriber = self
            .subscribers
            .get_mut(imsi)
            .ok_or(AucError::UnknownSubscriber)?;
        let sqn = subscriber
            .next_sqn()
            .ok_or(AucError::SequenceNumbersUsedUp)?;
        subscriber.sqn = sqn;
        let mut octets = [0; Rand::LENGTH];
        (self.random)(&mut octets);
        let (functions, rand) = (&subscriber.algorithm, Rand::new(octets));
        Ok(AuthenticationVector::new(
            functions,
            rand,
            sqn,
            subscriber.amf,
        ))
    }

    /// Takes SQN_MS from a SIM that found the challenge with this RAND out of step (TS 33.102
    /// §6.3.5).
    ///
    /// # Errors
    /// Nobody has the IMSI, or MAC-S doesn't verify; SQN stays as it was.
    pub fn resynchronise(&mut self, imsi: &str, rand: &Rand, auts: &Auts) -> Result<Sqn, AucError> {
        let subscriber = self
            .subscribers
            .get_mut(imsi)
            .ok_or(AucError::UnknownSubscriber)?;
        let sqn_ms = sqn_ms(&subscriber.algorithm, rand, auts).ok_or(AucError::MacS)?;
        subscriber.sqn = sqn_ms;
        Ok(sqn_ms)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use softsim_aka::{K256, Opc, Topc, TuakKey, TuakParameters};
    use softsim_usim::{AuthenticationFailure, SeparationBit, SqnParameters, SqnState};

    use super::*;

    pub(crate) const IMSI: &str = "001010000000001";
    pub(crate) const K: [u8; 16] = [0x46; 16];
    pub(crate) const OPC: [u8; 16] = [0xcd; 16];

    /// An AuC with one subscriber and RANDs that count up.
    pub(crate) fn auc(sqn: u64) -> Auc {
        let mut count = 0;
        let mut auc = Auc::new(move |octets| {
            count += 1;
            octets.fill(count);
        });
        auc.insert(IMSI, subscriber(K, sqn));
        auc
    }

    pub(crate) fn subscriber(k: [u8; 16], sqn: u64) -> Subscriber {
        let sqn = Sqn::new(sqn).unwrap();
        Subscriber::new(&credentials(k), Amf::new([0x80, 0]), sqn, 5)
    }

    pub(crate) fn credentials(k: [u8; 16]) -> Credentials {
        Credentials::Milenage {
            k: softsim_aka::K::new(k),
            opc: Opc::new(OPC),
        }
    }

    pub(crate) fn algorithm() -> Functions {
        credentials(K).functions()
    }

    pub(crate) fn usim(floor: u64) -> SqnState {
        SqnState::new(SqnParameters::default(), Sqn::new(floor).unwrap()).unwrap()
    }

    #[test]
    fn a_sim_in_step_accepts_vector_after_vector() {
        let (mut auc, mut usim) = (auc(0), usim(0));
        for count in 1..=100 {
            let vector = auc.vector(IMSI).unwrap();
            let verified = usim
                .check(
                    &algorithm(),
                    &vector.rand,
                    &vector.autn,
                    SeparationBit::Required,
                )
                .unwrap();
            usim.accept(&verified).unwrap();
            assert_eq!(verified.sqn().value(), (count << 5) | (count % 32));
            assert_eq!(verified.res, vector.xres);
            assert_eq!((verified.ck, verified.ik), (vector.ck, vector.ik));
        }
    }

    #[test]
    fn a_sim_of_every_algorithm_set_accepts_and_resynchronises() {
        let k = || softsim_aka::K::new(K);
        let tuak = |k| Credentials::Tuak {
            k,
            topc: Topc::new([0xbd; 32]),
            parameters: TuakParameters::default(),
        };
        for (credentials, res) in [
            (credentials(K), 8),
            (tuak(TuakKey::K(k())), 8),
            (tuak(TuakKey::K256(K256::new([0x47; 32]))), 8),
            (Credentials::Xor { k: k() }, 16),
        ] {
            let (mut auc, mut usim, algorithm) = (auc(0), usim(1 << 30), credentials.functions());
            let amf = Amf::new([0x80, 0]);
            auc.insert(IMSI, Subscriber::new(&credentials, amf, Sqn::default(), 5));
            let stale = auc.vector(IMSI).unwrap();
            let checked = usim.check(
                &algorithm,
                &stale.rand,
                &stale.autn,
                SeparationBit::Required,
            );
            let Err(AuthenticationFailure::SyncFailure(auts)) = checked else {
                panic!("{checked:?}")
            };
            auc.resynchronise(IMSI, &stale.rand, &auts).unwrap();
            let fresh = auc.vector(IMSI).unwrap();
            let verified = usim
                .check(
                    &algorithm,
                    &fresh.rand,
                    &fresh.autn,
                    SeparationBit::Required,
                )
                .unwrap();
            usim.accept(&verified).unwrap();
            assert_eq!(verified.res, fresh.xres);
            assert_eq!(verified.res.as_bytes().len(), res);
            assert_eq!((verified.ck, verified.ik), (fresh.ck, fresh.ik));
        }
    }

    #[test]
    fn one_resynchronisation_brings_an_auc_that_fell_behind_back_into_step() {
        let (mut auc, usim) = (auc(0), usim(1 << 30));
        let stale = auc.vector(IMSI).unwrap();
        let failure = usim
            .check(
                &algorithm(),
                &stale.rand,
                &stale.autn,
                SeparationBit::Required,
            )
            .unwrap_err();
        let AuthenticationFailure::SyncFailure(auts) = failure else {
            panic!("{failure}")
        };
        assert_eq!(
            auc.resynchronise(IMSI, &stale.rand, &auts),
            Ok(usim.sqn_ms())
        );
        let fresh = auc.vector(IMSI).unwrap();
        assert!(
            usim.check(
                &algorithm(),
                &fresh.rand,
                &fresh.autn,
                SeparationBit::Required
            )
            .is_ok()
        );
    }

    #[test]
    fn auts_that_does_not_verify_changes_nothing() {
        let mut auc = auc(77);
        let forged = Auts::new([9; 14]);
        assert_eq!(
            auc.resynchronise(IMSI, &Rand::new([1; 16]), &forged),
            Err(AucError::MacS)
        );
        assert_eq!(auc.subscriber(IMSI).unwrap().sqn().value(), 77);
        assert_eq!(
            auc.resynchronise("999", &Rand::new([1; 16]), &forged),
            Err(AucError::UnknownSubscriber)
        );
    }

    #[test]
    fn nobodys_imsi_and_the_end_of_sqn_give_no_vector() {
        let mut auc = auc(Sqn::MAX.value());
        assert_eq!(auc.vector("999").unwrap_err(), AucError::UnknownSubscriber);
        assert_eq!(
            auc.vector(IMSI).unwrap_err(),
            AucError::SequenceNumbersUsedUp
        );
    }
}
