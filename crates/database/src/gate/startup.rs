//! The first packet of a connection, and what it asks for. Pure; what can't be read in one way only is refused.

use nines_control::failover::Term;
use nines_control::gate::CODE;

use super::refusal::Fatal;

/// With its length; as PostgreSQL has it (`MAX_STARTUP_PACKET_LENGTH`).
pub(crate) const LONGEST: usize = 10_000;

const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;

/// The startup option by which a standby says whom it takes this for.
const TERM: &[u8] = b"nines.term=";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// It wants TLS.
    Ssl,
    Gss,
    Cancel,
    /// Of another part of nines: JSON.
    Question(&'a [u8]),
    Start(Start),
}

/// What a client wants, as far as the gate cares.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) user: String,
    pub(crate) replication: Replication,
    /// Of the primary that it takes this for.
    pub(crate) term: Option<Term>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replication {
    No,
    Physical,
    /// And SQL too.
    Logical,
}

/// The length that a packet says it has, itself included.
pub(crate) fn length(head: [u8; 4]) -> Result<usize, Fatal> {
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if (8..=LONGEST).contains(&length) {
        Ok(length)
    } else {
        Err(Fatal::malformed("invalid length of startup packet"))
    }
}

/// What a packet says, from after its length.
pub(crate) fn parse(body: &[u8]) -> Result<Packet<'_>, Fatal> {
    let Some((code, rest)) = body.split_first_chunk::<4>() else {
        return Err(Fatal::malformed("invalid length of startup packet"));
    };
    let code = u32::from_be_bytes(*code);
    match code {
        SSL | GSS if !rest.is_empty() => Err(Fatal::malformed("invalid request for encryption")),
        SSL => Ok(Packet::Ssl),
        GSS => Ok(Packet::Gss),
        CANCEL => Ok(Packet::Cancel),
        CODE => Ok(Packet::Question(rest)),
        _ if code >> 16 == 3 => start(rest).map(Packet::Start),
        _ => {
            let [a, b, c, d] = code.to_be_bytes();
            Err(Fatal::unsupported(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
        }
    }
}

/// Names and values, each with its zero, and one more zero.
fn start(mut rest: &[u8]) -> Result<Start, Fatal> {
    let layout = || Fatal::malformed("invalid startup packet layout");
    let (mut user, mut replication, mut options) = (None, None, None);
    loop {
        let (name, after) = text(rest).ok_or_else(layout)?;
        if name.is_empty() {
            if !after.is_empty() {
                return Err(layout());
            }
            break;
        }
        let (value, after) = text(after).ok_or_else(layout)?;
        rest = after;
        let known = match name {
            b"user" => &mut user,
            b"replication" => &mut replication,
            b"options" => &mut options,
            _ => continue,
        };
        // Of two, PostgreSQL takes the later one; that is nothing to rely on.
        if known.replace(value).is_some() {
            return Err(Fatal::malformed("a startup parameter is given twice"));
        }
    }
    let Some(user) = user.filter(|user| !user.is_empty()) else {
        return Err(Fatal::malformed("no PostgreSQL user name specified in startup packet"));
    };
    Ok(Start {
        user: String::from_utf8_lossy(user).into_owned(),
        replication: replication.map_or(Replication::No, kind),
        term: options.map_or(Ok(None), term)?,
    })
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// What PostgreSQL takes for "no" is no replication; all else is for it to judge.
fn kind(value: &[u8]) -> Replication {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str| !value.is_empty() && word.as_bytes().starts_with(&value);
    if value == b"database" {
        Replication::Logical
    } else if value == b"0" || value == b"of" || value == b"off" || begins("false") || begins("no") {
        Replication::No
    } else {
        Replication::Physical
    }
}

/// Of `-c nines.term=T` and the two other ways to write it.
fn term(options: &[u8]) -> Result<Option<Term>, Fatal> {
    let mut found = None;
    let mut words = options.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let setting = match word {
            b"-c" => words.next().unwrap_or_default(),
            _ => word.strip_prefix(b"-c").or_else(|| word.strip_prefix(b"--")).unwrap_or_default(),
        };
        let Some(value) = setting.strip_prefix(TERM) else { continue };
        let term = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
        let Some(term) = term.filter(|term| *term > 0) else {
            return Err(Fatal::malformed("nines.term is no term"));
        };
        if found.replace(term).is_some() {
            return Err(Fatal::malformed("nines.term is given twice"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(parameters: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = vec![0, 3, 0, 0];
        for (name, value) in parameters {
            bytes.extend([name.as_bytes(), &[0], value.as_bytes(), &[0]].concat());
        }
        bytes.push(0);
        bytes
    }

    fn read(parameters: &[(&str, &str)]) -> Result<Start, Fatal> {
        match parse(&packet(parameters))? {
            Packet::Start(start) => Ok(start),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_term_stands_among_options_in_any_way_that_postgresql_reads() {
        for options in
            ["-c nines.term=7", "-cnines.term=7", "--nines.term=7", "  -c  work_mem=1MB -c nines.term=7 "]
        {
            let start = read(&[("user", "r"), ("replication", "true"), ("options", options)]).unwrap();
            assert_eq!((start.term, start.replication), (Some(7), Replication::Physical), "{options}");
        }
        for options in ["", "-c nines.terms=7", "nines.term=7", "-c", "-c xnines.term=7"] {
            assert_eq!(read(&[("user", "r"), ("options", options)]).unwrap().term, None, "{options}");
        }
        for options in
            ["-c nines.term=", "-c nines.term=0", "-c nines.term=-1", "-c nines.term=7 -c nines.term=8"]
        {
            assert!(read(&[("user", "r"), ("options", options)]).is_err(), "{options}");
        }
    }

    #[test]
    fn replication_is_what_postgresql_takes_for_it() {
        for (value, kind) in [
            ("true", Replication::Physical),
            ("ON", Replication::Physical),
            ("y", Replication::Physical),
            ("1", Replication::Physical),
            ("nonsense", Replication::Physical),
            ("", Replication::Physical),
            ("database", Replication::Logical),
            ("false", Replication::No),
            ("Off", Replication::No),
            ("n", Replication::No),
            ("0", Replication::No),
        ] {
            assert_eq!(read(&[("user", "r"), ("replication", value)]).unwrap().replication, kind, "{value}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        assert!(read(&[("user", "a"), ("user", "postgres")]).is_err());
        assert!(read(&[("database", "a")]).is_err(), "nobody");
        let mut trailing = packet(&[("user", "a")]);
        trailing.push(0);
        assert!(parse(&trailing).is_err());
        assert!(parse(&[0, 3, 0, 0]).is_err());
        assert!(parse(&[0, 3, 0, 0, b'u', 0, b'x']).is_err());
        assert_eq!(parse(&[0, 2, 0, 0]).unwrap_err().code, "0A000");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let _ = parse(&[&[0, 3, 0, 0], bytes.as_slice()].concat());
            let _ = term(&bytes);
        }
    }
}
