//! Heads, chunked bodies and PROXY protocol headers: what one side lets through, the other must read in the same way.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nines_load_balancer::http1::{
    Asked, ChunkError, ChunkedScanner, ClientText, Downstream, Forwarding, Limits, Method, RequestHead,
    ResponseHead, Version,
};
use nines_load_balancer::proxy_protocol;

const LIMITS: Limits = Limits { head_bytes: 1024, headers: 16 };
/// For what was rendered, which has lines added.
const WIDE: Limits = Limits { head_bytes: 8192, headers: 64 };

fuzz_target!(|input: &[u8]| {
    let [choice, cut, bytes @ ..] = input else { return };
    let cut = usize::from(*cut).min(bytes.len());
    match choice % 4 {
        0 => request(bytes, cut, choice & 4 != 0),
        1 => reply(bytes, cut, *choice),
        2 => chunked(bytes, cut),
        _ => proxy(bytes, cut),
    }
});

fn request(bytes: &[u8], cut: usize, trusted: bool) {
    let mut head = RequestHead::new();
    let parsed = head.parse(bytes, &LIMITS);
    match RequestHead::new().parse(&bytes[..cut], &LIMITS) {
        Ok(true) => assert!(parsed == Ok(true) && head.len() <= cut),
        Ok(false) => assert!(parsed != Ok(true) || head.len() > cut),
        Err(rejection) => assert_eq!(parsed, Err(rejection)),
    }
    if parsed != Ok(true) {
        return;
    }
    let client = ClientText::new([192, 0, 2, 7].into());
    let mut sent = Vec::new();
    head.render(bytes, &Forwarding { client: &client, trusted, proto: "http" }, &mut sent);
    if head.host(bytes).is_empty() {
        return; // HTTP/1.0 without a host
    }
    let mut again = RequestHead::new();
    assert_eq!(again.parse(&sent, &WIDE), Ok(true));
    assert_eq!(again.len(), sent.len());
    assert_eq!(again.framing(), head.framing());
    assert_eq!(again.asked(), head.asked());
    assert_eq!(again.method_bytes(&sent), head.method_bytes(bytes));
    assert_eq!(again.host(&sent), head.host(bytes));
    assert_eq!(again.path(&sent), head.path(bytes));
    assert_eq!(again.cookie(&sent, "a"), head.cookie(bytes, "a"));
}

fn reply(bytes: &[u8], cut: usize, choice: u8) {
    let method = if choice & 4 == 0 { Method::Get } else { Method::Head };
    let version = if choice & 8 == 0 { Version::Http11 } else { Version::Http10 };
    let asked = Asked { method, upgrade: choice & 16 != 0 };
    let to = Downstream { version, keep_alive: choice & 32 == 0 };
    let mut head = ResponseHead::new();
    let parsed = head.parse(bytes, asked, &LIMITS);
    match ResponseHead::new().parse(&bytes[..cut], asked, &LIMITS) {
        Ok(true) => assert!(parsed == Ok(true) && head.len() <= cut),
        Ok(false) => assert!(parsed != Ok(true) || head.len() > cut),
        Err(error) => assert_eq!(parsed, Err(error)),
    }
    if parsed != Ok(true) {
        return;
    }
    let mut sent = Vec::new();
    head.render(bytes, to, &mut sent);
    let mut again = ResponseHead::new();
    assert_eq!(again.parse(&sent, asked, &WIDE), Ok(true));
    assert_eq!(again.len(), sent.len());
    assert_eq!(again.status(), head.status());
    assert_eq!(again.framing(), head.framing_for(to));
}

fn chunked(bytes: &[u8], cut: usize) {
    let scan = |pieces: &[&[u8]]| -> Result<(usize, bool, Vec<u8>), ChunkError> {
        let mut scanner = ChunkedScanner::new(&LIMITS);
        let (mut consumed, mut done, mut payload) = (0, false, Vec::new());
        for piece in pieces {
            let progress = scanner.advance_with(piece, |data| payload.extend_from_slice(data))?;
            assert!(!done || progress.consumed == 0);
            consumed += progress.consumed;
            done = progress.done;
        }
        Ok((consumed, done, payload))
    };
    let (first, second) = bytes.split_at(cut);
    let whole = scan(&[bytes]);
    assert_eq!(whole, scan(&[first, second]));
    if let Ok((consumed, done, payload)) = whole {
        assert!(consumed == bytes.len() || done);
        assert!(payload.len() <= consumed);
    }
}

fn proxy(bytes: &[u8], cut: usize) {
    let whole = proxy_protocol::parse(bytes);
    match proxy_protocol::parse(&bytes[..cut]) {
        Ok(None) => assert!(!matches!(whole, Ok(Some((len, _))) if len <= cut)),
        Ok(read) => assert_eq!(whole, Ok(read)),
        Err(error) => assert_eq!(whole, Err(error)),
    }
}
