//! Which route of a listener takes a request: exact host before `*.suffix` before any, then the longest path prefix.

use std::collections::HashMap;

use nines_system::{HostPattern, Route};

/// Longest host that routes can name (RFC 1035 §2.3.4); longer ones match only routes for any host.
const HOST_MAX: usize = 255;

#[derive(Debug, Default)]
pub(crate) struct Router {
    exact: HashMap<Box<[u8]>, Paths>,
    /// Longest suffix first.
    suffixes: Vec<(Box<[u8]>, Paths)>,
    any: Paths,
}

/// Prefixes with the position of their route, longest first.
#[derive(Debug, Default)]
struct Paths(Vec<(Box<[u8]>, usize)>);

impl Router {
    pub(crate) fn new(routes: &[Route]) -> Self {
        let mut router = Self::default();
        for (position, route) in routes.iter().enumerate() {
            let paths = match &route.host {
                HostPattern::Any => &mut router.any,
                HostPattern::Exact(host) => router.exact.entry(host.as_bytes().into()).or_default(),
                HostPattern::Suffix(suffix) => {
                    let suffix = suffix.as_bytes();
                    let at = router.suffixes.iter().position(|(other, _)| **other == *suffix);
                    let at = at.unwrap_or_else(|| {
                        router.suffixes.push((suffix.into(), Paths::default()));
                        router.suffixes.len() - 1
                    });
                    &mut router.suffixes[at].1
                }
            };
            paths.0.push((route.path.as_bytes().into(), position));
        }
        let all = router.exact.values_mut().chain(router.suffixes.iter_mut().map(|(_, paths)| paths));
        for paths in all.chain([&mut router.any]) {
            paths.0.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        }
        router.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        router
    }

    /// The position of the route that takes a request for `host` (without port, in any case) and `path`.
    pub(crate) fn route(&self, host: &[u8], path: &[u8]) -> Option<usize> {
        if self.exact.is_empty() && self.suffixes.is_empty() {
            return self.any.route(path);
        }
        let host = host.strip_suffix(b".").unwrap_or(host);
        let mut lower = [0; HOST_MAX];
        let Some(lower) = lower.get_mut(..host.len()) else { return self.any.route(path) };
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        let lower = &*lower;
        let exact = self.exact.get(lower).and_then(|paths| paths.route(path));
        exact
            .or_else(|| {
                let mut fitting = self
                    .suffixes
                    .iter()
                    .filter(|(suffix, _)| lower.len() > suffix.len() && lower.ends_with(suffix));
                fitting.find_map(|(_, paths)| paths.route(path))
            })
            .or_else(|| self.any.route(path))
    }
}

impl Paths {
    fn route(&self, path: &[u8]) -> Option<usize> {
        self.0.iter().find(|(prefix, _)| takes(prefix, path)).map(|&(_, position)| position)
    }
}

/// Whether `path` is `prefix` or below it, on a segment's border. `*` (OPTIONS for the server as a whole) is below `/`.
fn takes(prefix: &[u8], path: &[u8]) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => rest.is_empty() || rest[0] == b'/' || prefix.ends_with(b"/"),
        None => prefix == b"/" && (path == b"*" || path.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &str) -> (nines_system::System, Router) {
        let text = format!(
            "name = \"t\"\nhosts = {{ lb = \"127.0.0.1\", a = \"127.0.0.2\" }}\n[load_balancers.f]\nhosts = [\"lb\"]\n\
             [[load_balancers.f.listeners]]\nbind = \":80\"\nroutes = {routes}\n[pools.p]\nmembers = [\"a:1\"]\n"
        );
        let system = nines_system::parse("t.toml", &text).unwrap_or_else(|m| panic!("{}", m.render(false)));
        let nines_system::Protocol::Http(http) = &system.load_balancers[0].listeners[0].protocol else {
            panic!("an HTTP listener")
        };
        let router = Router::new(&http.routes);
        (system, router)
    }

    #[test]
    fn the_most_specific_route_wins_whatever_the_order() {
        let (_, router) = router(
            r#"[{ pool = "p" }, { path = "/api", pool = "p" }, { path = "/api/v2", pool = "p" },
                { host = "*.shop.example", pool = "p" }, { host = "www.shop.example", path = "/api", pool = "p" },
                { host = "*.eu.shop.example", pool = "p" }]"#,
        );
        for (host, path, route) in [
            ("x", "/", 0),
            ("x", "/apix", 0),
            ("x", "/api", 1),
            ("x", "/api/", 1),
            ("x", "/api/v2/y", 2),
            ("a.shop.example", "/api", 3),
            ("WWW.Shop.Example.", "/api", 4),
            ("www.shop.example", "/other", 3),
            ("a.eu.shop.example", "/", 5),
            ("shop.example", "/", 0),
            ("x", "*", 0),
        ] {
            assert_eq!(router.route(host.as_bytes(), path.as_bytes()), Some(route), "{host} {path}");
        }
    }

    #[test]
    fn a_request_that_no_route_takes_has_none() {
        let (_, router) = router(r#"[{ host = "a.example", path = "/x", pool = "p" }]"#);
        assert_eq!(router.route(b"a.example", b"/y"), None);
        assert_eq!(router.route(b"b.example", b"/x"), None);
        assert_eq!(router.route(&[b'a'; 300], b"/x"), None);
    }
}
