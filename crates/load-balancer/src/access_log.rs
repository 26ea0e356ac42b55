//! The access log: a JSON line for each request, written by a thread of its own, so that a slow disk never holds up
//! a worker. When the writer falls behind its bound, lines are dropped and their number is logged.

use std::collections::BTreeMap;
use std::fs::{Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nines_system::{AccessLog as Target, HostId, LoadBalancerId, System};
use serde::Serialize;

use crate::error::StartError;

/// Lines that may wait for the writer.
const LINES: usize = 8192;

/// One request, or one TCP connection. Times are in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    /// Since the Unix epoch, when the request's head was complete.
    pub(crate) time_us: u64,
    pub(crate) listener: &'a str,
    pub(crate) client: IpAddr,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) target: &'a str,
    pub(crate) pool: Option<&'a str>,
    pub(crate) member: Option<&'a str>,
    pub(crate) tries: u32,
    /// 0 where no reply was sent.
    pub(crate) status: u16,
    pub(crate) first_byte_us: Option<u64>,
    pub(crate) total_us: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// `done`, `client-gone`, `cut-short`, `stalled`, `drained`, `upgraded`, `idle`, or why nines answered itself.
    pub(crate) ended: &'a str,
}

pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Where one load balancer's lines go.
#[derive(Debug, Clone)]
pub(crate) struct AccessLog {
    lines: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    /// Lines that the writer has not written out yet.
    waiting: Arc<AtomicU64>,
    /// Device and inode, of a file.
    identity: Option<(u64, u64)>,
}

impl AccessLog {
    /// Whether what would be opened now is what is open.
    fn is_in_place(&self, target: &Target) -> bool {
        match target {
            Target::Stdout => true,
            Target::File(path) => {
                std::fs::metadata(path).is_ok_and(|now| Some(identity(&now)) == self.identity)
            }
        }
    }

    pub(crate) fn write(&self, record: &Record<'_>) {
        let Ok(mut line) = serde_json::to_vec(record) else { return };
        line.push(b'\n');
        self.waiting.fetch_add(1, Ordering::AcqRel);
        if self.lines.try_send(line).is_err() {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Every access log that is open, by where it goes.
#[derive(Debug, Default)]
pub(crate) struct Logs(Mutex<BTreeMap<PathBuf, AccessLog>>);

impl Logs {
    /// Opens what the load balancers of `host` ask for and is not open yet, or was moved away since: that is how a log
    /// is rotated.
    pub(crate) fn open(&self, system: &System, host: HostId) -> Result<(), StartError> {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in system.load_balancers_on(host) {
            let Some(target) = &system[id].access_log else { continue };
            let path = path(target);
            if logs.get(&path).is_some_and(|log| log.is_in_place(target)) {
                continue;
            }
            let log = start(target)
                .map_err(|error| StartError::AccessLog { path: path.display().to_string(), error })?;
            logs.insert(path, log);
        }
        Ok(())
    }

    /// Whether every line has been written out.
    pub(crate) fn are_written(&self) -> bool {
        let logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logs.values().all(|log| log.waiting.load(Ordering::Acquire) == 0)
    }

    pub(crate) fn of(&self, system: &System, id: LoadBalancerId) -> Option<AccessLog> {
        let target = system[id].access_log.as_ref()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&path(target)).cloned()
    }
}

fn path(target: &Target) -> PathBuf {
    match target {
        Target::Stdout => PathBuf::from("-"),
        Target::File(path) => path.clone(),
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn start(target: &Target) -> io::Result<AccessLog> {
    let (output, identity): (Box<dyn Write + Send>, _) = match target {
        Target::Stdout => (Box::new(io::stdout()), None),
        Target::File(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            let identity = identity(&file.metadata()?);
            (Box::new(file), Some(identity))
        }
    };
    let (lines, received) = sync_channel(LINES);
    let log = AccessLog { lines, dropped: Arc::default(), waiting: Arc::default(), identity };
    let (dropped, waiting) = (log.dropped.clone(), log.waiting.clone());
    std::thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || write_all(&received, BufWriter::new(output), &dropped, &waiting))?;
    Ok(log)
}

/// Writes lines until nobody can send any; what is there is written out whenever there is a pause.
fn write_all(
    lines: &Receiver<Vec<u8>>,
    mut output: BufWriter<Box<dyn Write + Send>>,
    dropped: &AtomicU64,
    waiting: &AtomicU64,
) {
    while let Ok(first) = lines.recv() {
        let mut written = output.write_all(&first);
        let mut count = 1;
        while let Ok(line) = lines.try_recv() {
            written = written.and_then(|()| output.write_all(&line));
            count += 1;
        }
        let flushed = written.and_then(|()| output.flush());
        waiting.fetch_sub(count, Ordering::AcqRel);
        if let Err(error) = flushed {
            tracing::error!(%error, "the access log can't be written");
            std::thread::sleep(Duration::from_secs(1));
        }
        match dropped.swap(0, Ordering::Relaxed) {
            0 => {}
            lost => tracing::warn!(lost, "access log lines dropped: the log can't be written fast enough"),
        }
    }
}
