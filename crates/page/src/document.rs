//! The file as a whole: what comes before the body, and the style.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::plot;

const STYLE: &str = include_str!("style.css");

/// What the browser may load for such a page: nothing. The page says so itself, so that a mistake here can't call home.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A page to be.
#[derive(Debug, Clone)]
pub struct Document {
    title: String,
    made_by: Option<String>,
}

impl Document {
    /// `title`: of the window, the bookmark and the printed page.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), made_by: None }
    }

    /// The program and its version: `nines 0.1.0`.
    pub fn made_by(mut self, program: impl Into<String>) -> Self {
        self.made_by = Some(program.into());
        self
    }

    /// The whole file. The body is what goes between the margins: headings, sections, figures.
    pub fn body(&self, body: &Markup) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    @if let Some(program) = &self.made_by { meta name="generator" content=(program); }
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (plot::patterns())
                    main { (body) }
                    @if let Some(program) = &self.made_by { footer { "Made by " (program) "." } }
                }
            }
        };
        page.into_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_wherever_it_comes_in() {
        let evil = "</title><script>alert(1)</script>";
        let page = Document::new(evil).made_by(evil).body(&html! { p title=(evil) { (evil) } });
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;").count(), 5);
    }

    #[test]
    fn nothing_is_loaded_from_anywhere() {
        let page = Document::new("x").body(&html! {});
        assert!(page.contains("default-src 'none'"));
        for way_out in ["src=", "url(http", "url('", "url(\"", "@import", "//"] {
            assert!(!page.contains(way_out), "{way_out}");
        }
    }

    /// Relative luminance of `#rrggbb`, as WCAG has it.
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let share = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    #[test]
    fn what_is_drawn_stands_out_by_day_and_by_night() {
        let mut looked_at = 0;
        for scheme in STYLE.split(":root").skip(1).take(2) {
            let colours =
                scheme.split('}').next().unwrap().split("--").filter_map(|rule| rule.split_once(": #"));
            let colours: Vec<(&str, String)> = colours
                .map(|(name, value)| (name, format!("#{}", value.get(..6).unwrap_or_default())))
                .collect();
            let of = |wanted: &str| luminance(&colours.iter().find(|(name, _)| *name == wanted).unwrap().1);
            for (name, colour) in colours.iter().filter(|(name, _)| name.starts_with("i-")) {
                let (one, other) = (luminance(colour), of("card"));
                let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                assert!(contrast >= 3.0, "{name} {colour}: {contrast:.2}");
                looked_at += 1;
            }
        }
        assert_eq!(looked_at, 16);
    }
}
