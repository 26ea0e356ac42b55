//! What is asked of a proxy: steady load by `wrk`, and many clients that hold a connection and say nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::process::pinned;

/// The shape of a load.
pub(crate) struct Load {
    /// What the backend is asked for: its size in bytes.
    pub(crate) body: usize,
    pub(crate) connections: usize,
    pub(crate) headers: Headers,
}

pub(crate) enum Headers {
    /// `Host` alone.
    Bare,
    /// Those of a browser.
    Browser,
    /// A connection per request.
    Close,
}

/// What one run of wrk saw.
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) took: Duration,
    pub(crate) errors: u64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

const BROWSER: [&str; 10] = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: http://shop.example/catalogue/shoes?page=3&sort=price",
    "Cookie: session=6f1c2ab09e7d4d8c9b5a3e21f0d4c7b8; theme=dark; consent=yes; basket=17",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
];

/// The path under which the backend keeps a body of `bytes`.
pub(crate) fn path(bytes: usize) -> String {
    format!("/{bytes}")
}

/// Runs wrk on `cores` against `target`. Closed-loop: each connection asks again as soon as it was answered.
pub(crate) fn wrk(load: &Load, target: SocketAddr, seconds: u32, cores: &str, script: &Path) -> Result<Seen> {
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--timeout", "5s", "--connections", &load.connections.to_string()]);
    wrk.args(["--duration", &format!("{seconds}s"), "--script"]).arg(script);
    match load.headers {
        Headers::Bare => {}
        Headers::Browser => {
            for header in BROWSER {
                wrk.args(["--header", header]);
            }
        }
        Headers::Close => {
            wrk.args(["--header", "Connection: close"]);
        }
    }
    wrk.arg(format!("http://{target}{}", path(load.body)));
    let output = pinned(&wrk, cores).output().context("cannot start wrk")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = said
        .lines()
        .find_map(|line| line.strip_prefix("summary "))
        .map(|rest| rest.split_whitespace().filter_map(|number| number.parse().ok()).collect())
        .unwrap_or_default();
    let &[requests, took, errors, p50, p99] = numbers.as_slice() else {
        bail!("wrk did not finish: {said}{}", String::from_utf8_lossy(&output.stderr));
    };
    if requests == 0 {
        bail!("no request of wrk was answered ({errors} errors)");
    }
    Ok(Seen {
        requests,
        took: Duration::from_micros(took),
        errors,
        p50: Duration::from_micros(p50),
        p99: Duration::from_micros(p99),
    })
}

/// Opens `count` connections, each of which has been answered once and then says no more.
pub(crate) fn idle_clients(target: SocketAddr, count: usize, body: usize) -> Result<Vec<TcpStream>> {
    (0..count)
        .map(|n| {
            let mut client = TcpStream::connect(target)
                .with_context(|| format!("client {n} of {count} was not let in"))?;
            ask(&mut client, body).with_context(|| format!("client {n} of {count} was not answered"))?;
            Ok(client)
        })
        .collect()
}

/// Whether a request comes through.
pub(crate) fn answers(target: SocketAddr, body: usize) -> bool {
    TcpStream::connect_timeout(&target, Duration::from_secs(1))
        .is_ok_and(|mut client| ask(&mut client, body).is_ok())
}

fn ask(client: &mut TcpStream, body: usize) -> Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    // In one write: a second one would wait for the first one's acknowledgement.
    client.write_all(format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", path(body)).as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let got = client.read(&mut buffer)?;
        if got == 0 {
            bail!("closed after {} bytes", answer.len());
        }
        answer.extend_from_slice(&buffer[..got]);
        if let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            if !answer.starts_with(b"HTTP/1.1 200") {
                bail!("answered {}", String::from_utf8_lossy(&answer[..head]));
            }
            if answer.len() >= head + 4 + body {
                return Ok(());
            }
        }
    }
}
