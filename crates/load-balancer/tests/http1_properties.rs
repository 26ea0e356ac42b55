//! Properties of the HTTP/1.1 core that hold for whatever arrives.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use nines_load_balancer::http1::{
    Asked, ChunkError, ChunkedScanner, ClientText, Downstream, Forwarding, Framing, Limits, Method,
    RequestHead, ResponseHead, Version,
};

const LIMITS: Limits = Limits { head_bytes: 2048, headers: 24 };

/// Lines that mean something to forwarding, and pass.
const FINE: &[&str] = &[
    "Connection: keep-alive",
    "Connection: close, X-Mine",
    "Connection: Upgrade",
    "X-Mine: 1",
    "TE: trailers",
    "Trailer: X",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: close",
    "X-Forwarded-For: 198.51.100.1",
    "X-Forwarded-For:",
    "x-forwarded-proto: https",
    "X-Forwarded-Port: 443",
    "X_Forwarded_For: 198.51.100.2",
    "Forwarded: for=198.51.100.3",
    "Cookie: a=b; c=d",
    "Accept: */*",
    "Empty:",
];

/// Lines that pass at most once, or not at all.
const RARE: &[&str] = &[
    "Host: shop.example",
    "Host: [2001:db8::1]:8080",
    "Host:",
    "Connection: Cookie",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Content-Length: 5",
    "Content-Length: +5",
    "content_length: 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Expect: 100-continue",
    " folded",
    "No colon",
];

