//! Messages that two parties could read differently, and what becomes of them: a corpus of the attacks that are known.
//!
//! Each case says what is sent and what has to follow. Cases that pass state what a member gets, since a rewrite
//! that loses or invents a body is as bad as a lenient parse.

use nines_load_balancer::http1::{
    Asked, BadReply, ClientText, Forwarding, Framing, Limits, Method, RequestHead, ResponseHead,
};

const LIMITS: Limits = Limits { head_bytes: 8 * 1024, headers: 100 };

fn refusal(request: &[u8]) -> Option<u16> {
    RequestHead::new().parse(request, &LIMITS).err().map(|rejection| rejection.status)
}

#[track_caller]
fn all_get(status: u16, requests: &[&[u8]]) {
    for request in requests {
        assert_eq!(refusal(request), Some(status), "{}", request.escape_ascii());
    }
}

/// A whole GET with these lines after a good Host.
fn with(lines: &[u8]) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: shop.example\r\n", lines, b"\r\n\r\n"].concat()
}

#[track_caller]
fn all_lines_get(status: u16, cases: &[&[u8]]) {
    for lines in cases {
        assert_eq!(refusal(&with(lines)), Some(status), "{}", lines.escape_ascii());
    }
}

fn parsed(request: &[u8]) -> RequestHead {
    let mut head = RequestHead::new();
    assert_eq!(head.parse(request, &LIMITS), Ok(true), "{}", request.escape_ascii());
    head
}

/// What a member gets, without the provenance at its end.
fn sent_on(request: &[u8]) -> String {
    let client = ClientText::new([192, 0, 2, 7].into());
    let mut out = Vec::new();
    parsed(request).render(request, &Forwarding { client: &client, trusted: false, proto: "http" }, &mut out);
    let text = String::from_utf8(out).expect("UTF-8 in, UTF-8 out");
    let (head, provenance) =
        text.split_once("X-Forwarded-For: 192.0.2.7\r\n").expect("provenance comes last");
    assert!(provenance.ends_with("\r\n\r\n"), "{provenance:?}");
    head.to_owned()
}

