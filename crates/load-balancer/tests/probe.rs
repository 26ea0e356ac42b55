//! Each outcome of a probe, against a real little server, ordered as `control` orders it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_control::pools::{Input, Output, Pools, ProbeOrder, Probed};
use nines_load_balancer::probe::Prober;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The first probe that a system with this `check` orders of its only member.
fn order(check: &str, member: SocketAddr) -> ProbeOrder {
    let (address, port) = (member.ip(), member.port());
    let text = format!(
        r#"
name = "probed"
[hosts]
lb1 = "127.0.0.254"
app1 = "{address}"
[load_balancers.front]
hosts = ["lb1"]
listeners = [{{ bind = ":80", pool = "web" }}]
[pools.web]
members = ["app1:{port}"]
check = {check}
"#
    );
    let system =
        Arc::new(nines_system::parse("probed.toml", &text).unwrap_or_else(|e| panic!("{}", e.render(false))));
    let now = Instant::now();
    let mut pools = Pools::new(now, system.clone(), system.pool_ids().collect(), 1);
    for _ in 0..100 {
        while let Some(output) = pools.poll() {
            if let Output::Probe(order) = output {
                return order;
            }
        }
        let next = pools.deadline().expect("a probe is to come");
        pools.handle(next, Input::Timer);
    }
    panic!("no probe was ordered");
}

/// Serves one connection.
async fn server<T>(serve: impl AsyncFnOnce(TcpStream) -> T, check: &str) -> (Probed, T) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let order = order(check, listener.local_addr().unwrap());
    let prober = Prober::default();
    tokio::join!(prober.probe(&order), async {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream).await
    })
}

async fn request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request is whole");
    }
    String::from_utf8(request).unwrap()
}

/// Answers one request, in pieces that arrive apart, and closes.
async fn answered(check: &str, pieces: &[&str]) -> Result<String, String> {
    let serve = async |mut stream: TcpStream| {
        stream.set_nodelay(true).unwrap();
        request(&mut stream).await;
        for piece in pieces {
            // The probe may have seen enough.
            let _ = stream.write_all(piece.as_bytes()).await;
            tokio::task::yield_now().await;
        }
    };
    server(serve, check).await.0.outcome
}

fn good(text: &str) -> Result<String, String> {
    Ok(text.into())
}

fn bad(text: &str) -> Result<String, String> {
    Err(text.into())
}

fn closed_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], nines_trial::port::free().unwrap()))
}

