//! The rules that stable rustfmt doesn't check: the width of comments, one `use` for each module,
//! and the wording of error texts.

use std::fs;
use std::process::Command;

use crate::run::{Result, output};

/// Fails if lines break a rule, and prints the first few with their rule.
pub(crate) fn check() -> Result<()> {
    let width = comment_width()?;
    let files = output(Command::new("git").args(["ls-files", "*.rs"]))
        .ok_or("`git ls-files` failed: expected a checkout of the repository")?;
    let mut faults = Vec::new();
    for file in files.lines() {
        let Ok(text) = fs::read_to_string(file) else {
            continue; // Deleted, and not yet in the index.
        };
        let found = wide_comments(&text, width)
            .chain(nested_imports(&text))
            .chain(words(&text));
        faults.extend(found.map(|(line, rule)| format!("{file}:{line}: {rule}")));
    }
    if faults.is_empty() {
        return Ok(());
    }
    faults.truncate(20);
    Err(faults.join("\n"))
}

fn comment_width() -> Result<usize> {
    fs::read_to_string("rustfmt.toml")
        .map_err(|error| format!("rustfmt.toml: {error}"))?
        .lines()
        .find_map(|line| line.strip_prefix("comment_width = ")?.parse().ok())
        .ok_or_else(|| "rustfmt.toml: expected comment_width, got none".into())
}

/// Finds comments wider than `width`, except tables and drawings, which a line break would destroy.
fn wide_comments(text: &str, width: usize) -> impl Iterator<Item = (usize, &'static str)> {
    let mut drawing = false;
    lines(text).filter_map(move |(number, line)| {
        let comment = line.trim_start().strip_prefix("//")?;
        let comment = comment.trim_start_matches(['/', '!', ' ']);
        drawing ^= comment.starts_with("```");
        let kept = drawing || comment.starts_with('|');
        let wide = line.chars().count() > width;
        (wide && !kept).then_some((number, "expected a comment within comment_width"))
    })
}

/// `use a::{b, c::d}`: each module has a `use` of its own.
fn nested_imports(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let mut inside = false;
    lines(text).filter_map(move |(number, line)| {
        let import = ["use ", "pub use ", "pub(crate) use "]
            .iter()
            .find_map(|start| line.trim_start().strip_prefix(start));
        let names = match import {
            Some(import) => {
                let (_, names) = import.split_once('{')?;
                inside = !names.contains('}');
                names
            }
            None if inside => {
                inside = !line.contains('}');
                line
            }
            None => return None,
        };
        (names.contains("::")).then_some((number, "expected one `use` for each module"))
    })
}

/// An error says what was expected and what it got.
fn words(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    lines(text)
        .filter(|(_, line)| !line.trim_start().starts_with("//") && line.contains("expected "))
        .filter(|(_, line)| line.contains(concat!(", ca", "me ")))
        .map(|(number, _)| (number, "expected \"expected …, got …\""))
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}
