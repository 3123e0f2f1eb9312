//! The AUTN check of TS 33.102 §6.3.3: MAC before SQN, and AUTS if the SQN is not fresh.

use softsim_aka::{AlgorithmSet, Amf, Autn, Auts, Ck, Ik, Rand, Res, Sqn, SqnXorAk};

use crate::sqn::{AlreadyUsed, SqnState};

/// The value that the separation bit of AMF must have (TS 33.102 Annex H).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeparationBit {
    /// 1, for EAP-AKA' (RFC 9048 §3.3).
    Required,
    /// Any value, for EAP-AKA, unless the operator separates its vectors.
    NotRequired,
    /// 0, for EAP-AKA that must not accept a vector for EAP-AKA'.
    Forbidden,
}

impl SeparationBit {
    fn allows(self, amf: Amf) -> bool {
        match self {
            Self::Required => amf.separation_bit(),
            Self::NotRequired => true,
            Self::Forbidden => !amf.separation_bit(),
        }
    }
}

/// A challenge whose AUTN is right and fresh, with the outputs of the algorithm set.
///
/// The sequence number isn't used up yet: see [`SqnState::accept`].
#[derive(Debug)]
pub struct Verified {
    /// The answer to the challenge.
    pub res: Res,
    /// The cipher key.
    pub ck: Ck,
    /// The integrity key.
    pub ik: Ik,
    /// SQN ⊕ AK, for CK' and IK'.
    pub sqn_xor_ak: SqnXorAk,
    sqn: Sqn,
}

impl Verified {
    /// The sequence number of the challenge.
    pub fn sqn(&self) -> Sqn {
        self.sqn
    }
}

/// Why a challenge gets no RES.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationFailure {
    /// MAC-A isn't made with our K: the challenge isn't from the home network.
    #[error("MAC failure: AUTN was not made with this K")]
    MacFailure,
    /// The vector wasn't made for this method: its AMF separation bit is 0 although 1 is required,
    /// or 1 although it is forbidden.
    #[error("AMF separation bit: the vector was made for another method")]
    SeparationBit,
    /// The sequence number isn't fresh. The home network resynchronises with this token.
    #[error("synchronisation failure: SQN is not fresh")]
    SyncFailure(Auts),
}

impl SqnState {
    /// Checks a challenge without using up its sequence number.
    ///
    /// # Errors
    /// [`AuthenticationFailure`]. A forged AUTN never reaches the SQN check, so that only the home
    /// network learns SQN_MS.
    pub fn check(
        &self,
        algorithm: &impl AlgorithmSet,
        rand: &Rand,
        autn: &Autn,
        separation_bit: SeparationBit,
    ) -> Result<Verified, AuthenticationFailure> {
        let output = algorithm.f2345(rand);
        let sqn = output.ak.reveal(autn.sqn_xor_ak());
        if algorithm.f1(rand, sqn, autn.amf()) != autn.mac_a() {
            return Err(AuthenticationFailure::MacFailure);
        }
        if !separation_bit.allows(autn.amf()) {
            return Err(AuthenticationFailure::SeparationBit);
        }
        if !self.is_fresh(sqn) {
            return Err(AuthenticationFailure::SyncFailure(
                self.auts(algorithm, rand),
            ));
        }
        Ok(Verified {
            res: output.res,
            ck: output.ck,
            ik: output.ik,
            sqn_xor_ak: autn.sqn_xor_ak(),
            sqn,
        })
    }

    /// Uses up the sequence number of a checked challenge.
    ///
    /// # Errors
    /// [`AlreadyUsed`] if another challenge has made it stale since. Nothing has changed then, and
    /// RES must not leave.
    pub fn accept(&mut self, verified: &Verified) -> Result<(), AlreadyUsed> {
        self.advance(verified.sqn)
    }