#[tokio::test]
async fn a_listening_member_passes_and_sees_an_orderly_end() {
    let serve = async |mut stream: TcpStream| {
        // Greets as a mail server does: unread, it must not become a reset.
        stream.write_all(b"220 mail.example\r\n").await.unwrap();
        stream.read(&mut [0]).await
    };
    let (probed, end) = server(serve, r#"{ interval = "1s" }"#).await;
    assert_eq!(probed.outcome, good("connected"));
    assert_eq!(end.unwrap(), 0);
}

#[tokio::test]
async fn a_member_that_does_not_listen_refuses() {
    for check in [r#"{ interval = "1s" }"#, r#"{ http = "/" }"#] {
        let probed = Prober::default().probe(&order(check, closed_port())).await;
        assert_eq!(probed.outcome, bad("connection refused"));
    }
}

#[tokio::test]
async fn the_request_is_what_the_check_says() {
    for (check, host) in [
        (r#"{ http = "/healthz" }"#, "app1:"),
        (r#"{ http = "/healthz", host = "shop.example" }"#, "shop.example\r"),
    ] {
        let serve = async |mut stream: TcpStream| {
            let request = request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            request
        };
        let (probed, request) = server(serve, check).await;
        assert_eq!(probed.outcome, good("HTTP 204"));
        assert!(request.starts_with("GET /healthz HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("\r\nHost: {host}")), "{request}");
        assert!(request.contains("\r\nConnection: close\r\n"), "{request}");
    }
}

#[tokio::test]
async fn the_status_decides() {
    let check = r#"{ http = "/" }"#;
    let several = r#"{ http = "/", status = [200, "301-308"] }"#;
    assert_eq!(answered(check, &["HTTP/1.1 200 OK\r\n\r\n"]).await, good("HTTP 200"));
    assert_eq!(answered(check, &["HTTP/1.0 302 Found\r\n\r\n"]).await, good("HTTP 302"));
    assert_eq!(answered(check, &["HTTP/1.1 503 No\r\n\r\n"]).await, bad("HTTP 503, wanted 200–399"));
    assert_eq!(answered(several, &["HTTP/1.1 302 Found\r\n\r\n"]).await, good("HTTP 302"));
    assert_eq!(answered(several, &["HTTP/1.1 204 No\r\n\r\n"]).await, bad("HTTP 204, wanted 200 or 301–308"));
}

#[tokio::test]
async fn interim_replies_and_heads_in_pieces_are_read() {
    let pieces = [
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.",
        "1 200 OK\r\nContent-",
        "Length: 0\r\n\r",
        "\n",
    ];
    assert_eq!(answered(r#"{ http = "/" }"#, &pieces).await, good("HTTP 200"));
}

#[tokio::test]
async fn the_body_is_searched_however_it_is_framed() {
    let check = r#"{ http = "/", body = "all is well" }"#;
    let found = [
        &["HTTP/1.1 200 OK\r\n\r\nall is", " well"][..],
        &["HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n:all is", " well"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n", "8\r\n is well\r\n0\r\n\r\n"],
    ];
    for pieces in found {
        assert_eq!(answered(check, pieces).await, good("HTTP 200"), "{pieces:?}");
    }
    let lacking = [
        &["HTTP/1.1 200 OK\r\n\r\nall is not well"][..],
        &["HTTP/1.1 204 OK\r\n\r\n"],
        &["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nall is"],
        // What follows the body is no part of it.
        &["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nall is well"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nall is\r\n0\r\n\r\n well"],
    ];
    for pieces in lacking {
        assert_eq!(answered(check, pieces).await, bad(r#"body lacks "all is well""#), "{pieces:?}");
    }
}

#[tokio::test]
async fn the_search_ends_after_64_kib() {
    let check = r#"{ http = "/", body = "all is well" }"#;
    let last = format!("HTTP/1.1 200 OK\r\n\r\n{:1$}all is well", "", 64 * 1024 - 11);
    assert_eq!(answered(check, &[&last]).await, good("HTTP 200"));
    let late = format!("HTTP/1.1 200 OK\r\n\r\n{:1$}all is well", "", 64 * 1024 - 10);
    assert_eq!(answered(check, &[&late]).await, bad(r#"body lacks "all is well" in its first 64 KiB"#));
    let framing =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", "1;x\r\na\r\n".repeat(60_000));
    assert_eq!(answered(check, &[&framing]).await, bad("no end of the reply within 256 KiB"));
}

#[tokio::test]
async fn broken_replies_are_told_apart() {
    let check = r#"{ http = "/", body = "ok" }"#;
    let too_long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let cases = [
        ("", "connection closed without a reply"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "connection closed within the reply's head"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "connection closed within the body"),
        ("SSH-2.0-OpenSSH_9.6\r\n", "no proper HTTP reply: not HTTP/1.0 or HTTP/1.1"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
            "no proper HTTP reply: both Content-Length and Transfer-Encoding",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nok",
            "no proper body: a chunk's size that is not a number",
        ),
        (&too_long, "no proper HTTP reply: the head is too long"),
    ];
    for (reply, why) in cases {
        assert_eq!(answered(check, &[reply]).await, bad(why), "{:.60}", reply);
    }
}

#[tokio::test]
async fn a_reset_is_called_one() {
    let serve = async |mut stream: TcpStream| {
        request(&mut stream).await;
        stream.set_zero_linger().unwrap();
    };
    let (probed, ()) = server(serve, r#"{ http = "/" }"#).await;
    assert_eq!(probed.outcome, bad("connection reset by peer"));
}

#[tokio::test]
async fn silence_is_waited_for_as_long_as_the_check_says() {
    let serve = async |mut stream: TcpStream| {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200").await.unwrap();
        // Until the probe hangs up.
        let _ = stream.read(&mut [0]).await;
    };
    let (probed, ()) = server(serve, r#"{ http = "/", timeout = "150ms" }"#).await;
    assert_eq!(probed.outcome, bad("no answer in 150 ms"));
    assert!(probed.took >= Duration::from_millis(150), "{:?}", probed.took);
}

#[tokio::test]
async fn a_commands_exit_status_decides() {
    let at = closed_port();
    let outcome = async |script: &str| {
        let script = toml_string(script);
        Prober::default()
            .probe(&order(&format!(r#"{{ command = ["sh", "-c", {script}] }}"#), at))
            .await
            .outcome
    };
    assert_eq!(outcome("exit 0").await, good("exit status 0"));
    assert_eq!(outcome("echo fine; echo more").await, good("exit status 0: fine"));
    assert_eq!(outcome("echo; echo disk full >&2; exit 1").await, bad("exit status 1: disk full"));
    assert_eq!(outcome("kill -9 $$").await, bad("signal 9 (SIGKILL)"));
    assert_eq!(outcome("read x || exit 3").await, bad("exit status 3"), "its input is empty");
    let words = outcome("echo {host} {address} {port}").await;
    assert_eq!(words, good(&format!("exit status 0: app1 127.0.0.1 {}", at.port())));
}

#[tokio::test]
async fn a_command_that_cannot_be_run_says_so() {
    let probed = Prober::default().probe(&order(r#"{ command = ["no-such-program"] }"#, closed_port())).await;
    assert_eq!(probed.outcome, bad(r#"cannot run "no-such-program": no such file or directory"#));
}

#[tokio::test]
async fn a_command_may_say_a_lot() {
    let check = r#"{ command = ["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; exit 1"], interval = "10s", timeout = "10s" }"#;
    let outcome = Prober::default().probe(&order(check, closed_port())).await.outcome;
    assert_eq!(outcome, bad(&format!("exit status 1: {}", "x".repeat(200))));
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_all_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = toml_string(&format!("sleep 60 & echo $$ $! > {}; wait", pids.display()));
    let check = format!(r#"{{ command = ["sh", "-c", {script}], timeout = "1s" }}"#);
    let probed = Prober::default().probe(&order(&check, closed_port())).await;
    assert_eq!(probed.outcome, bad("no answer in 1 s"));

    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.split_whitespace().count(), 2);
    let end = Instant::now() + Duration::from_secs(10);
    while pids.split_whitespace().any(runs) {
        assert!(Instant::now() < end, "{pids} still run");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn toml_string(text: &str) -> String {
    format!("'''{text}'''")
}

/// Whether this process exists and is no zombie, whose parent just has not looked yet.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}
