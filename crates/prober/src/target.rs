//! What is asked: a URL, taken apart.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As it was written, without a password: what reports call it.
    pub name: String,
    pub scheme: Scheme,
    /// A name or an address, the latter without brackets.
    pub host: String,
    pub port: u16,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Scheme {
    /// GET of a path, with its query.
    Http { tls: bool, path: String },
    /// A connection that is taken.
    Tcp,
    /// A session in which a question is answered.
    Postgres(Session),
}

/// Who asks a PostgreSQL what, and whether others may listen.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub user: String,
    pub password: Option<String>,
    pub database: String,
    pub encryption: Encryption,
    /// It is asked to commit something, not only to read.
    pub write: bool,
}

/// TLS to a PostgreSQL, by libpq's words (`sslmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// `disable`.
    Never,
    /// `prefer`: as psql does. Nobody's certificate is checked.
    IfOffered,
    /// `require`: the same, and without it it is a failure.
    Always,
    /// `verify-full`: by a certificate for this name that somebody trusted has signed.
    Checked,
}

impl fmt::Debug for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { tls, path } => f.debug_struct("Http").field("tls", tls).field("path", path).finish(),
            Self::Tcp => f.write_str("Tcp"),
            Self::Postgres(session) => f.debug_tuple("Postgres").field(session).finish(),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user", &self.user)
            .field("database", &self.database)
            .field("encryption", &self.encryption)
            .field("write", &self.write)
            .finish_non_exhaustive()
    }
}

const LIKE: &str = "like `http://shop.example/healthz`, `https://…`, `tcp://host:port` or `postgres://user@host:port/database`";

impl FromStr for Target {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        if url.chars().any(|c| c.is_control() || c == ' ') {
            return Err("a URL has no blanks".to_owned());
        }
        let (scheme, rest) = url.split_once("://").ok_or(LIKE)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or("");
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place)?;
        let scheme = scheme.to_ascii_lowercase();
        if user.is_some() && !scheme.starts_with("postgres") {
            return Err("who asks can't be told here: it is asked as anybody".to_owned());
        }
        let with_path = || match path {
            path if path.starts_with('/') => path.to_owned(),
            query => format!("/{query}"),
        };
        let (kind, usual, name) = match scheme.as_str() {
            "http" => (Scheme::Http { tls: false, path: with_path() }, Some(80), url.to_owned()),
            "https" => (Scheme::Http { tls: true, path: with_path() }, Some(443), url.to_owned()),
            "tcp" if path.is_empty() || path == "/" => (Scheme::Tcp, None, url.to_owned()),
            "tcp" => return Err("a TCP port has no path".to_owned()),
            "postgres" | "postgresql" => {
                let (session, name) = session(user, place, path)?;
                (Scheme::Postgres(session), Some(5432), name)
            }
            _ => return Err(format!("that can't be asked; {LIKE}")),
        };
        let port = port.or(usual).ok_or("a port is missing: `tcp://host:port`")?;
        Ok(Self { name, scheme: kind, host, port })
    }
}

/// `user:password@place/database?sslmode=require&write`, and what reports call it.
fn session(user: Option<&str>, place: &str, path: &str) -> Result<(Session, String), String> {
    let (user, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
        None | Some(("", _)) => {
            return Err("a user is missing: `postgres://user@host/database`".to_owned());
        }
        Some((user, "")) => (user, None),
        Some((user, password)) => (user, Some(decoded(password)?)),
    };
    let (database, wishes) = path.trim_start_matches('/').split_once('?').unwrap_or((path, ""));
    let database = database.trim_start_matches('/');
    let database = if database.is_empty() { user } else { database };
    let (mut encryption, mut write) = (Encryption::IfOffered, false);
    for wish in wishes.split('&').filter(|wish| !wish.is_empty()) {
        match wish {
            "sslmode=disable" => encryption = Encryption::Never,
            "sslmode=prefer" => encryption = Encryption::IfOffered,
            "sslmode=require" => encryption = Encryption::Always,
            "sslmode=verify-full" => encryption = Encryption::Checked,
            "write" => write = true,
            // Not repeated: it may be a password.
            _ => {
                return Err("after `?` there may be `write`, and `sslmode=` with `disable`, `prefer`, `require` or `verify-full`"
                    .to_owned());
            }
        }
    }
    let asked = if wishes.is_empty() { String::new() } else { format!("?{wishes}") };
    let name = format!("postgres://{user}@{place}/{database}{asked}");
    let (user, database) = (decoded(user)?, decoded(database)?);
    Ok((Session { user, password, database, encryption, write }, name))
}

