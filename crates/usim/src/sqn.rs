//! Sequence numbers: the array of TS 33.102 Annex C.2, which shows whether an SQN is fresh.

use softsim_aka::Sqn;

/// The longest IND: 32 array elements, as in the profiles of TS 33.102 C.3.
pub const MAX_IND_BITS: u8 = 5;

/// The Δ of the profiles of TS 33.102 C.3: 2^28.
pub const DEFAULT_DELTA: u64 = 1 << 28;

const ELEMENTS: usize = 1 << MAX_IND_BITS;
const ELEMENT_LENGTH: usize = 6;

/// How a home network splits and bounds its sequence numbers (TS 33.102 C.1.1.1, C.2.1 and C.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqnParameters {
    /// How many of the least significant bits of SQN are IND: 0 to [`MAX_IND_BITS`].
    pub ind_bits: u8,
    /// Δ: how far SEQ may be ahead of the highest accepted one.
    pub delta: u64,
    /// L: SEQ must be less than this behind the highest accepted one; `None` sets no limit.
    pub l: Option<u64>,
}

impl Default for SqnParameters {
    fn default() -> Self {
        Self {
            ind_bits: MAX_IND_BITS,
            delta: DEFAULT_DELTA,
            l: None,
        }
    }
}

/// SEQ_MS(IND): the highest accepted SEQ for each IND. It never decreases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqnState {
    parameters: SqnParameters,
    seq_ms: [u64; ELEMENTS],
}

/// Why an array or its parameters are out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSqnState {
    /// IND has more bits than [`MAX_IND_BITS`].
    #[error("IND: expected 0 to {MAX_IND_BITS} bits, got {0}")]
    IndBits(u8),
    /// Δ is zero, which would accept nothing, or above the highest SEQ, which would limit nothing.
    #[error("delta: expected 1 to the highest SEQ, got {0}")]
    Delta(u64),
    /// L is zero, which would accept nothing.
    #[error("L: expected 1 or more, got 0")]
    L,
    /// A stored element exceeds the highest SEQ for these IND bits.
    #[error("SEQ_MS({ind}) is above the highest SEQ: {seq}")]
    Element {
        /// The element's index.
        ind: u8,
        /// Its value.
        seq: u64,
    },
}

/// The error for a sequence number that was fresh when it was checked, but that another
/// authentication has used since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SQN {} was used between check and acceptance", .0.value())]
pub struct AlreadyUsed(pub Sqn);

impl SqnState {
    /// Length of [`SqnState::to_bytes`] in octets.
    pub const STORED_LENGTH: usize = ELEMENTS * ELEMENT_LENGTH;

    /// The state of a USIM that accepts only a SEQ above that of `floor`, whatever its IND.
    ///
    /// # Errors
    /// Parameters out of range.
    pub fn new(parameters: SqnParameters, floor: Sqn) -> Result<Self, BadSqnState> {
        let highest = Sqn::MAX.value() >> parameters.ind_bits.min(MAX_IND_BITS);
        match parameters {
            SqnParameters { ind_bits, .. } if ind_bits > MAX_IND_BITS => {
                Err(BadSqnState::IndBits(ind_bits))
            }
            SqnParameters { delta, .. } if delta == 0 || delta > highest => {
                Err(BadSqnState::Delta(delta))
            }
            SqnParameters { l: Some(0), .. } => Err(BadSqnState::L),
            _ => {
                let mut state = Self {
                    parameters,
                    seq_ms: [0; ELEMENTS],
                };
                let (seq, _) = state.split(floor);
                state.array_mut().fill(seq);
                Ok(state)
            }
        }
    }

    /// Its parameters.
    pub fn parameters(&self) -> SqnParameters {
        self.parameters
    }

