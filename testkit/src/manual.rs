//! Holds the manual in `packaging/man`, and the completions beside it, against the programs.
//!
//! The pages of daemons and files are written by hand, in mdoc. Those of programs whose command
//! line is clap's are generated.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The text of a page, such as `softsim-keyd.8`.
pub fn page(name: &str) -> String {
    let path = packaging().join("man").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

/// The arguments of a macro, such as `Ic`, in the tagged lists of a page in mdoc.
pub fn entries(page: &str, name: &str) -> BTreeSet<String> {
    let tags = page.lines().filter_map(|line| line.strip_prefix(".It "));
    tags.flat_map(|tag| arguments(tag, name)).collect()
}

/// Asserts that a page has an entry for each of these flags, and names no other.
pub fn assert_flags<'f>(name: &str, flags: impl IntoIterator<Item = &'f str>) {
    let page = page(name);
    let flags = flags.into_iter().chain(["--help", "--version", "-h", "-V"]);
    let flags: BTreeSet<_> = flags.map(|flag| flag[1..].to_owned()).collect();
    let named = page
        .lines()
        .flat_map(|line| arguments(line, "Fl"))
        .collect();
    for found in [entries(&page, "Fl"), named] {
        let missing: Vec<_> = flags.difference(&found).collect();
        let invented: Vec<_> = found.difference(&flags).collect();
        assert!(
            missing.is_empty() && invented.is_empty(),
            "{name} lacks {missing:?}, and the program {invented:?}"
        );
    }
}

/// What follows a macro in a line.
fn arguments(line: &str, name: &str) -> Vec<String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let pairs = words.windows(2).filter(|pair| {
        let called = pair[0].trim_start_matches('.');
        called == name
    });
    pairs.map(|pair| pair[1].to_owned()).collect()
}

#[cfg(feature = "clap")]
pub use generated::assert_generated;

#[cfg(feature = "clap")]
mod generated {
    use std::path::Path;
    use std::{env, fs, io};

    use clap::Command;
    use clap_complete::Shell;
    use clap_mangen::Man;

    /// If this variable is set, the files are written instead of compared.
    const WRITE: &str = "SOFTSIM_WRITE_MANUAL";

    /// Asserts that the page and the completions of a program are in the tree as they are
    /// generated. `see_also` names other pages, with their sections.
    pub fn assert_generated(mut command: Command, see_also: &str) {
        let program = command.get_name().to_owned();
        let packaging = super::packaging();
        compare(
            &packaging.join(format!("man/{program}.1")),
            &page(command.clone(), see_also).unwrap(),
        );
        for (shell, name) in [
            (Shell::Bash, program.clone()),
            (Shell::Zsh, format!("_{program}")),
            (Shell::Fish, format!("{program}.fish")),
        ] {
            let mut completion = Vec::new();
            clap_complete::generate(shell, &mut command, &*program, &mut completion);
            compare(
                &packaging.join(format!("completions/{shell}/{name}")),
                &completion,
            );
        }
    }

    fn compare(path: &Path, generated: &[u8]) {
        if env::var_os(WRITE).is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, generated).unwrap();
        }
        let committed = fs::read(path).unwrap_or_default();
        assert!(
            committed == generated,
            "{} isn't what the command line generates: run this test with {WRITE}=1",
            path.display()
        );
    }

    /// One page, with a part for each command.
    fn page(command: Command, see_also: &str) -> io::Result<Vec<u8>> {
        let mut command = command.disable_help_subcommand(true);
        command.build();
        let about = command.get_about().unwrap_or_default().to_string();
        let about = about.trim_end_matches('.');
        let (first, rest) = about.split_at(1);
        let name = format!(
            ".SH NAME\n{} \\- {}{rest}\n",
            command.get_name(),
            first.to_lowercase()
        );
        let notes = command.get_after_help().map(|notes| notes.to_string());

        let mut page = Vec::new();
        let man = Man::new(command.clone());
        man.render_title(&mut page)?;
        // Long words, of which a synopsis has many, leave no line that could be justified.
        page.extend(b".ad l\n.nh\n");
        page.extend(name.as_bytes());
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        page.extend(b".SH COMMANDS\n");
        commands(&command, &mut page)?;
        page.extend(paragraphs(&notes.unwrap_or_default()).as_bytes());
        page.extend(format!(".SH SEE ALSO\n{see_also}\n").as_bytes());
        Ok(page)
    }

    fn commands(parent: &Command, page: &mut Vec<u8>) -> io::Result<()> {
        for command in parent.get_subcommands() {
            page.extend(format!(".SS {}\n", command.get_bin_name().unwrap()).as_bytes());
            part(command, page)?;
            commands(command, page)?;
        }
        Ok(())
    }

    /// What a page of its own would say of a command. The options of all commands are said once.
    fn part(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
        let shared = |arg: &clap::Arg| arg.is_global_set() || arg.get_id() == "help";
        let own = command.clone().mut_args(|arg| {
            let hidden = shared(&arg);
            arg.hide(hidden)
        });
        let man = Man::new(own);
        let mut sections = [const { Vec::new() }; 3];
        let [synopsis, description, options] = &mut sections;
        man.render_synopsis_section(synopsis)?;
        man.render_description_section(description)?;
        man.render_options_section(options)?;
        for section in sections {
            let text = String::from_utf8(section).unwrap();
            // The first line of each is its heading.
            let text = text
                .split_once(".SH ")
                .and_then(|(_, text)| text.split_once('\n'));
            let text = text.unwrap_or_default().1;
            if !text.is_empty() {
                page.extend(b".PP\n");
                // A line may break between alternatives.
                page.extend(text.replace('|', "|\\:").as_bytes());
            }
        }
        Ok(())
    }

    /// The paragraphs after the help, each of which has a heading and lines as they stand.
    fn paragraphs(notes: &str) -> String {
        let mut page = String::new();
        for paragraph in notes.trim().split("\n\n") {
            let (heading, lines) = paragraph.split_once('\n').unwrap();
            let heading = heading.trim_end_matches(':').to_uppercase();
            let lines = lines.replace('\\', "\\e").replace('-', "\\-");
            page.push_str(&format!(".SH {heading}\n.nf\n{lines}\n.fi\n"));
        }
        page
    }
}
