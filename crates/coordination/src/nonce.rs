//! Names that are given out once: for each change, so that whoever asked twice knows its own; for each system and store.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// 128 random bits as 32 hexadecimal digits.
pub(crate) fn random_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    let read: io::Result<()> = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    match read {
        Ok(()) => Ok(format!("{:032x}", u128::from_be_bytes(bytes))),
        Err(error) => Err(Error::Refused { why: format!("/dev/urandom: {error}") }),
    }
}

/// Names for the changes of one opened store.
#[derive(Debug)]
pub(crate) struct Nonces {
    writer: String,
    next: AtomicU64,
}

impl Nonces {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self { writer: random_id()?, next: AtomicU64::new(1) })
    }

    pub(crate) fn next(&self) -> String {
        format!("{}.{}", self.writer, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
