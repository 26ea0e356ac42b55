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
    /// A session in which `SELECT 1` is answered.
    Postgres { user: String, password: Option<String>, database: String },
}

impl fmt::Debug for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { tls, path } => f.debug_struct("Http").field("tls", tls).field("path", path).finish(),
            Self::Tcp => f.write_str("Tcp"),
            Self::Postgres { user, database, .. } => {
                f.debug_struct("Postgres").field("user", user).field("database", database).finish()
            }
        }
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
                let (user, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
                    None | Some(("", _)) => {
                        return Err("a user is missing: `postgres://user@host/database`".to_owned());
                    }
                    Some((user, "")) => (user, None),
                    Some((user, password)) => (user, Some(password.to_owned())),
                };
                let database = path.trim_start_matches('/').split('?').next().unwrap_or("");
                let database = if database.is_empty() { user } else { database };
                let name = format!("postgres://{user}@{place}/{database}");
                (
                    Scheme::Postgres { user: user.to_owned(), password, database: database.to_owned() },
                    Some(5432),
                    name,
                )
            }
            other => return Err(format!("`{other}://` can't be asked; {LIKE}")),
        };
        let port = port.or(usual).ok_or("a port is missing: `tcp://host:port`")?;
        Ok(Self { name, scheme: kind, host, port })
    }
}

/// `shop.example:80`, `10.0.0.1`, `[2001:db8::1]:80`.
fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a `]` is missing")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("`{host}` is no IPv6 address"))?;
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
        _ => Err(format!("`{port}` is no port")),
    };
    Ok((host.to_owned(), port.map(number).transpose()?))
}

impl Target {
    /// What HTTP calls the host: with its port, if that is not the usual one.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (&self.scheme, self.port) {
            (Scheme::Http { tls: false, .. }, 80) | (Scheme::Http { tls: true, .. }, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
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
        let orders = target("postgres://shop:geheim@db.example:5433/orders?sslmode=x");
        assert_eq!(orders.name, "postgres://shop@db.example:5433/orders");
        let Scheme::Postgres { user, password, database } = &orders.scheme else { panic!("{orders:?}") };
        assert_eq!(
            (user.as_str(), password.as_deref(), database.as_str()),
            ("shop", Some("geheim"), "orders")
        );
        assert!(!format!("{orders:?}").contains("geheim"));
        assert_eq!(target("postgres://shop@db").name, "postgres://shop@db/shop");
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
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
