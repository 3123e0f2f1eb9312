//! The manual and the completions, as their readers and as packages take them.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use softsim_lab_harness::prerequisite::skip;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

/// The files below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => [path].into(),
        })
        .collect()
}

#[test]
fn man_shows_each_page_without_a_warning() {
    if Command::new("man").arg("--version").output().is_err() {
        return skip("the manual's pages: man is missing");
    }
    for page in files(&packaging().join("man")) {
        let shown = Command::new("man")
            .args(["--local-file", "--warnings", "--encoding=UTF-8"])
            .arg(&page)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        assert!(shown.status.success(), "{}", page.display());
        let warnings = String::from_utf8_lossy(&shown.stderr);
        assert_eq!(warnings, "", "{}", page.display());
        // man shows an empty page, too.
        assert!(String::from_utf8_lossy(&shown.stdout).contains("SEE ALSO"));
    }
}

#[test]
fn a_page_refers_to_pages_that_are_there() {
    let pages = files(&packaging().join("man"));
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let words: Vec<_> = text
            .split(|c: char| c.is_whitespace() || c == ',')
            .collect();
        let macros = words.windows(3).filter(|words| words[0] == ".Xr");
        let macros = macros.map(|words| (words[1], words[2]));
        // Generated pages have no macro for it.
        let plain = words.iter().filter_map(|word| {
            let (name, section) = word.split_once('(')?;
            Some((name, section.strip_suffix(')')?))
        });
        for (name, section) in macros.chain(plain) {
            let ours = name.starts_with("softsim");
            let there = page.with_file_name(format!("{name}.{section}"));
            assert!(
                !ours || pages.contains(&there),
                "{}: {name}",
                page.display()
            );
        }
    }
}

/// Programs stand in for the real ones: the script installs whatever has their names.
#[test]
fn the_script_installs_every_page_and_completion() {
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .args(["-r", "--"])
        .arg(packaging())
        .arg(folder.path())
        .status();
    assert!(copied.unwrap().success());
    let archive = folder.path().join("packaging");
    fs::create_dir(archive.join("bin")).unwrap();
    let programs =
        ["keyd", "netd", "bridge", "anchord", "issuer"].map(|name| format!("softsim-{name}"));
    for program in programs.iter().map(|name| &**name).chain(["softsimctl"]) {
        fs::write(archive.join("bin").join(program), "").unwrap();
    }
    let image = folder.path().join("image");
    let installed = Command::new("sh")
        .arg(archive.join("install.sh"))
        .arg(format!("DESTDIR={}", image.display()))
        .output()
        .unwrap();
    assert!(installed.status.success(), "{installed:?}");

    let share = image.join("usr/local/share");
    let mut expected = BTreeSet::new();
    for page in files(&packaging().join("man")) {
        let section = page.extension().unwrap().to_str().unwrap();
        let folder = share.join(format!("man/man{section}"));
        expected.insert(folder.join(page.file_name().unwrap()));
    }
    for program in ["softsimctl", "softsim-issuer"] {
        expected.insert(share.join("bash-completion/completions").join(program));
        expected.insert(share.join(format!("zsh/site-functions/_{program}")));
        expected.insert(share.join(format!("fish/vendor_completions.d/{program}.fish")));
    }
    assert_eq!(files(&share), expected);
}