fn lines() -> impl Strategy<Value = String> {
    let fine = select(FINE).prop_map(str::to_owned);
    let rare = prop_oneof![
        8 => select(RARE).prop_map(str::to_owned),
        1 => "[A-Za-z_-]{1,8}:[ -~\t]{0,12}",
        1 => "[ -~]{0,9}",
    ];
    let ended = |line| format!("{line}\r\n");
    let rare = (rare, prop_oneof![15 => Just("\r\n"), 1 => select(&["\n", "\r", "\r\n\r\n"])]);
    let lines =
        vec(prop_oneof![5 => fine.prop_map(ended), 1 => rare.prop_map(|(line, end)| line + end)], 0..8);
    lines.prop_map(|lines| lines.concat())
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![9 => select(&["GET", "HEAD", "POST", "OPTIONS", "M-SEARCH"]), 1 => select(&["CONNECT", "G ET", ""])];
    let target = prop_oneof![
        8 => select(&["/", "/a/b?c=d", "//", "*", "http://other.example:81/x?y", "http://other.example", "https://[::1]?q"]),
        1 => select(&["/a/../b", "/%2e", "/a#b", "a:80", "http://u@h/", "", "/a b", "/\\"]),
    ];
    let version =
        select(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.10", "http/1.1"]);
    let start = (select(&["", "", "", "\r\n", "\n"]), method, target, version)
        .prop_map(|(before, method, target, version)| format!("{before}{method} {target} {version}\r\n"));
    message(start)
}

fn reply() -> impl Strategy<Value = Vec<u8>> {
    let version = select(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0"]);
    let status = select(&[
        "200 OK",
        "100 Continue",
        "101 Switching",
        "103 ",
        "204 No",
        "304 Not",
        "426 Up",
        "500",
        "600 X",
        "20",
    ]);
    message((version, status).prop_map(|(version, status)| format!("{version} {status}\r\n")))
}

/// A start line, lines, the empty line, something behind; and perhaps one byte of it changed.
fn message(start: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let good = prop_oneof![4 => Just("Host: shop.example\r\n"), 1 => Just("")];
    let whole = (start, good, lines(), select(&["", "abcde", "GET / HTTP/1.1\r\n\r\n"]))
        .prop_map(|(start, good, lines, behind)| format!("{start}{good}{lines}\r\n{behind}").into_bytes());
    let change = prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
    (whole, change).prop_map(|(mut bytes, change)| {
        if let Some((place, byte)) = change {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    (select(&[Method::Get, Method::Head, Method::Post]), any::<bool>())
        .prop_map(|(method, upgrade)| Asked { method, upgrade })
}

fn downstream() -> impl Strategy<Value = Downstream> {
    (select(&[Version::Http10, Version::Http11]), any::<bool>())
        .prop_map(|(version, keep_alive)| Downstream { version, keep_alive })
}

/// The header lines as `httparse` reads them: the oracle.
fn oracle(head: &[u8]) -> Result<Vec<(String, Vec<u8>)>, TestCaseError> {
    let mut room = [httparse::EMPTY_HEADER; 64];
    let start = head.windows(2).position(|two| two == b"\r\n").map_or(0, |at| at + 2);
    match httparse::parse_headers(&head[start..], &mut room) {
        Ok(httparse::Status::Complete((len, headers))) => {
            prop_assert_eq!(start + len, head.len(), "the head ends where it should");
            Ok(headers
                .iter()
                .map(|header| (header.name.to_ascii_lowercase(), header.value.to_vec()))
                .collect())
        }
        other => Err(TestCaseError::fail(format!("{other:?} on {}", head.escape_ascii()))),
    }
}

fn count(headers: &[(String, Vec<u8>)], name: &str) -> usize {
    headers.iter().filter(|(other, _)| other == name).count()
}

/// No line that was made can end early or carry a second one.
fn assert_lines_are_whole(head: &[u8]) -> Result<(), TestCaseError> {
    for (at, &byte) in head.iter().enumerate() {
        match byte {
            b'\r' => prop_assert_eq!(head.get(at + 1), Some(&b'\n')),
            b'\n' => prop_assert!(at > 0 && head[at - 1] == b'\r'),
            _ => prop_assert!(byte == b'\t' || (byte >= b' ' && byte != 0x7f)),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_global_rejects: 100_000, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn a_request_means_the_same_in_any_pieces(bytes in request()) {
        let mut whole = RequestHead::new();
        let expected = whole.parse(&bytes, &LIMITS);
        let mut head = RequestHead::new();
        for end in 0..=bytes.len() {
            match head.parse(&bytes[..end], &LIMITS) {
                Ok(false) => prop_assert!(expected != Ok(true) || end < whole.len()),
                Ok(true) => {
                    prop_assert_eq!(expected, Ok(true));
                    prop_assert_eq!(end, whole.len(), "neither early nor late");
                    prop_assert_eq!(format!("{head:?}"), format!("{whole:?}"));
                    break;
                }
                Err(rejection) => {
                    prop_assert_eq!(expected, Err(rejection));
                    break;
                }
            }
        }
    }

    #[test]
    fn a_reply_means_the_same_in_any_pieces(bytes in reply(), asked in asked()) {
        let mut whole = ResponseHead::new();
        let expected = whole.parse(&bytes, asked, &LIMITS);
        let mut head = ResponseHead::new();
        for end in 0..=bytes.len() {
            match head.parse(&bytes[..end], asked, &LIMITS) {
                Ok(false) => prop_assert!(expected != Ok(true) || end < whole.len()),
                Ok(true) => {
                    prop_assert_eq!(expected, Ok(true));
                    prop_assert_eq!(end, whole.len(), "neither early nor late");
                    prop_assert_eq!(format!("{head:?}"), format!("{whole:?}"));
                    break;
                }
                Err(error) => {
                    prop_assert_eq!(expected, Err(error));
                    break;
                }
            }
        }
    }

    #[test]
    fn a_member_reads_the_request_that_we_read(bytes in request(), trusted in any::<bool>()) {
        let mut head = RequestHead::new();
        prop_assume!(head.parse(&bytes, &LIMITS) == Ok(true));
        let client = ClientText::new([192, 0, 2, 7].into());
        let mut sent = Vec::new();
        head.render(&bytes, &Forwarding { client: &client, trusted, proto: "http" }, &mut sent);

        assert_lines_are_whole(&sent)?;
        let headers = oracle(&sent)?;
        prop_assert_eq!(count(&headers, "host"), 1);
        prop_assert!(count(&headers, "content-length") + count(&headers, "transfer-encoding") <= 1);
        prop_assert_eq!(count(&headers, "connection"), usize::from(head.upgrade()));
        prop_assert_eq!(count(&headers, "upgrade"), usize::from(head.upgrade()));
        for (gone, most) in [("te", 0), ("keep-alive", 0), ("proxy-connection", 0), ("x_forwarded_for", 0), ("x-forwarded-for", 1)] {
            prop_assert!(count(&headers, gone) <= most, "{}", gone);
        }
        let from = headers.iter().find(|(name, _)| name == "x-forwarded-for").map(|(_, value)| value.as_slice());
        prop_assert!(from.is_some_and(|value| value.ends_with(b"192.0.2.7") && (trusted || value.len() == 9)));

        let mut again = RequestHead::new();
        if head.host(&bytes).is_empty() {
            return Ok(()); // an HTTP/1.0 client's: a member may take it, we would not
        }
        let limits = Limits { head_bytes: 4096, headers: 64 };
        prop_assert_eq!(again.parse(&sent, &limits), Ok(true), "{}", sent.escape_ascii());
        prop_assert_eq!(again.len(), sent.len());
        prop_assert_eq!(again.framing(), head.framing());
        prop_assert_eq!(again.asked(), head.asked());
        prop_assert_eq!(again.method_bytes(&sent), head.method_bytes(&bytes));
        prop_assert_eq!(again.host(&sent), head.host(&bytes));
        prop_assert_eq!(again.path(&sent), head.path(&bytes));
        prop_assert_eq!(again.expects_continue(), head.expects_continue());
        prop_assert!(again.keep_alive());
    }

    #[test]
    fn a_client_reads_the_reply_that_we_read(bytes in reply(), asked in asked(), to in downstream()) {
        let mut head = ResponseHead::new();
        prop_assume!(head.parse(&bytes, asked, &LIMITS) == Ok(true));
        prop_assume!(to.version == Version::Http11 || !head.is_interim());
        let mut sent = Vec::new();
        head.render(&bytes, to, &mut sent);

        assert_lines_are_whole(&sent)?;
        let headers = oracle(&sent)?;
        prop_assert!(count(&headers, "content-length") + count(&headers, "transfer-encoding") <= 1);
        prop_assert!(to.version == Version::Http11 || count(&headers, "transfer-encoding") == 0);
        prop_assert_eq!(count(&headers, "keep-alive"), 0);
        prop_assert!(count(&headers, "connection") <= 1);

        let mut again = ResponseHead::new();
        prop_assert_eq!(again.parse(&sent, asked, &Limits { head_bytes: 4096, headers: 64 }), Ok(true));
        prop_assert_eq!(again.len(), sent.len());
        prop_assert_eq!(again.status(), head.status());
        prop_assert_eq!(again.framing(), head.framing_for(to));
        if !head.is_interim() && !head.switched() {
            let persists = match to.version {
                Version::Http11 => again.keep_alive(),
                Version::Http10 => {
                    headers.iter().any(|(name, value)| name == "connection" && value == b"keep-alive")
                }
            };
            // After 426 the client is asked to upgrade on this connection, which Connection has to say.
            prop_assert!(head.status() == 426 || persists == head.keeps_client(to));
        }
    }

    #[test]
    fn no_bytes_make_the_core_panic(bytes in vec(any::<u8>(), 0..300), asked in asked()) {
        let _ = RequestHead::new().parse(&bytes, &LIMITS);
        let _ = ResponseHead::new().parse(&bytes, asked, &LIMITS);
        let _ = ChunkedScanner::new(&LIMITS).advance(&bytes);
        let _ = nines_load_balancer::proxy_protocol::parse(&bytes);
    }
}

/// A chunked body made of its parts.
fn chunked() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let extension = prop_oneof![4 => Just(""), 1 => select(&[";a=b", ";a=\"b;c\"", ";", "; x"])];
    let chunk = (vec(any::<u8>(), 1..40), extension, any::<bool>());
    let trailers = vec(select(&["X-Sum: 1\r\n", "Expires:\r\n", "A:\tb \r\n"]), 0..3);
    (vec(chunk, 0..5), select(&["0", "000", "0;a"]), trailers).prop_map(|(chunks, last, trailers)| {
        let (mut body, mut payload) = (Vec::new(), Vec::new());
        for (data, extension, upper) in chunks {
            let size = if upper { format!("{:X}", data.len()) } else { format!("{:02x}", data.len()) };
            body.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
            body.extend_from_slice(&data);
            body.extend_from_slice(b"\r\n");
            payload.extend_from_slice(&data);
        }
        body.extend_from_slice(format!("{last}\r\n{}\r\n", trailers.concat()).as_bytes());
        (body, payload)
    })
}

/// Scans in pieces of `step` bytes: how long the body is if it ends, and its payload until then.
fn scan(bytes: &[u8], step: usize) -> Result<(Option<usize>, Vec<u8>), ChunkError> {
    let mut scanner = ChunkedScanner::new(&LIMITS);
    let (mut payload, mut consumed) = (Vec::new(), 0);
    for piece in bytes.chunks(step) {
        let progress = scanner.advance_with(piece, |data| payload.extend_from_slice(data))?;
        consumed += progress.consumed;
        if progress.done {
            return Ok((Some(consumed), payload));
        }
        assert_eq!(progress.consumed, piece.len());
    }
    Ok((None, payload))
}

/// A decoder as plain as can be, of whole bodies: `None` for what is malformed or cut short.
fn decode(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    let line = |from: usize| -> Option<&[u8]> {
        let len = bytes[from..].windows(2).position(|two| two == b"\r\n")?;
        Some(&bytes[from..from + len]).filter(|line| line.iter().all(text))
    };
    let (mut at, mut payload) = (0, Vec::new());
    loop {
        let size = line(at)?;
        at += size.len() + 2;
        let (digits, extension) =
            size.split_at(size.iter().position(|&byte| byte == b';').unwrap_or(size.len()));
        let valid = (1..=16).contains(&digits.len())
            && digits.iter().all(u8::is_ascii_hexdigit)
            && extension.len() <= 257;
        let digits = std::str::from_utf8(digits).ok().filter(|_| valid)?;
        let size = usize::try_from(i64::from_str_radix(digits, 16).ok()?).ok()?;
        if size == 0 {
            break;
        }
        payload.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        at += size;
        if bytes.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    loop {
        let trailer = line(at)?;
        at += trailer.len() + 2;
        if trailer.is_empty() {
            return Some((at, payload));
        }
        let name = std::str::from_utf8(&trailer[..trailer.iter().position(|&byte| byte == b':')?]).ok()?;
        let token = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if !token || ["host", "content-length", "te", "cookie"].contains(&name.to_ascii_lowercase().as_str())
        {
            return None;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_global_rejects: 100_000, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_chunked_body_ends_where_it_ends_in_any_pieces((body, payload) in chunked(), behind in "[ -~\r\n]{0,9}") {
        let bytes = [&body, behind.as_bytes()].concat();
        for step in 1..=bytes.len() {
            prop_assert_eq!(scan(&bytes, step), Ok((Some(body.len()), payload.clone())), "in steps of {}", step);
        }
        for end in 0..body.len() {
            prop_assert_eq!(scan(&body[..end], 7).map(|(len, _)| len), Ok(None), "cut at {}", end);
        }
    }

    #[test]
    fn the_scanner_agrees_with_a_plain_decoder(
        (mut body, _) in chunked(),
        changes in vec((any::<prop::sample::Index>(), select(b"\r\n 0;:xA\0\x7f".as_slice())), 0..3),
    ) {
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        let scanned = scan(&body, body.len()).ok().and_then(|(len, payload)| Some((len?, payload)));
        prop_assert_eq!(scanned, decode(&body), "{}", body.escape_ascii());
    }
}

#[test]
fn chunked_bodies_that_are_not_exactly_so_are_refused() {
    for body in [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1\t;a\r\n",
        ";a\r\n",
        "1,\r\n",
        "1_0\r\n",
        "8000000000000000\r\n",
        "10000000000000000\r\n",
        "00000000000000001\r\n",
        "fffffffffffffffff\r\n",
        "1\nx\r\n0\r\n\r\n",
        "1\rx\r\n",
        "1\r\r\n",
        "1;a\nx\r\n",
        "1;a\rb\r\n",
        "1;a\0\r\n",
        "1;\x7f\r\n",
        "1\r\nxy\r\n",
        "1\r\nx\n",
        "1\r\nx\r\r",
        "1\r\nx0\r\n",
        "1\r\n\r\n\r\n0\r\n\r\n1",
        "0\n\n",
        "0\r\n\n",
        "0\r\n\r\r",
        "0\r\n \r\n",
        "0\r\n: x\r\n",
        "0\r\nX\r\n",
        "0\r\nX : y\r\n",
        "0\r\nX: y\n",
        "0\r\nX: y\r\n folded\r\n",
        "0\r\nX: \0\r\n",
        "0\r\nX: y\rz\r\n",
        "0\r\n\x01: y\r\n",
        "0\r\nContent-Length: 5\r\n",
        "0\r\ncontent_length: 5\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n",
        "0\r\nHOST: a\r\n",
        "0\r\nConnection: close\r\n",
        "0\r\nAuthorization: x\r\n",
        "0\r\nCookie: x\r\n",
        "0\r\nSet-Cookie: x\r\n",
        "0\r\nContent-Encoding: gzip\r\n",
        "0\r\nX-Forwarded-For: 1.1.1.1\r\n",
        "0\r\nX-Forwarded-Any-Name-However-Long: 1\r\n",
        "0\r\nForwarded: for=a\r\n",
        "0\r\nTE: x\r\n",
        "0\r\nX-Ok: 1\r\nHost: a\r\n",
    ] {
        for step in [1, 2, 64] {
            let last_fails = scan(body.as_bytes(), step).is_err();
            assert!(last_fails, "{body:?} in steps of {step}");
        }
    }
    assert!(scan(format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(256)).as_bytes(), 9).is_ok());
    assert!(scan(format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(257)).as_bytes(), 9).is_err());
    assert!(scan(format!("0\r\n{}\r\n", "X: y\r\n".repeat(24)).as_bytes(), 9).is_ok());
    assert!(scan(format!("0\r\n{}\r\n", "X: y\r\n".repeat(25)).as_bytes(), 9).is_err());
    assert!(scan(format!("0\r\nX: {}\r\n", "y".repeat(2048)).as_bytes(), 9).is_err());
}

#[test]
fn a_payload_put_into_chunks_comes_out_again() {
    for len in [1, 9, 10, 15, 16, 255, 256, 4095, 65536, 1_000_000] {
        let payload = vec![b'x'; len];
        let mut body = Vec::new();
        nines_load_balancer::http1::chunk_start(len, &mut body);
        assert_eq!(body, format!("{len:x}\r\n").as_bytes());
        body.extend_from_slice(&payload);
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(nines_load_balancer::http1::LAST_CHUNK);
        assert_eq!(scan(&body, 1000), Ok((Some(body.len()), payload)));
    }
}

#[test]
fn framing_for_a_client_follows_from_what_it_speaks() {
    let framing = |reply: &[u8], version, keep_alive| {
        let mut head = ResponseHead::new();
        let asked = Asked { method: Method::Get, upgrade: false };
        assert_eq!(head.parse(reply, asked, &LIMITS), Ok(true));
        let to = Downstream { version, keep_alive };
        (head.framing_for(to), head.keeps_client(to))
    };
    let (chunked, until_close) =
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(framing(chunked, Version::Http11, true), (Framing::Chunked, true));
    assert_eq!(framing(chunked, Version::Http10, true), (Framing::UntilClose, false));
    assert_eq!(framing(until_close, Version::Http11, true), (Framing::Chunked, true));
    assert_eq!(framing(until_close, Version::Http11, false), (Framing::UntilClose, false));
    assert_eq!(framing(until_close, Version::Http10, true), (Framing::UntilClose, false));
}