    /// The array for storage: 32 elements of six octets, big-endian. Elements from 2^(IND bits) on
    /// are zero.
    pub fn to_bytes(&self) -> [u8; Self::STORED_LENGTH] {
        let mut octets = [0; Self::STORED_LENGTH];
        for (place, seq) in octets.chunks_exact_mut(ELEMENT_LENGTH).zip(self.seq_ms) {
            place.copy_from_slice(&seq.to_be_bytes()[2..]);
        }
        octets
    }

    /// Restores an array that [`SqnState::to_bytes`] returned.
    ///
    /// # Errors
    /// Parameters or an element out of range.
    pub fn from_bytes(
        parameters: SqnParameters,
        octets: &[u8; Self::STORED_LENGTH],
    ) -> Result<Self, BadSqnState> {
        let mut state = Self::new(parameters, Sqn::default())?;
        let size = state.array().len();
        for (ind, octets) in octets.as_chunks::<ELEMENT_LENGTH>().0.iter().enumerate() {
            let seq = Sqn::from_bytes(*octets).value();
            let limit = if ind < size {
                state.highest_possible_seq()
            } else {
                0
            };
            if seq > limit {
                return Err(BadSqnState::Element {
                    ind: ind as u8,
                    seq,
                });
            }
            state.seq_ms[ind] = seq;
        }
        Ok(state)
    }

    /// SQN_MS: the highest accepted sequence number of the whole array (TS 33.102 C.2.2).
    pub fn sqn_ms(&self) -> Sqn {
        let highest = self
            .array()
            .iter()
            .zip(0u64..)
            .map(|(seq, ind)| seq << self.parameters.ind_bits | ind)
            .max();
        highest
            .and_then(Sqn::new)
            .expect("the array has an element, and elements are below 2^(48 - IND bits)")
    }

    /// Whether a sequence number is fresh: C.2.1, the limit L, then conditions (a) and (b) of
    /// C.2.2.
    pub(crate) fn is_fresh(&self, sqn: Sqn) -> bool {
        let (seq, ind) = self.split(sqn);
        let (seq_ms, _) = self.split(self.sqn_ms());
        let SqnParameters { delta, l, .. } = self.parameters;
        let within_delta = seq.saturating_sub(seq_ms) <= delta;
        let within_l = l.is_none_or(|l| seq_ms.saturating_sub(seq) < l);
        within_delta && within_l && seq > self.seq_ms[ind]
    }

    /// Marks a sequence number as used: SEQ_MS(IND) = SEQ.
    pub(crate) fn advance(&mut self, sqn: Sqn) -> Result<(), AlreadyUsed> {
        if !self.is_fresh(sqn) {
            return Err(AlreadyUsed(sqn));
        }
        let (seq, ind) = self.split(sqn);
        self.seq_ms[ind] = seq;
        Ok(())
    }

    /// Merges the numbers that another array of the same K has accepted, so that installing a
    /// profile again can't rewind it.
    ///
    /// From now on, the array refuses every number that either array would have refused as used.
    /// Arrays with different IND bits can't be compared element by element; then everything up to
    /// the other's SQN_MS counts as used.
    pub fn merge(&mut self, seen: &Self) {
        if self.parameters.ind_bits == seen.parameters.ind_bits {
            for (seq, seen) in self.seq_ms.iter_mut().zip(seen.seq_ms) {
                *seq = seen.max(*seq);
            }
        } else {
            let (floor, _) = self.split(seen.sqn_ms());
            for seq in self.array_mut() {
                *seq = floor.max(*seq);
            }
        }
    }

    /// The highest accepted SEQ of the whole array, which TS 33.102 C.2.2 calls SEQ_MS.
    pub fn highest_seq(&self) -> u64 {
        self.split(self.sqn_ms()).0
    }

    /// Marks every SEQ up to `ahead` above the highest accepted one as used, for every IND, since
    /// some of them may have been.
    pub fn use_up(&mut self, ahead: u64) {
        let seq = self.highest_seq().saturating_add(ahead);
        let seq = seq.min(self.highest_possible_seq());
        self.array_mut().fill(seq);
    }

