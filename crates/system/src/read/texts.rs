//! Texts that have a form: names, addresses, members, patterns.

use std::net::{IpAddr, SocketAddr};

use crate::item::Item;
use crate::mistake::{Mistake, Notes, Span, nearest};
use crate::model::{AccessLog, HashKey, HostAddress, HostPattern, Network};

const NAME_RULE: &str = "a name has letters, digits, `-`, `_` and `.`, begins with a letter or a digit, and is at \
                         most 63 long";

pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

pub(crate) fn check_name(name: &str, span: Span, notes: &Notes) {
    if !is_name(name) {
        notes.add(Mistake::new(format!("`{name}` can't be a name"), span, "not a name").help(NAME_RULE));
    }
}

pub(crate) fn name<'a>(item: &Item<'a>) -> Option<&'a str> {
    let text = item.text()?;
    check_name(text, item.span(), item.notes);
    is_name(text).then_some(text)
}

pub(crate) fn address(item: &Item<'_>) -> Option<HostAddress> {
    let text = item.text()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        if ip.is_unspecified() || ip.is_multicast() {
            item.note(
                format!("`{text}` is no host's address"),
                "not a host's",
                "write the address by which other hosts reach it",
            );
            return None;
        }
        return Some(HostAddress::Ip(ip));
    }
    if is_dns_name(text) {
        return Some(HostAddress::Dns(text.to_ascii_lowercase()));
    }
    let help = match text.parse::<SocketAddr>().map(|socket| socket.ip().to_string()).ok().or_else(|| {
        let (host, port) = text.rsplit_once(':')?;
        (is_dns_name(host) && port.parse::<u16>().is_ok()).then(|| host.to_owned())
    }) {
        Some(host) => format!("a host has no port, its members have: write \"{host}\""),
        None => "write an IP address, such as \"10.0.1.21\", or a DNS name".to_owned(),
    };
    item.note(format!("`{text}` is not an address"), "neither an IP address nor a DNS name", help);
    None
}

/// RFC 1123 names, with underscores let through; the last label must not be all digits, as in `10.0.0.256`.
pub(crate) fn is_dns_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    name.len() <= 253 && name.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
}

/// `app1:8080`: the host's name and the port.
pub(crate) fn host_and_port<'a>(item: &Item<'a>) -> Option<(&'a str, u16)> {
    let text = item.text()?;
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port_number(port)?)));
    let Some((host, port)) = parts else {
        let help = if text.contains(':') {
            "a port is a number from 1 to 65535".to_owned()
        } else {
            format!("write \"{text}:8080\", with the port that it serves")
        };
        item.note(format!("`{text}` is not a host and a port"), "a port is missing or wrong", help);
        return None;
    };
    Some((host, port))
}

fn port_number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port > 0 && !text.starts_with('+'))
}

/// `:80` or `10.0.1.10:80`.
pub(crate) fn bind(item: &Item<'_>) -> Option<(Option<IpAddr>, u16)> {
    let text = item.text()?;
    if let Some(port) = text.strip_prefix(':').and_then(port_number) {
        return Some((None, port));
    }
    if let Some(socket) = text.parse::<SocketAddr>().ok().filter(|socket| socket.port() > 0) {
        return Some((Some(socket.ip()), socket.port()));
    }
    let help = match port_number(text) {
        Some(port) => format!("write \":{port}\" for this port of every address"),
        None => "write \":80\" for a port of every address, or \"10.0.1.10:80\" or \"[::1]:80\" for one"
            .to_owned(),
    };
    item.note(format!("can't listen on `{text}`"), "not an address and a port", help);
    None
}

pub(crate) fn socket(item: &Item<'_>) -> Option<SocketAddr> {
    let text = item.text()?;
    let socket = text.parse::<SocketAddr>().ok().filter(|socket| socket.port() > 0);
    if socket.is_none() {
        let help = match text.strip_prefix(':').and_then(port_number) {
            Some(port) => format!(
                "write \"127.0.0.1:{port}\" for this host only, or the address of the network that may see it"
            ),
            None => "write, for example, \"127.0.0.1:9009\"".to_owned(),
        };
        item.note(format!("`{text}` is not an IP address and a port"), "not an IP address and a port", help);
    }
    socket
}

pub(crate) fn access_log(item: &Item<'_>) -> Option<AccessLog> {
    match item.text()? {
        "stdout" => Some(AccessLog::Stdout),
        path if path.starts_with('/') => Some(AccessLog::File(path.into())),
        other => {
            item.note(
                format!("can't write the access log to `{other}`"),
                "neither \"stdout\" nor an absolute path",
                "write \"stdout\", or a path that begins with `/`",
            );
            None
        }
    }
}

pub(crate) fn network(item: &Item<'_>) -> Option<Network> {
    let text = item.text()?;
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let network = address.parse::<IpAddr>().ok().and_then(|address| {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse::<u8>().ok().filter(|&prefix| prefix <= bits)?,
            None => bits,
        };
        Some(Network { address, prefix })
    });
    if network.is_none() {
        item.note(
            format!("`{text}` is not a network"),
            "not a network",
            "write an address and how many of its bits count, such as \"10.0.0.0/8\"",
        );
    }
    network
}

