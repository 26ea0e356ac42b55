//! What an idle client costs. Alone in its file, since it looks at the memory of the whole process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod support;

use support::{Plane, server};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";

/// Bytes of this process's memory that are resident.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn idle_clients_cost_little_memory() {
    const CLIENTS: u64 = 2000;
    let plane = Plane::start(&[server("a")], "", "");
    // What the first clients make the process allocate is there for all.
    for _ in 0..50 {
        plane.connect().send(GET).reply();
    }
    let mut clients = Vec::with_capacity(CLIENTS as usize);
    let before = resident();
    for _ in 0..CLIENTS {
        let mut stream = std::net::TcpStream::connect(plane.address).unwrap();
        std::io::Write::write_all(&mut stream, GET.as_bytes()).unwrap();
        let mut reply = [0; 39];
        std::io::Read::read_exact(&mut stream, &mut reply).unwrap();
        clients.push(stream);
    }
    let each = resident().saturating_sub(before) / CLIENTS;
    println!("{each} bytes of memory for each idle kept-alive client, of {CLIENTS}");
    assert!(each <= 2048, "{each} bytes for each idle client");
}