    /// Splits SQN into SEQ and IND.
    fn split(&self, sqn: Sqn) -> (u64, usize) {
        let ind = sqn.value() & ((1 << self.parameters.ind_bits) - 1);
        (sqn.value() >> self.parameters.ind_bits, ind as usize)
    }

    fn highest_possible_seq(&self) -> u64 {
        Sqn::MAX.value() >> self.parameters.ind_bits
    }

    fn array(&self) -> &[u64] {
        &self.seq_ms[..1 << self.parameters.ind_bits]
    }

    fn array_mut(&mut self) -> &mut [u64] {
        &mut self.seq_ms[..1 << self.parameters.ind_bits]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    extern crate std;

    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn state(ind_bits: u8, delta: u64, l: Option<u64>, floor: u64) -> SqnState {
        SqnState::new(
            SqnParameters { ind_bits, delta, l },
            Sqn::new(floor).unwrap(),
        )
        .unwrap()
    }

    fn sqn(seq: u64, ind: u64) -> Sqn {
        Sqn::new(seq << 5 | ind).unwrap()
    }

    #[test]
    fn a_seq_is_fresh_only_above_the_element_of_its_own_ind() {
        let mut state = state(5, DEFAULT_DELTA, None, 0);
        state.advance(sqn(9, 3)).unwrap();
        assert!(!state.is_fresh(sqn(9, 3)));
        assert!(!state.is_fresh(sqn(8, 3)));
        assert!(
            state.is_fresh(sqn(8, 4)),
            "vectors may arrive out of order across IND"
        );
        assert!(state.is_fresh(sqn(10, 3)));
    }

    #[test]
    fn delta_bounds_the_jump_from_the_highest_seq_of_the_array() {
        let mut state = state(5, 100, None, 0);
        state.advance(sqn(50, 1)).unwrap();
        assert!(state.is_fresh(sqn(150, 2)));
        assert!(!state.is_fresh(sqn(151, 2)));
        assert_eq!(state.advance(sqn(151, 2)), Err(AlreadyUsed(sqn(151, 2))));
    }

    #[test]
    fn l_bounds_the_age_of_a_seq() {
        let mut state = state(5, DEFAULT_DELTA, Some(10), 0);
        state.advance(sqn(50, 1)).unwrap();
        assert!(state.is_fresh(sqn(41, 2)));
        assert!(!state.is_fresh(sqn(40, 2)));
    }

    #[test]
    fn nothing_up_to_the_floor_is_fresh() {
        let state = state(5, DEFAULT_DELTA, None, 7 << 5 | 30);
        assert!((0..32).all(|ind| !state.is_fresh(sqn(7, ind))));
        assert!((0..32).all(|ind| state.is_fresh(sqn(8, ind))));
    }

    #[test]
    fn without_ind_bits_there_is_one_element() {
        let mut state = state(0, DEFAULT_DELTA, None, 0);
        state.advance(Sqn::new(5).unwrap()).unwrap();
        assert!(!state.is_fresh(Sqn::new(4).unwrap()));
        assert_eq!(state.sqn_ms().value(), 5);
    }

    #[test]
    fn sqn_ms_is_the_highest_of_the_array_with_its_ind() {
        let mut state = state(5, DEFAULT_DELTA, None, 0);
        state.advance(sqn(50, 7)).unwrap();
        state.advance(sqn(49, 9)).unwrap();
        assert_eq!(state.sqn_ms(), sqn(50, 7));
    }

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        let new = |ind_bits, delta, l| {
            SqnState::new(SqnParameters { ind_bits, delta, l }, Sqn::default())
        };
        assert_eq!(new(6, 1, None), Err(BadSqnState::IndBits(6)));
        assert_eq!(new(255, 1, None), Err(BadSqnState::IndBits(255)));
        assert_eq!(new(5, 0, None), Err(BadSqnState::Delta(0)));
        assert_eq!(new(5, 1 << 43, None), Err(BadSqnState::Delta(1 << 43)));
        assert_eq!(new(5, 1, Some(0)), Err(BadSqnState::L));
        assert_eq!(
            BadSqnState::IndBits(6).to_string(),
            "IND: expected 0 to 5 bits, got 6"
        );
    }

