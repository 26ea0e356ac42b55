//! A watch of an embedded store: the kernel tells when the directory changes, and a look now and then makes sure.

use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

use crate::tracker::{Told, Tracker};
use crate::watch::Mailbox;

use super::Embedded;

/// From one look to the next when the kernel tells of nothing.
const LOOK: Duration = Duration::from_millis(250);
/// The same where the kernel tells nothing at all: it has a limit of watches for each user.
const LOOK_ALONE: Duration = Duration::from_millis(20);
/// A look that takes longer is trouble.
const LOOK_BOUND: Duration = Duration::from_secs(2);

pub(super) async fn run(store: &Embedded, under: &str, mailbox: &Mailbox) {
    let notices = notices(store);
    if let Err(error) = &notices {
        tracing::info!(%error, "the kernel does not tell of changes of the coordination store; it is looked at often");
    }
    let mut tracker = Tracker::default();
    loop {
        let asked = Instant::now();
        match store.last(asked + LOOK_BOUND).await {
            Ok(document) => {
                let at = document.number;
                let ours = document.registers.into_iter().filter(|(path, _)| path.starts_with(under));
                let told: Vec<Told> =
                    ours.map(|(path, entry)| (path, entry.revision.0, Some(entry.value))).collect();
                mailbox.changed(tracker.all(at, told));
                mailbox.current(asked);
            }
            Err(error) => mailbox.trouble(error),
        }
        match &notices {
            // Past the bound it is time for a look anyway.
            Ok(notices) => drop(timeout(LOOK, noticed(notices)).await),
            Err(_) => tokio::time::sleep(LOOK_ALONE).await,
        }
    }
}

/// What the kernel tells is read like a pipe, and tokio doesn't ask whether it is one.
fn notices(store: &Embedded) -> std::io::Result<Receiver> {
    let descriptor = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    // A document appears by a link, which is a creation.
    inotify::add_watch(&descriptor, store.0.folder.path(), WatchFlags::CREATE)?;
    Receiver::from_owned_fd_unchecked(descriptor)
}

/// Waits until something was made in the directory, and forgets what: a look tells more. Files in the making also wake us; they are
/// followed by a document within a moment.
async fn noticed(notices: &Receiver) {
    if notices.readable().await.is_err() {
        // Then it is as if there had been nothing.
        return tokio::time::sleep(LOOK).await;
    }
    let mut buffer = [0; 4096];
    while notices.try_read(&mut buffer).is_ok_and(|read| read > 0) {}
}
