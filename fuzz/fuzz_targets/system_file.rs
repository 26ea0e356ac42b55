//! Any text is a system or a list of mistakes, each of which can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match nines_system::parse("system.toml", text) {
        Ok(system) => {
            let explained = nines_system::explain_with_secrets(&system);
            assert_eq!(
                nines_system::parse("explained.toml", &explained).ok().as_ref(),
                Some(&system),
                "{explained}"
            );
        }
        Err(mistakes) => {
            assert!(mistakes.len() > 0);
            assert!(!mistakes.render(false).is_empty());
        }
    }
});