/// The table of `how strict peers are`: what each peer lets through at least once.
#[test]
fn what_peers_let_through_is_refused() {
    all_get(
        400,
        &[
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
            b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"GET / HTTP/1.1\nHost: a\n\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\nabcd",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        ],
    );
    all_get(501, &[b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"]);
}

#[test]
fn two_framings_are_refused() {
    all_lines_get(
        400,
        &[
            b"Content-Length: 0\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nContent-Length: 0",
            b"transfer-encoding: Chunked\r\nCONTENT-LENGTH: 5",
            b"Content-Length: 5\r\nContent-Length: 5",
            b"Content-Length: 5\r\ncontent-length: 6",
            b"Content-Length: 5, 5",
            b"Content-Length: 5, 6",
            b"Content-Length: 5,",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            b"Transfer-Encoding: chunked, chunked",
            b"Content_Length: 5",
            b"Content-Length: 5\r\nContent_Length: 6",
            b"Transfer_Encoding: chunked",
            b"Content-Length: 5\r\nTransfer_Encoding: chunked",
        ],
    );
}

#[test]
fn a_length_that_is_not_plainly_one_is_refused() {
    all_lines_get(
        400,
        &[
            b"Content-Length:",
            b"Content-Length: ",
            b"Content-Length: -1",
            b"Content-Length: +0",
            b"Content-Length: 1 2",
            b"Content-Length: 0x10",
            b"Content-Length: 1e3",
            b"Content-Length: 5;",
            b"Content-Length: \"5\"",
            b"Content-Length: 5.0",
            b"Content-Length: 1_000",
            b"Content-Length: five",
            b"Content-Length: 9223372036854775808",
            b"Content-Length: 18446744073709551616",
            b"Content-Length: 18446744073709551621",
            b"Content-Length: 00000000000000000000000005",
            b"Content-Length: \xd9\xa5",
            b"Content-Length: 5\x0b",
            b"Content-Length: \x005",
        ],
    );
}

#[test]
fn a_transfer_coding_that_is_not_plainly_chunked_is_refused() {
    all_lines_get(
        400,
        &[
            b"Transfer-Encoding:",
            b"Transfer-Encoding: ,",
            b"Transfer-Encoding: chunked,",
            b"Transfer-Encoding: ,chunked",
            b"Transfer-Encoding: chunked, gzip",
            b"Transfer-Encoding: gzip",
            b"Transfer-Encoding: chunked;q=1",
            b"Transfer-Encoding: \"chunked\"",
            b"Transfer-Encoding: chun ked",
            b"Transfer-Encoding: \x0bchunked",
            b"Transfer-Encoding: \x0cchunked",
            b"Transfer-Encoding: chunked\x00",
            b"Transfer-Encoding: \xffchunked",
            b"Transfer-Encoding\x0b: chunked",
            b"Transfer-Encoding\t: chunked",
            b"Transfer-Encoding : chunked",
            b" Transfer-Encoding: chunked",
            b"X: y\r\n Transfer-Encoding: chunked",
            b"Transfer-Encoding:\r\n chunked",
            b"Transfer-Encoding\r\n: chunked",
            b"X: y\rTransfer-Encoding: chunked",
            b"X: y\nTransfer-Encoding: chunked",
            b"X: y\r\rTransfer-Encoding: chunked",
            b"X: y\x00\nTransfer-Encoding: chunked",
        ],
    );
    all_lines_get(
        501,
        &[
            b"Transfer-Encoding: identity",
            b"Transfer-Encoding: gzip, chunked",
            b"Transfer-Encoding: identity, chunked",
            b"Transfer-Encoding: chunked, identity",
            b"Transfer-Encoding: cow",
            b"Transfer-Encoding: chunkedx",
            b"Transfer-Encoding: chunke",
            b"Transfer-Encoding: x-chunked",
        ],
    );
}

#[test]
fn lines_that_do_not_end_with_cr_lf_are_refused() {
    all_get(
        400,
        &[
            b"GET / HTTP/1.1\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n",
            b"GET / HTTP/1.1\r\nX:\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
            b"GET / HTTP/1.1\rHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
            b"GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    );
    assert_eq!(
        refusal(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        None,
        "one empty line may precede (RFC 9112 2.2)"
    );
}

#[test]
fn malformed_lines_are_refused() {
    all_lines_get(
        400,
        &[
            b"X : y",
            b"X\t: y",
            b": y",
            b"X",
            b"X y",
            b"X\x00: y",
            b"X\x7f: y",
            b"(X): y",
            b"X\xff: y",
            b"X: y\x00",
            b"X: \x01",
            b"X: a\x7fb",
            b"X: a\x1bb",
            b"X: y\r\n folded",
            b"X: y\r\n\tfolded",
            b"\r\tX: y",
        ],
    );
    assert_eq!(refusal(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"), Some(400));
    assert_eq!(refusal(b"GET / HTTP/1.1\r\n\r\nHost: a\r\n\r\n"), Some(400));
}

#[test]
fn request_lines_that_are_not_exactly_three_words_are_refused() {
    all_get(
        400,
        &[
            b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /\r\nHost: a\r\n\r\n",
            b"GET HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / http/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
            b"GET / HTTP /1.1\r\nHost: a\r\n\r\n",
            b"GET / XTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/one\r\nHost: a\r\n\r\n",
            b"G\"T / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    );
    all_get(
        505,
        &[
            b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
            b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
            b"GET / HTTP/3\r\nHost: a\r\n\r\n",
        ],
    );
    all_get(
        501,
        &[
            b"CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n",
            b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    );
}

#[test]
fn targets_in_another_form_are_refused() {
    for target in [
        "*",
        "shop.example:443",
        "shop.example",
        "?a",
        "a/b",
        "/a#b",
        "/?#",
        "http://",
        "http:///a",
        "http:/a",
        "http://user@shop.example/",
        "http://a:b@c/",
        "http://a b/",
        "http://a#b",
        "http://shop.example:http/",
        "http://[::1/",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "javascript:1",
        "//",
        "http://a,b/",
        "http://a\\b/",
        "/a\\..\\b",
        "/a/../b",
        "/..",
        "/%2e%2e/b",
        "/.%2E/b",
        "/./b",
        "/a/..;/b",
        "/a\x7f",
        "/\x01",
        "http://shop.example/../b",
        "http://%61/",
        "http://a%2f/",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        let expected = if target == "//" { None } else { Some(400) };
        assert_eq!(refusal(request.as_bytes()), expected, "{target:?}");
    }
    assert_eq!(refusal(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), None);
    assert_eq!(refusal(b"OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n"), Some(400));
}

#[test]
fn hosts_that_are_not_one_name_or_address_are_refused() {
    for host in [
        "",
        " ",
        "a b",
        "a\tb",
        "a@b",
        "user:password@a",
        "a/b",
        "/a",
        "a?b",
        "a#b",
        "a,b",
        "a, b",
        "a;b",
        "a\\b",
        "a:b",
        "a:1:2",
        "a:99999999",
        ":80",
        "[::1",
        "::1",
        "[::1]a",
        "[]",
        "<a>",
        "a\"",
        "ä",
        "a%00",
        "a%2fb",
        "http://a",
        "a:-1",
        "{a}",
        "a|b",
        "a*",
        "$a",
        "a'b",
        "(a)",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(refusal(request.as_bytes()), Some(400), "{host:?}");
    }
    all_get(
        400,
        &[
            b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
            b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET http://a/ HTTP/1.1\r\n\r\n",
            b"GET http://a/ HTTP/1.1\r\nHost: b@c\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: a/b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET / HTTP/1.1\r\n\x00Host: a\r\n\r\n",
        ],
    );
}

#[test]
fn connection_cannot_take_away_what_others_stand_on() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "Authorization",
        "Cookie",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Real-IP",
        "Forwarded",
        "Content-Type",
        "Cache-Control",
        "Expect",
        "Connection",
        "Range",
        "X_Forwarded_For",
        "Proxy-Authorization",
    ] {
        let request = with(format!("Connection: close, {name}").as_bytes());
        assert_eq!(refusal(&request), Some(400), "{name}");
    }
    all_lines_get(
        400,
        &[
            b"Connection: a b",
            b"Connection: \"close\"",
            b"Connection: close;x=y",
            b"Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
            b"Connection: a,b,c,d,e,f,g,h\r\nConnection: a,b,c,d,e,f,g,h,i",
        ],
    );
}

#[test]
fn heads_beyond_the_limits_are_refused_before_they_end() {
    let long_line = [b"GET /".as_slice(), &[b'a'; 9000]].concat();
    assert_eq!(refusal(&long_line), Some(414));
    let long_value = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'a'; 9000]].concat();
    assert_eq!(refusal(&long_value), Some(431));
    let whole = [long_value.as_slice(), b"\r\nHost: a\r\n\r\n"].concat();
    assert_eq!(refusal(&whole), Some(431));
    let many = |count: usize| with(vec!["X: y"; count].join("\r\n").as_bytes());
    assert_eq!(refusal(&many(99)), None);
    assert_eq!(refusal(&many(100)), Some(431));
}

#[test]
fn expectations_and_upgrades_that_are_unknown_do_not_pass() {
    all_lines_get(417, &[b"Expect: 200-ok", b"Expect: 100-continue, x", b"Expect:"]);
    all_lines_get(
        400,
        &[
            b"Content-Length: 1\r\nExpect: 100-continue\r\nExpect: 100-continue",
            b"Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b",
        ],
    );
    for upgrade in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.0", "h2"] {
        let request = with(
            format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AA")
                .as_bytes(),
        );
        assert!(!parsed(&request).upgrade(), "{upgrade}");
        assert_eq!(sent_on(&request), "GET / HTTP/1.1\r\nHost: shop.example\r\n", "{upgrade}");
    }
}

#[test]
fn what_passes_says_the_same_to_the_member() {
    for (request, expected) in [
        // The target's host wins.
        (
            &b"GET http://Real.Example:81/a?b HTTP/1.1\r\nHost: other.example\r\nA: b\r\n\r\n"[..],
            "GET /a?b HTTP/1.1\r\nHost: Real.Example:81\r\nA: b\r\n",
        ),
        (b"GET HTTPS://[::1] HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost: [::1]\r\n"),
        (b"GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?b HTTP/1.1\r\nHost: a\r\n"),
        (b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n"),
        (b"OPTIONS http://a?b HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS /?b HTTP/1.1\r\nHost: a\r\n"),
        // Members are spoken to in HTTP/1.1, which wants a Host.
        (b"GET /a HTTP/1.0\r\n\r\n", "GET /a HTTP/1.1\r\nHost: \r\n"),
        (b"GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "GET /a HTTP/1.1\r\nHost: a\r\n"),
        (
            b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\nHost: a\r\n\r\nabc",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nHost: a\r\n",
        ),
        // What is the connection's goes.
        (
            b"GET / HTTP/1.1\r\nA: 1\r\nConnection: close, X-Mine\r\nHost: a\r\nx-mine: 1\r\nTE: trailers\r\nB: 2\r\n\
              Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy: http://evil\r\nX-MINE: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nB: 2\r\n",
        ),
        // What others say about provenance goes, however it is spelled.
        (
            b"GET / HTTP/1.1\r\nX-Forwarded-For: 1.1.1.1\r\nx_forwarded_for: 1.1.1.1\r\nHost: a\r\nForwarded: for=1.1.1.1\r\n\
              X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 1.1.1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
        ),
        // Upgrades are asked for anew.
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n",
        ),
        // Not asked for in Connection; with a body; in HTTP/1.0: no upgrade.
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nContent-Length: 1\r\nConnection: upgrade\r\n\r\nx",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n",
        ),
        (b"GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"),
        // Bodies.
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tCHUNKED \r\nExpect: 100-Continue\r\nTrailer: X\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n",
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"),
        // Values beyond ASCII and methods beyond the known ones pass.
        (b"X-1!# / HTTP/1.1\r\nHost: a\r\nA:\xc3\xa4\t b\r\n\r\n", "X-1!# / HTTP/1.1\r\nHost: a\r\nA:\u{e4}\t b\r\n"),
        (b"GET //a//b HTTP/1.1\r\nHost: a\r\n\r\n", "GET //a//b HTTP/1.1\r\nHost: a\r\n"),
        // A request behind it is left alone.
        (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"),
    ] {
        assert_eq!(sent_on(request), expected, "{}", request.escape_ascii());
    }
}

#[test]
fn framing_and_persistence_are_read_as_the_rfc_says() {
    let framing = |request: &[u8]| parsed(request).framing();
    assert_eq!(framing(&with(b"Content-Length: 0005")), Framing::Length(5));
    assert_eq!(framing(&with(b"Content-Length:\t5 ")), Framing::Length(5));
    assert_eq!(framing(&with(b"Transfer-Encoding: cHunked")), Framing::Chunked);
    assert_eq!(framing(&with(b"A: b")), Framing::None);
    let persists = |request: &[u8]| parsed(request).keep_alive();
    assert!(persists(&with(b"A: b")));
    assert!(!persists(&with(b"Connection: Close")));
    assert!(!persists(&with(b"Connection: keep-alive, close")));
    assert!(!persists(&with(b"Connection: keep-alive\r\nConnection: close")));
    assert!(!persists(b"GET / HTTP/1.0\r\n\r\n"));
    assert!(persists(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

fn bad_reply(reply: &[u8]) -> Option<BadReply> {
    let asked = Asked { method: Method::Get, upgrade: false };
    ResponseHead::new().parse(reply, asked, &LIMITS).err()
}

#[test]
fn replies_that_are_ambiguous_are_refused() {
    for reply in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\rc: d\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"HTTP/1.1 200 OK\rA: b\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 600 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b" HTTP/1.1 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"<html>",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n",
    ] {
        assert!(bad_reply(reply).is_some(), "{}", reply.escape_ascii());
    }
    let long = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &[b'a'; 9000]].concat();
    assert_eq!(bad_reply(&long), Some(BadReply("the head is too long")));
}