/// `p%40ss` is `p@ss`.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = rest.split_at_checked(2).and_then(|(digits, after)| {
            rest = after;
            u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        });
        bytes.push(digits.ok_or("after `%` in a URL there are two hexadecimal digits; `%` itself is `%25`")?);
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("what is written with `%` is no text".to_owned()),
    }
}

/// `shop.example:80`, `10.0.0.1`, `[2001:db8::1]:80`.
fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a `]` is missing")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "what stands in `[…]` is no IPv6 address")?;
            match rest {
                "" => (host, None),
                rest => (host, Some(rest.strip_prefix(':').ok_or("a `:` is missing before the port")?)),
            }
        }
        None => match place.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => return Err("an IPv6 address stands in `[…]`".to_owned()),
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() {
        return Err("a host is missing".to_owned());
    }
    let number = |port: &str| match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        // Not repeated: behind a `/` that should have been `%2F` it is a part of a password.
        _ => Err("after the host's `:` there is no port, which is a number from 1 to 65535".to_owned()),
    };
    Ok((host.to_owned(), port.map(number).transpose()?))
}

impl Target {
    /// Whether it is HTTP over TLS.
    pub fn is_secure(&self) -> bool {
        matches!(self.scheme, Scheme::Http { tls: true, .. })
    }

    pub fn is_http(&self) -> bool {
        matches!(self.scheme, Scheme::Http { .. })
    }

    /// Whether somebody's certificate must be trusted.
    pub fn needs_roots(&self) -> bool {
        let checked = |session: &Session| session.encryption == Encryption::Checked;
        self.is_secure() || matches!(&self.scheme, Scheme::Postgres(session) if checked(session))
    }

    /// Whether more than one question can be asked over one connection.
    pub(crate) fn can_be_kept(&self) -> bool {
        self.scheme != Scheme::Tcp
    }

    /// Where a redirect leads from here (RFC 3986, 5.2).
    pub(crate) fn join(&self, to: &str) -> Result<Self, String> {
        let Scheme::Http { tls, path } = &self.scheme else { return Err("not from HTTP".to_owned()) };
        let scheme = if *tls { "https" } else { "http" };
        let here = |path: &str| format!("{scheme}://{}{path}", self.authority());
        let own = path.split('?').next().unwrap_or("/");
        let url = match to {
            to if has_scheme(to) => to.to_owned(),
            to if to.starts_with("//") => format!("{scheme}:{to}"),
            to if to.starts_with('/') => here(&plain(to)),
            to if to.starts_with('?') => here(&format!("{own}{to}")),
            "" => here(path),
            to if to.starts_with('#') => here(path),
            to => here(&plain(&format!("{}/{to}", own.rsplit_once('/').map_or("", |(folder, _)| folder)))),
        };
        let target: Self = url.parse()?;
        if target.is_http() { Ok(target) } else { Err("a redirect leads to HTTP or HTTPS".to_owned()) }
    }

