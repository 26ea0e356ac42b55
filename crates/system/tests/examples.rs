//! The examples of the repository are system files that work.
#![allow(clippy::disallowed_methods)] // The room is pure; a test may read the files that it is about.

use std::collections::BTreeMap;

/// What is said of an example on purpose.
const WARNINGS: [(&str, &str); 1] = [("single.toml", "database `orders` is a single instance")];

#[test]
fn every_example_parses_and_is_warned_of_what_it_is_there_to_show_and_nothing_else() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let mut seen = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "toml") {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("# "), "{} does not say what it is for", path.display());
            match nines_system::parse_with_warnings(&path.display().to_string(), &text) {
                Ok((_, warnings)) => {
                    let said: Vec<String> = warnings.iter().map(|it| it.title.clone()).collect();
                    seen.insert(path.file_name().unwrap().to_string_lossy().into_owned(), said);
                }
                Err(mistakes) => panic!("{mistakes}"),
            }
        }
    }
    for needed in ["everything", "minimal", "pair", "shop", "single", "two-datacentres"] {
        assert!(seen.contains_key(&format!("{needed}.toml")), "{folder} has no {needed}.toml");
    }
    let said: Vec<(&str, &str)> = seen
        .iter()
        .flat_map(|(name, said)| said.iter().map(move |it| (name.as_str(), it.as_str())))
        .collect();
    assert_eq!(said, WARNINGS);
}