    /// AUTS = SQN_MS ⊕ f5*(RAND) ‖ f1*(SQN_MS, RAND, AMF* = 0) (TS 33.102 §6.3.3).
    fn auts(&self, algorithm: &impl AlgorithmSet, rand: &Rand) -> Auts {
        let sqn_ms = self.sqn_ms();
        let mac_s = algorithm.f1_star(rand, sqn_ms, Amf::RESYNCHRONISATION);
        Auts::from_parts(algorithm.f5_star(rand).conceal(sqn_ms), &mac_s)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    extern crate std;

    use proptest::prelude::*;
    use softsim_aka::{K, Milenage, Opc};

    use super::*;
    use crate::sqn::{DEFAULT_DELTA, SqnParameters};

    const AMF: Amf = Amf::new([0x80, 0x00]);

    fn algorithm(k: u8) -> Milenage {
        Milenage::new(&K::new([k; 16]), &Opc::new([0xcd; 16]))
    }

    fn usim(floor: u64) -> SqnState {
        let parameters = SqnParameters {
            ind_bits: 5,
            delta: DEFAULT_DELTA,
            l: None,
        };
        SqnState::new(parameters, Sqn::new(floor).unwrap()).unwrap()
    }

    /// What an AuC sends (TS 33.102 §6.3.2).
    fn challenge(algorithm: &Milenage, rand: &Rand, sqn: u64, amf: Amf) -> Autn {
        let sqn = Sqn::new(sqn).unwrap();
        Autn::from_parts(
            algorithm.f2345(rand).ak.conceal(sqn),
            amf,
            &algorithm.f1(rand, sqn, amf),
        )
    }

    /// What an AuC does with AUTS (TS 33.102 §6.3.5): SQN_MS, if MAC-S verifies.
    fn resynchronise(algorithm: &Milenage, rand: &Rand, auts: &Auts) -> Option<Sqn> {
        let sqn_ms = algorithm.f5_star(rand).reveal(auts.sqn_xor_ak());
        (algorithm.f1_star(rand, sqn_ms, Amf::new([0; 2])) == auts.mac_s()).then_some(sqn_ms)
    }

    #[test]
    fn a_fresh_challenge_gives_the_keys_of_the_algorithm_set() {
        let (algorithm, rand) = (algorithm(1), Rand::new([2; 16]));
        let autn = challenge(&algorithm, &rand, 32, AMF);
        let verified = usim(0)
            .check(&algorithm, &rand, &autn, SeparationBit::Required)
            .unwrap();
        let expected = algorithm.f2345(&rand);
        assert_eq!(verified.res, expected.res);
        assert_eq!((&verified.ck, &verified.ik), (&expected.ck, &expected.ik));
        assert_eq!(verified.sqn_xor_ak, autn.sqn_xor_ak());
        assert_eq!(verified.sqn().value(), 32);
    }

    #[test]
    fn mac_is_checked_before_sqn_and_before_the_separation_bit() {
        let (home, other, rand) = (algorithm(1), algorithm(9), Rand::new([2; 16]));
        let stale_and_forged = challenge(&other, &rand, 1, Amf::new([0; 2]));
        let failure = usim(1000)
            .check(&home, &rand, &stale_and_forged, SeparationBit::Required)
            .unwrap_err();
        assert_eq!(failure, AuthenticationFailure::MacFailure);
    }

    #[test]
    fn every_bit_of_autn_is_protected() {
        let (algorithm, rand) = (algorithm(1), Rand::new([2; 16]));
        let autn = challenge(&algorithm, &rand, 32, AMF);
        for bit in 0..128 {
            let mut octets = *autn.as_bytes();
            octets[bit / 8] ^= 1 << (bit % 8);
            let failure = usim(0)
                .check(
                    &algorithm,
                    &rand,
                    &Autn::new(octets),
                    SeparationBit::Required,
                )
                .unwrap_err();
            assert_eq!(failure, AuthenticationFailure::MacFailure, "bit {bit}");
        }
    }

    #[test]
    fn without_the_separation_bit_a_vector_is_good_for_eap_aka_only() {
        let (algorithm, rand) = (algorithm(1), Rand::new([2; 16]));
        let autn = challenge(&algorithm, &rand, 32, Amf::new([0x7f, 0xff]));
        let check = |policy| usim(0).check(&algorithm, &rand, &autn, policy);
        assert_eq!(
            check(SeparationBit::Required).unwrap_err(),
            AuthenticationFailure::SeparationBit
        );
        assert!(check(SeparationBit::NotRequired).is_ok());
    }

    #[test]
    fn where_the_separation_bit_is_forbidden_a_vector_of_eap_aka_prime_does_not_serve() {
        let (algorithm, rand) = (algorithm(1), Rand::new([2; 16]));
        let check = |amf| {
            let autn = challenge(&algorithm, &rand, 32, amf);
            usim(0).check(&algorithm, &rand, &autn, SeparationBit::Forbidden)
        };
        assert_eq!(
            check(AMF).unwrap_err(),
            AuthenticationFailure::SeparationBit
        );
        assert!(check(Amf::new([0x7f, 0xff])).is_ok());
    }

    #[test]
    fn a_check_alone_uses_nothing_up() {
        let (algorithm, rand) = (algorithm(1), Rand::new([2; 16]));
        let autn = challenge(&algorithm, &rand, 32, AMF);
        let usim = usim(0);
        let before = usim.clone();
        assert!(
            usim.check(&algorithm, &rand, &autn, SeparationBit::Required)
                .is_ok()
        );
        assert!(
            usim.check(&algorithm, &rand, &autn, SeparationBit::Required)
                .is_ok()
        );
        assert_eq!(usim, before);
    }

    #[test]
    fn of_two_checks_of_one_challenge_only_one_is_accepted() {
        let (algorithm, rand) = (algorithm(1), Rand::new([2; 16]));
        let autn = challenge(&algorithm, &rand, 32, AMF);
        let mut usim = usim(0);
        let first = usim
            .check(&algorithm, &rand, &autn, SeparationBit::Required)
            .unwrap();
        let second = usim
            .check(&algorithm, &rand, &autn, SeparationBit::Required)
            .unwrap();
        assert_eq!(usim.accept(&first), Ok(()));
        assert_eq!(usim.accept(&second), Err(AlreadyUsed(second.sqn())));
    }

    proptest! {
        #[test]
        fn an_accepted_autn_is_never_accepted_twice(
            rand: [u8; 16],
            numbers in prop::collection::vec(1..1u64 << 16, 1..60),
        ) {
            let (algorithm, rand) = (algorithm(1), Rand::new(rand));
            let mut usim = usim(0);
            let mut accepted = std::vec::Vec::new();
            for number in numbers {
                let autn = challenge(&algorithm, &rand, number, AMF);
                if let Ok(verified) = usim.check(&algorithm, &rand, &autn, SeparationBit::Required) {
                    prop_assert!(!accepted.contains(&autn));
                    prop_assert_eq!(usim.accept(&verified), Ok(()));
                    accepted.push(autn);
                }
            }
            for autn in accepted {
                let failure = usim.check(&algorithm, &rand, &autn, SeparationBit::Required);
                prop_assert!(matches!(failure, Err(AuthenticationFailure::SyncFailure(_))));
            }
        }

        #[test]
        fn auts_verifies_at_the_auc_and_leads_back_into_step(
            rand: [u8; 16],
            floor in 32..1u64 << 40,
            behind in 0..1u64 << 40,
        ) {
            let (algorithm, rand) = (algorithm(1), Rand::new(rand));
            let mut usim = usim(floor);
            let stale = challenge(&algorithm, &rand, behind.min(floor), AMF);
            let Err(AuthenticationFailure::SyncFailure(auts)) =
                usim.check(&algorithm, &rand, &stale, SeparationBit::Required)
            else {
                panic!("a stale SQN passed");
            };
            prop_assert_eq!(resynchronise(&algorithm, &rand, &auts), Some(usim.sqn_ms()));

            let next = usim.sqn_ms().value() + 32;
            let autn = challenge(&algorithm, &rand, next, AMF);
            let verified = usim.check(&algorithm, &rand, &autn, SeparationBit::Required).unwrap();
            prop_assert_eq!(usim.accept(&verified), Ok(()));
        }

        #[test]
        fn any_autn_at_all_is_answered_without_a_panic(rand: [u8; 16], autn: [u8; 16]) {
            let usim = usim(0);
            let checked = usim.check(&algorithm(1), &Rand::new(rand), &Autn::new(autn), SeparationBit::Required);
            prop_assert_eq!(checked.unwrap_err(), AuthenticationFailure::MacFailure);
        }
    }
}
