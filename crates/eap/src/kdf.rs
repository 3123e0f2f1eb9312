//! The negotiation of the key derivation function (RFC 9048 section 3.2).

use crate::outcome::{Distrust, Reason, Unprocessable};

/// HMAC-SHA-256 with CK' and IK', the only function there is so far (section 3.3).
const CK_IK_PRIME: u16 = 1;

/// Where the negotiation stands.
#[derive(Debug)]
pub(crate) enum Negotiation {
    /// No list has come.
    Open,
    /// We asked for `choice` out of `offer`.
    Asked { offer: Vec<u16>, choice: u16 },
    /// This list is the last of the negotiation, and every later challenge must carry it.
    Agreed(Vec<u16>),
}

/// What to do with a challenge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on, the function is agreed.
    Proceed,
    /// Answer with this value alone, and look at nothing else in the challenge.
    Ask(u16),
}

impl Negotiation {
    /// Judges the list of one challenge; on error the negotiation stays where it was.
    pub(crate) fn judge(&mut self, list: Vec<u16>) -> Result<Verdict, Reason> {
        let Some(first) = list.first().copied() else {
            return Err(Reason::Distrusted(Distrust::NoKdf));
        };
        let changed = Err(Reason::Unprocessable(Unprocessable::KdfListChanged));
        match self {
            Negotiation::Agreed(agreed) if *agreed == list => return Ok(Verdict::Proceed),
            Negotiation::Agreed(_) => return changed,
            Negotiation::Asked { offer, choice } if first != *choice || list[1..] != offer[..] => {
                return changed;
            }
            Negotiation::Asked { .. } => {}
            Negotiation::Open if has_duplicates(&list) => {
                return Err(Reason::Distrusted(Distrust::DuplicateKdf));
            }
            Negotiation::Open if first == CK_IK_PRIME => {}
            Negotiation::Open if list.contains(&CK_IK_PRIME) => {
                *self = Negotiation::Asked {
                    offer: list,
                    choice: CK_IK_PRIME,
                };
                return Ok(Verdict::Ask(CK_IK_PRIME));
            }
            Negotiation::Open => return Err(Reason::Distrusted(Distrust::UnsupportedKdf)),
        }
        *self = Negotiation::Agreed(list);
        Ok(Verdict::Proceed)
    }

    /// The list to be copied into a Synchronization-Failure.
    pub(crate) fn agreed(&self) -> &[u16] {
        match self {
            Negotiation::Agreed(list) => list,
            Negotiation::Open | Negotiation::Asked { .. } => &[],
        }
    }
}

fn has_duplicates(list: &[u16]) -> bool {
    let mut sorted = list.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGED: Result<Verdict, Reason> =
        Err(Reason::Unprocessable(Unprocessable::KdfListChanged));

    fn distrusted(why: Distrust) -> Result<Verdict, Reason> {
        Err(Reason::Distrusted(why))
    }

    #[test]
    fn the_first_value_is_taken_without_negotiation() {
        let mut negotiation = Negotiation::Open;
        assert_eq!(negotiation.judge(vec![1, 2]), Ok(Verdict::Proceed));
        assert_eq!(negotiation.agreed(), [1, 2]);
    }

    #[test]
    fn a_later_value_is_asked_for_and_must_come_back_in_front_of_the_whole_list() {
        for (second, expected) in [
            (vec![1, 2, 1], Ok(Verdict::Proceed)),
            (vec![1], CHANGED),
            (vec![1, 2], CHANGED),
            (vec![1, 1, 2], CHANGED),
            (vec![2, 1], CHANGED),
            (vec![1, 2, 1, 3], CHANGED),
            (vec![], distrusted(Distrust::NoKdf)),
        ] {
            let mut negotiation = Negotiation::Open;
            assert_eq!(negotiation.judge(vec![2, 1]), Ok(Verdict::Ask(1)));
            assert_eq!(negotiation.judge(second.clone()), expected, "{second:?}");
        }
    }

    #[test]
    fn a_list_may_not_change_once_agreed() {
        let mut negotiation = Negotiation::Open;
        assert_eq!(negotiation.judge(vec![1]), Ok(Verdict::Proceed));
        assert_eq!(negotiation.judge(vec![1]), Ok(Verdict::Proceed));
        assert_eq!(negotiation.judge(vec![1, 2]), CHANGED);
    }

    #[test]
    fn no_list_duplicates_and_unknown_functions_count_as_a_wrong_autn() {
        assert_eq!(Negotiation::Open.judge(vec![]), distrusted(Distrust::NoKdf));
        assert_eq!(
            Negotiation::Open.judge(vec![1, 2, 1]),
            distrusted(Distrust::DuplicateKdf)
        );
        assert_eq!(
            Negotiation::Open.judge(vec![2, 3, 65535]),
            distrusted(Distrust::UnsupportedKdf)
        );
    }
}
