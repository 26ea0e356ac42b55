//! Between the members of a cluster, so that one can be cut off from the others while clients still reach it. What members send each
//! other goes through here, and each connection says in its first lines which member it comes from.

use std::net::TcpListener;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// A member by its place in the cluster and by its id, which stands in the connections that it makes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) index: usize,
    pub(crate) id: String,
}

pub(crate) struct Between {
    cut: Arc<watch::Sender<Option<Who>>>,
}

/// The lines in which a connection says where it comes from.
const LONGEST_HEAD: usize = 8192;

impl Between {
    /// For each member, listens in its place and hands on to the port where it really is.
    pub(crate) fn start(members: Vec<(TcpListener, u16)>) -> Self {
        let cut = Arc::new(watch::Sender::new(None));
        let its = cut.clone();
        // A thread of its own, because tests also wait for programs. It ends with the test's process.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let tasks: Vec<_> = members
                    .into_iter()
                    .enumerate()
                    .map(|(index, (listener, port))| {
                        tokio::spawn(hand_on(index, listener, port, its.clone()))
                    })
                    .collect();
                for task in tasks {
                    let _ = task.await;
                }
            });
        });
        Self { cut }
    }

    pub(crate) fn cut_off(&self, who: Who) {
        self.cut.send_replace(Some(who));
    }

    pub(crate) fn heal(&self) {
        self.cut.send_replace(None);
    }
}

async fn hand_on(index: usize, listener: TcpListener, port: u16, cut: Arc<watch::Sender<Option<Who>>>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((mut client, _)) = listener.accept().await {
        let mut cut = cut.subscribe();
        tokio::spawn(async move {
            let Some(head) = head(&mut client).await else { return };
            let from = head.lines().find_map(|line| line.strip_prefix("X-Server-From: ")).map(str::to_owned);
            let meets = |cut: &Option<Who>| {
                cut.as_ref().is_some_and(|who| who.index == index || from.as_ref() == Some(&who.id))
            };
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            if meets(&cut.borrow_and_update()) || server.write_all(head.as_bytes()).await.is_err() {
                return;
            }
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                _ = cut.wait_for(meets) => {}
            }
        });
    }
}

/// What comes up to the first empty line, and perhaps more.
async fn head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD || client.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    // A stream of raft may follow at once, and is no text; it never does before it was answered.
    String::from_utf8(head).ok()
}
