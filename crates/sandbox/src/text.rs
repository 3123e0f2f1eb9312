//! Makes texts of others safe for a terminal, a log line and JSON, by escaping what is invisible or
//! has an effect.

use std::fmt::{self, Write};

/// Whether a character is visible and has no effect.
///
/// These aren't plain: control characters (C0, DEL, C1), and characters that change the direction
/// of writing, end a line, join with the preceding character or are invisible. They are those that
/// Rust's `Debug` escapes, except quotes and backslashes, and some blank letters and symbols.
pub fn is_plain(character: char) -> bool {
    matches!(character, '\'' | '"' | '\\')
        || character.escape_debug().len() == 1 && !BLANK.contains(&character)
}

/// The fillers of Hangul, and Braille without a dot.
const BLANK: [char; 5] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}', '\u{2800}'];

/// Prints a text in one line. Characters that aren't plain are escaped, as `
/// ` or `\u{1b}`.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            if is_plain(character) {
                f.write_char(character)
            } else if BLANK.contains(&character) {
                write!(f, "{}", character.escape_unicode())
            } else {
                write!(f, "{}", character.escape_debug())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let controls = ('\0'..='\x1f').chain('\x7f'..='\u{9f}');
        let bidi = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
        let bidi = bidi.chain(['\u{61c}', '\u{200e}', '\u{200f}']);
        let unseen =
            ('\u{200b}'..='\u{200d}').chain(['\u{ad}', '\u{2060}', '\u{feff}', '\u{e0041}']);
        let lines = ['\u{2028}', '\u{2029}'];
        let joining = ['\u{300}', '\u{fe0f}'];
        for character in controls
            .chain(bidi)
            .chain(unseen)
            .chain(lines)
            .chain(joining)
            .chain(BLANK)
        {
            let shown = Plain(&format!("a{character}b")).to_string();
            assert!(
                shown.starts_with("a\\") && shown.ends_with('b'),
                "{character:?}: {shown}"
            );
            assert!(shown.chars().all(is_plain), "{character:?}");
        }
    }

    #[test]
    fn what_can_be_read_stays() {
        let text = "7f00@wlan.mnc001: doesn't say \"\\\" – § 日本 é €";
        assert_eq!(Plain(text).to_string(), text);
        assert_eq!(Plain("\x1b]0;x\x07").to_string(), "\\u{1b}]0;x\\u{7}");
        assert_eq!(Plain("one\ntwo").to_string(), "one\\ntwo");
    }
}
