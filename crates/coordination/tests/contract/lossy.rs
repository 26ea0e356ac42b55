//! A way to a member on which answers can get lost: what a client asks arrives, and it never hears of it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(crate) struct Lossy {
    pub(crate) port: u16,
    swallows: Arc<AtomicBool>,
}

impl Lossy {
    /// To the member that listens on this port. Its threads end with the connections, at the latest with the test's process.
    pub(crate) fn before(member: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let swallows = Arc::new(AtomicBool::new(false));
        let its = swallows.clone();
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", member)) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || pass_on(from, to, || false));
                let its = its.clone();
                thread::spawn(move || pass_on(server, client, || its.load(Ordering::SeqCst)));
            }
        });
        Self { port, swallows }
    }

    pub(crate) fn swallow_answers(&self) {
        self.swallows.store(true, Ordering::SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, lost: impl Fn() -> bool) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !lost() && to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
