//! Who listens on which TCP port of this machine, by `/proc/net/tcp` and `tcp6`: nothing is bound to find out.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::facts::Taken;

/// A socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listening {
    at: SocketAddr,
    inode: u64,
}

const LISTEN: &str = "0A";

pub(super) fn listening() -> Vec<Listening> {
    let table = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    let mut all: Vec<Listening> = table("tcp").lines().filter_map(read).collect();
    all.extend(table("tcp6").lines().filter_map(read));
    all
}

/// A line such as `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 …`.
fn read(line: &str) -> Option<Listening> {
    let mut words = line.split_whitespace();
    let (address, port) = words.nth(1)?.split_once(':')?;
    let state = words.nth(1)?;
    let inode = words.nth(5)?.parse().ok()?;
    let at = SocketAddr::new(address_of(address)?, u16::from_str_radix(port, 16).ok()?);
    (state == LISTEN).then_some(Listening { at, inode })
}

/// Words of 32 bits, each printed as the number that it is on this machine.
fn address_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let octets: [u8; 16] = [word(0)?, word(1)?, word(2)?, word(3)?].concat().try_into().ok()?;
            Some(IpAddr::from(Ipv6Addr::from(octets)).to_canonical())
        }
        _ => None,
    }
}

/// Who is in the way of listening at this address (of every one, if `None`), unless it is process `ours`.
pub(super) fn taken(
    listening: &[Listening],
    address: Option<IpAddr>,
    port: u16,
    ours: Option<u32>,
) -> Option<Taken> {
    let in_the_way = |at: &SocketAddr| {
        let wanted = address.filter(|address| !address.is_unspecified());
        at.port() == port && wanted.is_none_or(|wanted| at.ip().is_unspecified() || at.ip() == wanted)
    };
    let found = listening.iter().filter(|one| in_the_way(&one.at));
    let mut owned = found.map(|one| (one, owner(one.inode)));
    owned
        // Where it can't be told whose it is, and there is a daemon, it is the daemon's.
        .find(|(_, owner)| ours.is_none_or(|ours| owner.as_ref().is_some_and(|(pid, _)| *pid != ours)))
        .map(|(one, owner)| Taken { at: one.at, owner })
}

/// The process that has a socket open, and its name.
fn owner(inode: u64) -> Option<(u32, String)> {
    let link = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(files) = fs::read_dir(entry.path().join("fd")) else { continue };
        let has =
            |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == link.as_str());
        if files.flatten().any(has) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().chars().filter(|c| !c.is_control()).collect()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_listens_on_a_port_is_found_with_its_name() {
        let listener = TcpListener::bind("127.0.0.3:0").unwrap();
        let at = listener.local_addr().unwrap();
        let listening = listening();
        for wanted in [None, Some(at.ip()), Some([0, 0, 0, 0].into())] {
            let taken = taken(&listening, wanted, at.port(), None).unwrap();
            assert_eq!(taken.at, at);
            assert_eq!(taken.owner.unwrap().0, std::process::id());
        }
        assert_eq!(taken(&listening, Some([127, 0, 0, 4].into()), at.port(), None), None);
        assert_eq!(taken(&listening, None, at.port(), Some(std::process::id())), None);
    }

    #[test]
    fn addresses_of_both_families_are_read() {
        let line = |at: &str, state: &str| {
            format!(
                "   0: {at} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0      \
                   0 77 1 0"
            )
        };
        let expected = |text: &str| Some(Listening { at: text.parse().unwrap(), inode: 77 });
        if cfg!(target_endian = "little") {
            assert_eq!(read(&line("0100007F:0050", "0A")), expected("127.0.0.1:80"));
            assert_eq!(
                read(&line("B80D0120000000000000000001000000:01BB", "0A")),
                expected("[2001:db8::1]:443")
            );
        }
        assert_eq!(read(&line("00000000000000000000000000000000:0050", "0A")), expected("[::]:80"));
        assert_eq!(read(&line("0100007F:0050", "01")), None, "a connection");
        assert_eq!(read("  sl  local_address rem_address   st"), None);
        assert_eq!(read(&line("01:0050", "0A")), None);
    }
}
