//! A database's gate, played: says of itself what the test wants, and lets clients in by the same rule.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use nines_control::gate::{self, Ask, Serves, Standing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

#[derive(Debug, Clone)]
struct State {
    standing: Standing,
    /// Nothing is read or said any more.
    frozen: bool,
    /// Clients are refused, whatever the standing.
    shut: bool,
}

/// Ends, with all of its connections, when dropped.
pub(crate) struct Gate {
    state: watch::Sender<State>,
    /// Connections over which it was asked for its standing.
    lines: Arc<AtomicU64>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Gate {
    /// Serves nobody at first. Whoever is let in hears `name`, and then their own words.
    pub(crate) fn start(name: &'static str, addresses: [SocketAddr; 2]) -> Self {
        let standing =
            Standing { number: number(), serves: Serves::Nobody, term: 0, lag: 0, why: "begins".to_owned() };
        let (state, follow) = watch::channel(State { standing, frozen: false, shut: false });
        let (end, ended) = oneshot::channel();
        let lines = Arc::new(AtomicU64::new(0));
        let asked = lines.clone();
        let (bound, is_bound) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for address in addresses {
                    let listener = TcpListener::bind(address).await.unwrap();
                    tokio::spawn(accept(name, listener, follow.clone(), asked.clone()));
                }
                bound.send(()).unwrap();
                let _ = ended.await;
            });
        });
        is_bound.recv().unwrap();
        Self { state, lines, end: Some(end), thread: Some(thread) }
    }

    pub(crate) fn is(&self, serves: Serves, term: u64) {
        self.state.send_modify(|state| {
            state.standing =
                Standing { number: number(), serves, term, lag: 120, why: "does not".to_owned() };
        });
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        self.state.send_modify(|state| state.frozen = frozen);
    }

    pub(crate) fn shut(&self) {
        self.state.send_modify(|state| state.shut = true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Another one each time, of whichever gate.
fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn accept(
    name: &'static str,
    listener: TcpListener,
    state: watch::Receiver<State>,
    lines: Arc<AtomicU64>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(name, stream, state.clone(), lines.clone()));
    }
}

/// An error is the end of the connection.
async fn serve(
    name: &str,
    mut stream: TcpStream,
    mut state: watch::Receiver<State>,
    lines: Arc<AtomicU64>,
) -> std::io::Result<()> {
    let mut asked = false;
    let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    loop {
        let length = stream.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        stream.read_exact(&mut body).await?;
        let (code, json) = body.split_at(4);
        state.wait_for(|state| !state.frozen).await.map_err(gone)?;
        match u32::from_be_bytes(code.try_into().unwrap()) {
            gate::CODE => {
                if !std::mem::replace(&mut asked, true) {
                    lines.fetch_add(1, Ordering::Relaxed);
                }
                let Ok(Ask::Standing { seen, within_ms }) = gate::read(json) else { return Ok(()) };
                let within = std::time::Duration::from_millis(within_ms.into());
                let other = state.wait_for(|state| !state.frozen && state.standing.number != seen);
                let _ = tokio::time::timeout(within, other).await;
                let now = state.wait_for(|state| !state.frozen).await.map_err(gone)?.standing.clone();
                stream.write_all(&gate::answer(&now)).await?;
            }
            80_877_102 => return Ok(()),
            80_877_103 => stream.write_all(b"N").await?,
            _ => break,
        }
    }
    if state.borrow().shut || state.borrow().standing.serves == Serves::Nobody {
        return stream.write_all(b"E\0\0\0\x1eSFATAL\0VFATAL\0C57P03\0Mno\0\0").await;
    }
    stream.write_all(name.as_bytes()).await?;
    let mut byte = [0];
    while stream.read(&mut byte).await? > 0 {
        state.wait_for(|state| !state.frozen).await.map_err(gone)?;
        stream.write_all(&byte).await?;
    }
    Ok(())
}