    #[test]
    fn a_stored_array_with_an_impossible_element_is_refused() {
        let mut stored = state(5, DEFAULT_DELTA, None, 0).to_bytes();
        stored[6] = 0x08;
        let parameters = SqnParameters::default();
        assert_eq!(
            SqnState::from_bytes(parameters, &stored),
            Err(BadSqnState::Element {
                ind: 1,
                seq: 1 << 43
            })
        );

        let mut stored = state(0, DEFAULT_DELTA, None, 0).to_bytes();
        stored[11] = 1;
        let parameters = SqnParameters {
            ind_bits: 0,
            ..parameters
        };
        assert_eq!(
            SqnState::from_bytes(parameters, &stored),
            Err(BadSqnState::Element { ind: 1, seq: 1 })
        );
    }

    #[test]
    fn using_up_ends_at_the_highest_seq() {
        let mut state = state(5, DEFAULT_DELTA, None, 7 << 5);
        state.use_up(u64::MAX);
        assert_eq!(state.sqn_ms(), Sqn::MAX);
    }

    #[test]
    fn the_last_sequence_number_can_be_reached_and_is_the_last() {
        let mut state = state(5, DEFAULT_DELTA, None, Sqn::MAX.value() - 32);
        state.advance(Sqn::MAX).unwrap();
        assert_eq!(state.sqn_ms(), Sqn::MAX);
        assert!(!state.is_fresh(Sqn::MAX));
    }

    prop_compose! {
        /// An array with a history.
        fn any_state()(ind_bits in 0..=MAX_IND_BITS, history in prop::collection::vec(0..1u64 << 20, 0..40))
            -> SqnState {
            let mut state = state(ind_bits, 1 << 20, None, 0);
            for used in history {
                let _ = state.advance(Sqn::new(used).unwrap());
            }
            state
        }
    }

    proptest! {
        #[test]
        fn storing_and_loading_changes_nothing(state in any_state()) {
            prop_assert_eq!(SqnState::from_bytes(state.parameters(), &state.to_bytes()), Ok(state));
        }

        #[test]
        fn a_used_number_stays_used(mut state in any_state(), numbers in prop::collection::vec(0..1u64 << 20, 1..80)) {
            let mut used = std::vec::Vec::new();
            for number in numbers {
                let number = Sqn::new(number).unwrap();
                let was_used = used.contains(&number);
                if state.advance(number).is_ok() {
                    prop_assert!(!was_used);
                    used.push(number);
                }
            }
            prop_assert!(used.iter().all(|number| !state.is_fresh(*number)));
        }

        #[test]
        fn using_up_leaves_nothing_fresh_up_to_there_and_one_above(
            mut state in any_state(),
            ahead in 0..1u64 << 20,
            ind in 0..32u64,
        ) {
            let limit = state.highest_seq() + ahead;
            state.use_up(ahead);
            let bits = state.parameters().ind_bits;
            let of = |seq: u64| Sqn::new(seq << bits | ind & ((1 << bits) - 1)).unwrap();
            prop_assert!(!state.is_fresh(of(limit)));
            prop_assert!(state.is_fresh(of(limit + 1)));
            prop_assert_eq!(state.highest_seq(), limit);
        }

        #[test]
        fn merging_never_makes_a_used_number_fresh(
            mut new in any_state(),
            seen in any_state(),
            number in 0..1u64 << 20,
        ) {
            let number = Sqn::new(number).unwrap();
            let (fresh_before, fresh_in_seen) = (new.is_fresh(number), seen.is_fresh(number));
            let sqn_ms_before = new.sqn_ms();
            new.merge(&seen);
            prop_assert!(!new.is_fresh(number) || (fresh_before && fresh_in_seen));
            prop_assert!(new.sqn_ms() >= sqn_ms_before);
        }
    }
}
