//! The README is held to its word: it names the commands that exist, and its system file is right.

#![allow(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const NINES: &str = env!("CARGO_BIN_EXE_nines");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The project's documents, by their paths from the root.
fn documents() -> Vec<String> {
    let mut documents =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "fuzz/README.md"].map(str::to_owned).to_vec();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        documents.push(format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()));
    }
    documents
}

/// Where a document's links lead, those out of the project and those within the document left out.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://") && !target.starts_with('#'))
}

/// The commands that `nines --help` lists.
fn commands() -> BTreeSet<String> {
    let help = Command::new(NINES).arg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Names are indented by two, what wraps by more.
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

/// The words that follow `nines ` where it stands as a command: behind a backtick, or at the start of an indented line.
fn named(text: &str) -> BTreeSet<String> {
    let mut rest = text;
    let mut words = BTreeSet::new();
    while let Some(at) = rest.find("nines ") {
        let before = &rest[..at];
        let is_command = before.ends_with('`') || before.ends_with("\n    ") || before.ends_with("\n#   ");
        rest = &rest[at + "nines ".len()..];
        let word: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        if is_command && !word.is_empty() {
            words.insert(word);
        }
    }
    words
}

#[test]
fn the_readme_names_exactly_the_commands_that_exist() {
    let commands = commands();
    assert!(commands.contains("check"), "{commands:?}");
    assert_eq!(named(&document("README.md")), commands);
}

#[test]
fn other_documents_name_no_command_that_does_not_exist() {
    // Hidden ones count too.
    let exists =
        |name: &String| Command::new(NINES).args([name, "--help"]).output().unwrap().status.success();
    assert!(!exists(&"levitate".to_owned()));
    let mut documents = vec!["ARCHITECTURE.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        documents.push(format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()));
    }
    assert!(documents.len() > 3);
    for name in documents {
        let unknown: Vec<String> = named(&document(&name)).into_iter().filter(|name| !exists(name)).collect();
        assert!(unknown.is_empty(), "{name} names {unknown:?}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    assert_eq!(links("[a](b.md) [c](https://d) `e(f)` [g](#h)").collect::<Vec<_>>(), ["b.md"]);
    for name in documents() {
        let text = document(&name);
        for link in links(&text) {
            let (file, _) = link.split_once('#').unwrap_or((link, ""));
            let target = root().join(&name).with_file_name(file);
            assert!(target.exists(), "{name} links to {link}, which is not there");
        }
    }
}

#[test]
fn the_system_file_in_the_readme_is_right() {
    let readme = document("README.md");
    let (_, after) = readme.split_once("```toml\n").unwrap();
    let (toml, _) = after.split_once("```").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    let checked = Command::new(NINES).arg("check").arg(file.path()).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_made_up_command_is_seen() {
    let found = named("`nines levitate FILE`, then\n    nines check FILE\nand nines is fine");
    assert_eq!(found, ["check", "levitate"].map(str::to_owned).into());
}
