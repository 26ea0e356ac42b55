//! A request's target and host: which forms are accepted (RFC 9112 §3.2), and what of them routing sees.

use super::Method;

/// The parts of a target, as ranges of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Absolute-form only: what is between `//` and the path.
    pub authority: Option<&'a [u8]>,
    /// Path and query as sent to a member; empty for absolute-form without either.
    pub origin: &'a [u8],
    /// Without the query.
    pub path: &'a [u8],
}

/// Takes a target apart. `Err` says why it is refused.
pub(super) fn parse(method: Method, target: &[u8]) -> Result<Target<'_>, &'static str> {
    match target {
        [b'/', ..] => Ok(Target { authority: None, origin: target, path: path(target)? }),
        b"*" if method == Method::Options => Ok(Target { authority: None, origin: target, path: target }),
        _ => {
            let rest = strip_scheme(target).ok_or("the target is neither a path nor an http URL")?;
            let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
            let (authority, origin) = rest.split_at(end);
            Ok(Target { authority: Some(authority), origin, path: path(origin)? })
        }
    }
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// The part before `?`, unless the target holds what members read in more than one way.
fn path(origin: &[u8]) -> Result<&[u8], &'static str> {
    let mut dots = false; // a dot, written as itself or not, begins a segment
    let mut end = origin.len();
    for (index, &byte) in origin.iter().enumerate() {
        if !REMARKABLE[usize::from(byte)] {
            continue;
        }
        match byte {
            b'?' => {
                end = index;
                break;
            }
            b'#' => return Err(FRAGMENT),
            b'\\' => return Err("a backslash in the path, which some servers take for a slash"),
            _ => dots |= index > 0 && origin[index - 1] == b'/',
        }
    }
    let (path, query) = origin.split_at(end);
    if query.contains(&b'#') {
        return Err(FRAGMENT);
    }
    if dots && path.split(|&byte| byte == b'/').any(is_dot_segment) {
        return Err("a dot segment in the path");
    }
    Ok(path)
}

/// What a path is scanned for.
static REMARKABLE: [bool; 256] = table(b"?#\\.%");
static HOST: [bool; 256] = table(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~");

const fn table(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut index = 0;
    while index < bytes.len() {
        table[bytes[index] as usize] = true;
        index += 1;
    }
    table
}

const FRAGMENT: &str = "a fragment in the target";

/// `.` or `..`, also percent-encoded, also with `;parameters`.
fn is_dot_segment(mut segment: &[u8]) -> bool {
    for dots in 0.. {
        segment = match segment {
            [] | [b';', ..] => return dots > 0,
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] if dots < 2 => rest,
            _ => return false,
        };
    }
    false
}

/// The length of the name or address in `host[:port]`, or `None` where it is not one.
///
/// RFC 3986 allows more in a host than DNS ever holds (`!`, `,`, `%2f`, …); what names no host is refused.
pub(super) fn host_len(authority: &[u8]) -> Option<usize> {
    let (len, rest) = match authority {
        [b'[', rest @ ..] => {
            let inside = rest.iter().position(|&byte| byte == b']')?;
            let address = &rest[..inside];
            let valid = inside >= 2
                && address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
                && address.contains(&b':');
            if !valid {
                return None;
            }
            (inside + 2, &rest[inside + 1..])
        }
        _ => {
            let host = |&byte: &u8| HOST[usize::from(byte)];
            let len = authority.iter().position(|byte| !host(byte)).unwrap_or(authority.len());
            (len, &authority[len..])
        }
    };
    let port_is_valid = match rest {
        [] => true,
        [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    (len > 0 && port_is_valid).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for (authority, host) in [
            ("shop.example", "shop.example"),
            ("shop.example:8080", "shop.example"),
            ("shop_1:", "shop_1"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[2001:db8::1]:443", "[2001:db8::1]"),
            ("[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]"),
        ] {
            assert_eq!(host_len(authority.as_bytes()), Some(host.len()), "{authority}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a@b",
            "a/b",
            "a,b",
            "a:b",
            "a:80:80",
            "a:123456",
            "[]",
            "[::1",
            "::1",
            "[::1]x",
            "[g::]",
            "[a]",
            "a%2fb",
            "a?b",
            "a#b",
            "a\\b",
            "ä",
            "a\tb",
            "[::1%25eth0]",
            "a:+1",
            "<a>",
            "a;b",
        ] {
            assert_eq!(host_len(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn dot_segments_are_seen_however_they_are_written() {
        for bad in [
            "/.",
            "/..",
            "/./a",
            "/a/../b",
            "/a/..",
            "/%2e",
            "/%2E%2e/a",
            "/.%2e",
            "/%2e./",
            "/..;x=1/a",
            "/.;/a",
            "//../a",
        ] {
            assert!(path(bad.as_bytes()).is_err(), "{bad:?}");
        }
        for (fine, expected) in [
            ("/", "/"),
            ("//a", "//a"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/a.b/..c", "/a.b/..c"),
            ("/a..", "/a.."),
            ("/%2f", "/%2f"),
            ("/%2", "/%2"),
            ("/a?b/../c", "/a"),
            ("/;x/a", "/;x/a"),
        ] {
            assert_eq!(path(fine.as_bytes()), Ok(expected.as_bytes()), "{fine:?}");
        }
    }
}