    /// What HTTP calls the host: with its port, if that is not the usual one.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (&self.scheme, self.port) {
            (Scheme::Http { tls: false, .. }, 80) | (Scheme::Http { tls: true, .. }, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// `https://…`, but `mailto:…` too.
fn has_scheme(url: &str) -> bool {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// A path without `.` and `..`.
fn plain(path: &str) -> String {
    let (path, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    let mut parts: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for part in path.split('/').skip(1) {
        ends_in_folder = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if ends_in_folder { "/" } else { "" };
    format!("/{}{}{query}", parts.join("/"), if parts.is_empty() { "" } else { end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        url.parse().unwrap()
    }

    #[test]
    fn a_url_is_taken_apart() {
        let shop = target("http://shop.example/healthz?deep=1#part");
        assert_eq!((shop.host.as_str(), shop.port), ("shop.example", 80));
        assert_eq!(shop.scheme, Scheme::Http { tls: false, path: "/healthz?deep=1".to_owned() });
        assert_eq!(shop.authority(), "shop.example");
        let bare = target("HTTPS://[2001:db8::1]:8443");
        assert_eq!((bare.host.as_str(), bare.port), ("2001:db8::1", 8443));
        assert_eq!(bare.scheme, Scheme::Http { tls: true, path: "/".to_owned() });
        assert_eq!(bare.authority(), "[2001:db8::1]:8443");
        assert_eq!(target("http://a?b").scheme, Scheme::Http { tls: false, path: "/?b".to_owned() });
        assert_eq!(target("tcp://10.0.0.1:25").scheme, Scheme::Tcp);
    }

    #[test]
    fn a_password_is_no_part_of_the_name() {
        let orders = target("postgres://shop:ge%40heim%25@db.example:5433/orders?sslmode=require&write");
        assert_eq!(orders.name, "postgres://shop@db.example:5433/orders?sslmode=require&write");
        let Scheme::Postgres(session) = &orders.scheme else { panic!("{orders:?}") };
        assert_eq!(
            (session.user.as_str(), session.password.as_deref(), session.database.as_str()),
            ("shop", Some("ge@heim%"), "orders")
        );
        assert_eq!((session.encryption, session.write), (Encryption::Always, true));
        assert!(!format!("{orders:?}").contains("heim"));
        let usual = target("postgres://shop@db");
        assert_eq!(usual.name, "postgres://shop@db/shop");
        assert!(!usual.needs_roots() && target("postgres://shop@db?sslmode=verify-full").needs_roots());
        assert_eq!(target("postgres://shop@db?write").name, "postgres://shop@db/shop?write");
        // Nobody believes that it is encrypted when it is not, and no password is repeated.
        let wrong = "postgres://shop@db/orders?sslmode=verify-ful&password=geheim".parse::<Target>();
        assert!(wrong.is_err_and(|why| !why.contains("geheim")));
    }

    #[test]
    fn a_redirect_is_read_from_where_it_was_given() {
        let at = target("http://shop.example:8080/a/b?c=1");
        for (to, there) in [
            ("https://other.example/x", "https://other.example/x"),
            ("//other.example/x", "http://other.example/x"),
            ("/x?y", "http://shop.example:8080/x?y"),
            ("/../x/./y/..", "http://shop.example:8080/x/"),
            ("x", "http://shop.example:8080/a/x"),
            ("x?at=10:30", "http://shop.example:8080/a/x?at=10:30"),
            ("../x/", "http://shop.example:8080/x/"),
            ("?d=2", "http://shop.example:8080/a/b?d=2"),
            ("#part", "http://shop.example:8080/a/b?c=1"),
            ("", "http://shop.example:8080/a/b?c=1"),
            ("/login?to=http://a/", "http://shop.example:8080/login?to=http://a/"),
        ] {
            assert_eq!(at.join(to).map(|target| target.name), Ok(there.to_owned()), "{to}");
        }
        for wrong in
            ["ftp://a/", "mailto:a@b.c", "tcp://a:1", "postgres://a@b/c", "http://", "/a b", "http://me@a/"]
        {
            assert!(at.join(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_can_not_be_asked_is_said() {
        for wrong in [
            "shop.example",
            "ftp://a",
            "tcp://a",
            "tcp://a:1/x",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://[::1",
            "http://::1/",
            "postgres://db",
            "http://me@a/",
            "http://a b/",
            "http://[x]/",
            "postgres://me:%zz@a/",
            "postgres://me:%f@a/",
            "postgres://me:%00@a/",
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
