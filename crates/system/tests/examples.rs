//! The examples of the repository are system files that work.
#![allow(clippy::disallowed_methods)] // The room is pure; a test may read the files that it is about.

#[test]
fn every_example_parses() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "toml") {
            let text = std::fs::read_to_string(&path).unwrap();
            if let Err(mistakes) = nines_system::parse(&path.display().to_string(), &text) {
                panic!("{mistakes}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 2, "{folder} has {seen} examples");
}
