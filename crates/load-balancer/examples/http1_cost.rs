//! What the HTTP/1.1 core costs a request: `cargo run --release --example http1_cost -p nines-load-balancer`.

use std::hint::black_box;
use std::time::Instant;

use nines_load_balancer::http1::{
    Asked, ChunkedScanner, ClientText, Downstream, Forwarding, Limits, Method, RequestHead, ResponseHead,
    Version,
};

const LIMITS: Limits = Limits { head_bytes: 32 * 1024, headers: 100 };

const WRK: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const BROWSER: &[u8] = b"GET /shop/basket?item=4711&colour=blue HTTP/1.1\r\n\
Host: shop.example\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Accept-Language: en-GB,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Connection: keep-alive\r\n\
Referer: https://shop.example/\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
Upgrade-Insecure-Requests: 1\r\n\
Cache-Control: max-age=0\r\n\r\n";

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 03:00:00 GMT\r\n\
Content-Type: application/octet-stream\r\nContent-Length: 1024\r\nConnection: keep-alive\r\nETag: \"6543-400\"\r\n\r\n";

fn main() {
    let client = ClientText::new([192, 0, 2, 1].into());
    let forwarding = Forwarding { client: &client, trusted: false, proto: "http" };
    let mut head = RequestHead::new();
    let mut out = Vec::with_capacity(4096);
    for (name, text) in [("wrk's request", WRK), ("a browser's request", BROWSER)] {
        let parse = nanoseconds(|| {
            assert_eq!(head.parse(black_box(text), &LIMITS), Ok(true));
        });
        let render = nanoseconds(|| {
            out.clear();
            head.render(black_box(text), &forwarding, &mut out);
            black_box(&out);
        });
        println!("{name}: parse {parse:.0} ns, render {render:.0} ns");
    }

    let mut reply = ResponseHead::new();
    let asked = Asked { method: Method::Get, upgrade: false };
    let to = Downstream { version: Version::Http11, keep_alive: true };
    let parse = nanoseconds(|| {
        assert_eq!(reply.parse(black_box(REPLY), asked, &LIMITS), Ok(true));
    });
    let render = nanoseconds(|| {
        out.clear();
        reply.render(black_box(REPLY), to, &mut out);
        black_box(&out);
    });
    println!("a reply of six headers: parse {parse:.0} ns, render {render:.0} ns");

    let mut body = b"4000\r\n".to_vec();
    body.resize(body.len() + 0x4000, b'x');
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    let scan = nanoseconds(|| {
        let mut scanner = ChunkedScanner::new(&LIMITS);
        assert!(scanner.advance(black_box(&body)).is_ok_and(|progress| progress.done));
    });
    println!("a chunk of 16 KiB and the last one: scan {scan:.0} ns");
}

/// The best of many short rounds: what it costs while nothing else runs.
fn nanoseconds(mut work: impl FnMut()) -> f64 {
    const CALLS: u32 = 2_000;
    let round = |_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| work());
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..300).map(round).fold(f64::INFINITY, f64::min)
}
