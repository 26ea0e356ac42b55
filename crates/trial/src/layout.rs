//! Whether a page can be read: what a person with a screen and two eyes would complain about, measured in a browser.

use std::io;
use std::path::Path;

use crate::browser::{Browser, Screen};

/// Narrow, middling and wide, by day and by night.
pub const SCREENS: [Screen; 6] = [
    Screen { width: 360, height: 780, dark: false },
    Screen { width: 360, height: 780, dark: true },
    Screen { width: 800, height: 1000, dark: false },
    Screen { width: 800, height: 1000, dark: true },
    Screen { width: 1600, height: 1000, dark: false },
    Screen { width: 1600, height: 1000, dark: true },
];

/// Everything that is wrong with the page in a file, on each of these screens; nothing if it is as it should be:
/// no wider than the screen; no text in a drawing covers another, leaves its box or is cut off; every text stands out from what is
/// behind it (4.5 to 1); links lead somewhere on the page, and nowhere else; nothing is asked for besides the file; no errors.
///
/// # Errors
/// When the browser can't do it.
pub fn complaints(browser: &mut Browser, file: &Path, screens: &[Screen]) -> io::Result<Vec<String>> {
    let mut all = Vec::new();
    for &screen in screens {
        browser.open(file, screen)?;
        let found = browser.evaluate(LOOK)?;
        let found = found.as_array().cloned().unwrap_or_default();
        let of_page = found.iter().map(|what| what.as_str().unwrap_or_default().to_owned());
        let on = if screen.dark { "dark" } else { "light" };
        let named =
            of_page.chain(browser.complaints()).map(|what| format!("{} px, {on}: {what}", screen.width));
        all.extend(named);
    }
    Ok(all)
}

/// Gives a list of complaints. Folds are opened first: what is in them is part of the page.
const LOOK: &str = include_str!("layout.js");
