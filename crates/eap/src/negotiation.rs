//! The negotiation of a key derivation function from a list: AT_KDF (RFC 9048 §3.2) or AT_KDF_FS
//! (RFC 9678 §6.2).

/// The state of a negotiation.
#[derive(Debug, Default)]
pub(crate) struct Negotiation {
    /// The list that every further challenge must carry.
    list: Option<Vec<u16>>,
}

/// What to do with a challenge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on: this function is agreed.
    Agreed(u16),
    /// Answer with this value alone, and look at nothing else in the challenge.
    Ask(u16),
    /// We support none of the functions.
    Unsupported,
}

/// What is wrong with a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadList {
    /// A value appears twice, although we had not asked for it.
    Duplicate,
    /// It isn't the earlier list, with our choice in front if we made one.
    Changed,
}

impl Negotiation {
    /// Compares the list of a challenge with the earlier one, without choosing a function.
    pub(crate) fn observe(&mut self, list: &[u16]) -> Result<(), BadList> {
        match &self.list {
            Some(expected) if expected != list => Err(BadList::Changed),
            Some(_) => Ok(()),
            None if has_duplicates(list) => Err(BadList::Duplicate),
            None => {
                self.list = Some(list.to_vec());
                Ok(())
            }
        }
    }

    /// Compares the list of a challenge with the earlier one, and chooses a function.
    pub(crate) fn judge(
        &mut self,
        list: &[u16],
        supported: impl Fn(u16) -> bool,
    ) -> Result<Verdict, BadList> {
        self.observe(list)?;
        let Some(choice) = list.iter().copied().find(|value| supported(*value)) else {
            return Ok(Verdict::Unsupported);
        };
        if list.first() == Some(&choice) {
            return Ok(Verdict::Agreed(choice));
        }
        self.list = Some([&[choice], list].concat());
        Ok(Verdict::Ask(choice))
    }

    /// The list that was last seen or asked for, which a Synchronization-Failure repeats.
    pub(crate) fn list(&self) -> &[u16] {
        self.list.as_deref().unwrap_or_default()
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

    const CHANGED: Result<Verdict, BadList> = Err(BadList::Changed);

    fn ours(value: u16) -> bool {
        value == 1
    }

    #[test]
    fn the_first_value_is_taken_without_negotiation() {
        let mut negotiation = Negotiation::default();
        assert_eq!(negotiation.judge(&[1, 2], ours), Ok(Verdict::Agreed(1)));
        assert_eq!(negotiation.list(), [1, 2]);
    }

    #[test]
    fn a_later_value_is_asked_for_and_must_come_back_in_front_of_the_whole_list() {
        for (second, expected) in [
            (vec![1, 2, 1], Ok(Verdict::Agreed(1))),
            (vec![1], CHANGED),
            (vec![1, 2], CHANGED),
            (vec![1, 1, 2], CHANGED),
            (vec![2, 1], CHANGED),
            (vec![1, 2, 1, 3], CHANGED),
            (vec![], CHANGED),
        ] {
            let mut negotiation = Negotiation::default();
            assert_eq!(negotiation.judge(&[2, 1], ours), Ok(Verdict::Ask(1)));
            assert_eq!(negotiation.judge(&second, ours), expected, "{second:?}");
        }
    }

    #[test]
    fn a_list_may_not_change_once_seen() {
        let mut negotiation = Negotiation::default();
        assert_eq!(negotiation.observe(&[1]), Ok(()));
        assert_eq!(negotiation.judge(&[1], ours), Ok(Verdict::Agreed(1)));
        assert_eq!(negotiation.judge(&[1], ours), Ok(Verdict::Agreed(1)));
        assert_eq!(negotiation.judge(&[1, 2], ours), CHANGED);
        assert_eq!(negotiation.observe(&[]), Err(BadList::Changed));
    }

    #[test]
    fn duplicates_and_unknown_functions_are_told_apart() {
        let judge = |list: &[u16]| Negotiation::default().judge(list, ours);
        assert_eq!(judge(&[1, 2, 1]), Err(BadList::Duplicate));
        assert_eq!(judge(&[2, 3, 65535]), Ok(Verdict::Unsupported));
        assert_eq!(judge(&[]), Ok(Verdict::Unsupported));
    }
}