pub(crate) fn host_pattern(item: &Item<'_>) -> Option<HostPattern> {
    let text = item.text()?;
    let lower = text.to_ascii_lowercase();
    if lower == "*" {
        return Some(HostPattern::Any);
    }
    if let Some(suffix) =
        lower.strip_prefix('*').filter(|rest| rest.strip_prefix('.').is_some_and(is_dns_name))
    {
        return Some(HostPattern::Suffix(suffix.to_owned()));
    }
    if is_dns_name(&lower) || lower.parse::<IpAddr>().is_ok() {
        return Some(HostPattern::Exact(lower));
    }
    let help = match lower.rsplit_once(':') {
        Some((host, _)) if is_dns_name(host) => format!("the port plays no part: write \"{host}\""),
        _ => "write \"shop.example\", \"*.shop.example\" for everything under it, or \"*\" for any host"
            .to_owned(),
    };
    item.note(format!("`{text}` matches no host"), "not a host name", help);
    None
}

/// A path as a request would carry it, without query.
pub(crate) fn path<'a>(item: &Item<'a>) -> Option<&'a str> {
    let text = item.text()?;
    let wrong = |c: char| !c.is_ascii_graphic() || c == '#';
    let help = if !text.starts_with('/') {
        format!("write \"/{}\"", text.trim_start())
    } else if text.contains(wrong) {
        "spaces and other such characters are written as in a URL: %20".to_owned()
    } else {
        return Some(text);
    };
    item.note(format!("`{text}` is not a path"), "not a path", help);
    None
}

/// The same as a prefix: a route sees no query, and a slash at its end makes no difference.
pub(crate) fn path_prefix<'a>(item: &Item<'a>) -> Option<&'a str> {
    let path = path(item)?;
    if let Some((before, _)) = path.split_once('?') {
        let help = format!("routes go by path alone: write \"{before}\"");
        item.note(format!("`{path}` has a query"), "never matches", help);
        return None;
    }
    match path.trim_end_matches('/') {
        "" => Some("/"),
        prefix => Some(prefix),
    }
}

/// A Host header's value.
pub(crate) fn host_header<'a>(item: &Item<'a>) -> Option<&'a str> {
    let text = item.text()?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        item.note("that can't be a Host header", "not a host", "write a name, such as \"shop.example\"");
        return None;
    }
    Some(text)
}

/// `200` or `200-399`.
pub(crate) fn status(item: &Item<'_>) -> Option<(u16, u16)> {
    if item.value.get_ref().is_integer() {
        return item.whole(100, 599).map(|status| (status as u16, status as u16));
    }
    let text = item.text()?;
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    let range = number(from).zip(number(to)).filter(|(from, to)| from <= to);
    if range.is_none() {
        item.note(
            format!("`{text}` is not an HTTP status"),
            "neither a status nor a range",
            "write 200, \"200-399\", or a list of such",
        );
    }
    range
}

pub(crate) fn hash_key(item: &Item<'_>) -> Option<HashKey> {
    let text = item.text()?;
    let token = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    match text.split_once(':').unwrap_or((text, "")) {
        ("client-address", "") => Some(HashKey::ClientAddress),
        ("header", name) if token(name) => Some(HashKey::Header(name.to_ascii_lowercase())),
        ("cookie", name) if token(name) => Some(HashKey::Cookie(name.to_owned())),
        _ => {
            item.note(
                format!("can't hash by `{text}`"),
                "nothing to hash",
                "write \"client-address\", \"header:x-user\" or \"cookie:session\"",
            );
            None
        }
    }
}

/// Words, or a list of them.
pub(crate) fn command(item: Item<'_>) -> Option<Vec<String>> {
    let words: Vec<String> = if item.value.get_ref().is_array() {
        item.items()?.map(|word| word.text().map(str::to_owned)).collect::<Option<_>>()?
    } else {
        let text = item.text()?;
        if text.contains(['"', '\'', '\\', '|', '>', '<', ';', '&', '$', '`']) {
            item.note(
                format!("`{}` is not run by a shell", item.name),
                "quotes and the like would be passed on as they are",
                "write a list of words: [\"sh\", \"-c\", \"…\"]",
            );
            return None;
        }
        text.split_whitespace().map(str::to_owned).collect()
    };
    if words.first().is_none_or(String::is_empty) {
        item.note(
            format!("`{}` is empty", item.name),
            "nothing to run",
            "write the program and its arguments, or leave it out",
        );
        return None;
    }
    check_placeholders(&item, &words);
    Some(words)
}

/// Notes what is nearly a placeholder. Other braces are the command's own.
fn check_placeholders(item: &Item<'_>, words: &[String]) {
    let known = ["host", "address", "port"];
    for word in words {
        let braced = word.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
        for name in braced.filter(|name| !known.contains(name)) {
            if let Some(near) = nearest(name, known) {
                item.notes.add(
                    Mistake::new(
                        format!("`{}` has an unknown placeholder, `{{{name}}}`", item.name),
                        item.part(&format!("{{{name}}}")),
                        "would be passed on as it is",
                    )
                    .help(format!("did you mean `{{{near}}}`?")),
                );
            }
        }
    }
}
