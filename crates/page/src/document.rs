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
}
