//! What the tests share: waiting for conditions, helpers that run on hosts, and a look at the machine's processes.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use nines_lab::Place;
use nines_system::System;

/// How long something that must happen may take.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// How long the tests listen for what must not come. Too short can hide a fault, never make one up.
pub(crate) const SILENCE: Duration = Duration::from_millis(250);

pub(crate) fn myself() -> PathBuf {
    std::env::current_exe().unwrap()
}

pub(crate) fn system(text: &str) -> System {
    nines_system::parse("test.toml", text).unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)))
}

/// Waits until `condition` gives something, at most [`SOON`].
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Does something at a place and gives back what came of it, sockets for example.
pub(crate) fn at<T: Send + 'static>(place: &Place, work: impl FnOnce() -> T + Send + 'static) -> T {
    place.run_in_thread("test", work).unwrap().join().unwrap().unwrap()
}

/// Connects from a place and has one byte sent back, soon. For what is tried again, or must fail.
pub(crate) fn echo_from(place: &Place, to: SocketAddr) -> io::Result<()> {
    echo_within(SILENCE, place, to)
}

/// The same, with time enough for a busy machine. For what must be there.
pub(crate) fn echo_in_time(place: &Place, to: SocketAddr) -> io::Result<()> {
    echo_within(SOON, place, to)
}

fn echo_within(limit: Duration, place: &Place, to: SocketAddr) -> io::Result<()> {
    at(place, move || {
        let mut stream = TcpStream::connect_timeout(&to, limit)?;
        echo(&mut stream, limit)
    })
}

pub(crate) fn echo(stream: &mut TcpStream, timeout: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(b"!")?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"!");
    Ok(())
}

/// The number of every host's interface: the lab chooses it.
const ETH0: u32 = 2;

/// Gives a place an address besides those that it has, if it lacks it.
pub(crate) fn hold(place: &Place, address: Ipv4Addr) {
    at(place, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().unwrap();
            tokio::spawn(connection);
            handle.address().add(ETH0, address.into(), 32).replace().execute().await.unwrap();
        });
    });
}

/// Tells everybody on a place's link that an address is there: a gratuitous ARP request (RFC 5227 §3). `hardware` must
/// be the place's own.
#[allow(unsafe_code)]
pub(crate) fn announce(place: &Place, hardware: [u8; 6], address: Ipv4Addr) {
    let packet =
        [&[0, 1, 8, 0, 6, 4, 0, 1], hardware.as_slice(), &address.octets(), &[0; 6], &address.octets()]
            .concat();
    at(place, move || {
        // SAFETY: a sockaddr_ll is plain numbers, for which zero is a value.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
        to.sll_protocol = u16::try_from(libc::ETH_P_ARP).unwrap().to_be();
        to.sll_ifindex = i32::try_from(ETH0).unwrap();
        to.sll_halen = 6;
        to.sll_addr[..6].fill(0xff);
        // SAFETY: no pointer is given; the descriptor that comes back is nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0)) };
        // SAFETY: both pointers are to live values of this frame, each with its own length.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const to).cast(),
                u32::try_from(size_of_val(&to)).unwrap(),
            )
        };
        assert_eq!(usize::try_from(sent), Ok(packet.len()), "{}", io::Error::last_os_error());
    });
}

/// The command of a helper: this program again.
pub(crate) fn helper(words: &[&str]) -> Vec<OsString> {
    let mut command = vec![myself().into_os_string(), "helper".into()];
    command.extend(words.iter().map(OsString::from));
    command
}

pub(crate) fn help(words: &[&str]) -> ExitCode {
    match words {
        ["echo", port] => echo_server(port.parse().unwrap()),
        ["resolve", name] => {
            let addresses = std::net::ToSocketAddrs::to_socket_addrs(&(*name, 0)).unwrap();
            addresses.for_each(|address| println!("{}", address.ip()));
            println!("host {}", fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
            ExitCode::SUCCESS
        }
        other => panic!("no helper {other:?}"),
    }
}

/// Sends back what it gets, on every address.
fn echo_server(port: u16) -> ! {
    let listener = TcpListener::bind((IpAddr::from([0u16; 8]), port)).unwrap();
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut stream));
    }
}

/// How many processes of this machine have `word` in their command line; threads and zombies don't count.
pub(crate) fn processes_with(word: &str) -> usize {
    let mut count = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let own = entry.file_name().to_str() == Some(&std::process::id().to_string());
        let Ok(command) = fs::read(entry.path().join("cmdline")) else { continue };
        let words = command.split(|&byte| byte == 0);
        count += usize::from(!own && words.into_iter().any(|argument| argument == word.as_bytes()));
    }
    count
}
