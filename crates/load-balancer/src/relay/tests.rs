//! The relay over real sockets: both directions, half-close, bulk and silence.

use std::future::pending;
use std::io::ErrorKind;
use std::rc::Rc;

use rustix::net::SendFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// A connection over loopback: the relay's end, and the end of whoever speaks with it.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (peer, accepted) =
        tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (peer, (near, _)) = (peer.unwrap(), accepted.unwrap());
    near.set_nodelay(true).unwrap();
    peer.set_nodelay(true).unwrap();
    (near, peer)
}

struct Stage {
    idle: Duration,
    first_to_member: &'static str,
    first_to_client: &'static str,
    pipes: Pipes,
    close: Notify,
    moved: Moved,
}

fn stage() -> Stage {
    Stage {
        idle: LONG,
        first_to_member: "",
        first_to_client: "",
        pipes: Pipes::new(4),
        close: Notify::new(),
        moved: Moved::default(),
    }
}

impl Stage {
    /// Plays the client's and the member's part while the relay runs; its sockets are closed when it ends.
    async fn play<T>(&self, part: impl AsyncFnOnce(TcpStream, TcpStream) -> T) -> (Ended, T) {
        let (client_near, client) = connection().await;
        let (member_near, member) = connection().await;
        let buffers = Buffers::new(16 * 1024, 4);
        let timers = Rc::new(Timers::new(Instant::now()));
        let relay = async move {
            let relay = Relay {
                client: &client_near,
                member: &member_near,
                first_to_member: window(&buffers, self.first_to_member).await,
                first_to_client: window(&buffers, self.first_to_client).await,
                idle: self.idle,
                moved: &self.moved,
                buffers: &buffers,
                pipes: &self.pipes,
                timers: &timers,
            };
            tokio::select! {
                ended = relay.run(self.close.notified()) => ended,
                () = timers.clone().drive() => unreachable!("it runs for ever"),
            }
        };
        let both = async { tokio::join!(relay, part(client, member)) };
        tokio::time::timeout(LONG, both).await.expect("the play comes to an end")
    }
}

/// Bytes as if they had been read from a connection.
async fn window(buffers: &Buffers, text: &str) -> Option<Window> {
    let (near, mut peer) = connection().await;
    say(&mut peer, text).await;
    let mut window = Window::new(buffers);
    while window.len() < text.len() {
        window.fill(&near).await.unwrap();
    }
    Some(window)
}

async fn say(socket: &mut TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
}

async fn hear(socket: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    socket.read_exact(&mut heard).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

async fn hear_the_end(socket: &mut TcpStream) {
    assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
}

async fn hear_a_reset(socket: &mut TcpStream) {
    let error = socket.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// Recognizable bytes: of a prime length, so that neither a lost nor a repeated buffer goes unnoticed.
fn pattern() -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..1_000_003).map(|_| next()).collect()
}

async fn say_much(socket: &mut (impl AsyncWriteExt + Unpin), pattern: &[u8], times: usize) {
    for _ in 0..times {
        socket.write_all(pattern).await.unwrap();
    }
}

async fn hear_much(socket: &mut (impl AsyncReadExt + Unpin), pattern: &[u8], times: usize) {
    let mut heard = vec![0; pattern.len()];
    for time in 0..times {
        socket.read_exact(&mut heard).await.unwrap();
        assert!(heard == pattern, "repetition {time} of {times} is as it was sent");
    }
}

#[tokio::test]
async fn small_messages_go_both_ways_and_are_counted() {
    let stage = stage();
    let (ended, ()) = stage
        .play(async |mut client, mut member| {
            for round in 0..100 {
                let text = format!("message {round}");
                say(&mut client, &text).await;
                hear(&mut member, &text).await;
                say(&mut member, "ok").await;
                hear(&mut client, "ok").await;
            }
        })
        .await;
    assert!(matches!(ended, Ended::Finished), "{ended:?}");
    assert_eq!((stage.moved.to_member.get(), stage.moved.to_client.get()), (990, 200));
    assert_eq!(stage.pipes.made(), 0);
}

#[tokio::test]
async fn what_was_read_before_goes_first() {
    let stage = Stage { first_to_member: "PROXY ", first_to_client: "220 ", ..stage() };
    stage
        .play(async |mut client, mut member| {
            say(&mut client, "hello").await;
            say(&mut member, "welcome").await;
            hear(&mut member, "PROXY hello").await;
            hear(&mut client, "220 welcome").await;
        })
        .await;
}

#[tokio::test]
async fn the_member_can_answer_after_the_client_has_ended() {
    let (ended, ()) = stage()
        .play(async |mut client, mut member| {
            say(&mut client, "question").await;
            client.shutdown().await.unwrap();
            hear(&mut member, "question").await;
            hear_the_end(&mut member).await;
            say(&mut member, "answer").await;
            hear(&mut client, "answer").await;
            drop(member);
            hear_the_end(&mut client).await;
        })
        .await;
    assert!(matches!(ended, Ended::Finished), "{ended:?}");
}

#[tokio::test]
async fn the_client_can_go_on_after_the_member_has_ended() {
    let (ended, ()) = stage()
        .play(async |mut client, mut member| {
            say(&mut member, "enough").await;
            member.shutdown().await.unwrap();
            hear(&mut client, "enough").await;
            hear_the_end(&mut client).await;
            say(&mut client, "one thing more").await;
            hear(&mut member, "one thing more").await;
            drop(client);
            hear_the_end(&mut member).await;
        })
        .await;
    assert!(matches!(ended, Ended::Finished), "{ended:?}");
}

#[tokio::test]
async fn a_members_reset_resets_the_client() {
    let (ended, ()) = stage()
        .play(async |mut client, mut member| {
            say(&mut member, "half an ans").await;
            hear(&mut client, "half an ans").await;
            member.set_zero_linger().unwrap();
            drop(member);
            hear_a_reset(&mut client).await;
        })
        .await;
    assert!(matches!(ended, Ended::MemberFailed), "{ended:?}");
}

#[tokio::test]
async fn a_clients_reset_resets_the_member() {
    let (ended, ()) = stage()
        .play(async |mut client, mut member| {
            say(&mut client, "half a quest").await;
            hear(&mut member, "half a quest").await;
            client.set_zero_linger().unwrap();
            drop(client);
            hear_a_reset(&mut member).await;
        })
        .await;
    assert!(matches!(ended, Ended::ClientFailed), "{ended:?}");
}

#[tokio::test]
async fn the_last_words_of_a_member_that_takes_no_more_arrive() {
    let pattern = pattern();
    let (ended, ()) = stage()
        .play(async |client, mut member| {
            let (mut hears, mut says) = client.into_split();
            // The member answers while being spoken to, and closes without having listened: its kernel resets.
            let client_says = async { while says.write_all(&pattern).await.is_ok() {} };
            let answer = async {
                say(&mut member, "413 too much").await;
                // Heard before the reset, which empties the client's queue.
                let mut heard = [0; 12];
                hears.read_exact(&mut heard).await.unwrap();
                assert_eq!(&heard, b"413 too much");
                drop(member);
            };
            tokio::join!(client_says, answer);
        })
        .await;
    assert!(matches!(ended, Ended::MemberFailed), "{ended:?}");
}

#[tokio::test]
async fn silence_past_the_idle_time_ends_it() {
    let stage = Stage { idle: Duration::from_millis(600), ..stage() };
    let (ended, took) = stage
        .play(async |mut client, mut member| {
            // Traffic of either side keeps it open for longer than the idle time.
            for _ in 0..10 {
                say(&mut member, "tick").await;
                hear(&mut client, "tick").await;
                tokio::time::sleep(Duration::from_millis(80)).await;
            }
            let start = std::time::Instant::now();
            hear_the_end(&mut client).await;
            hear_the_end(&mut member).await;
            start.elapsed()
        })
        .await;
    assert!(matches!(ended, Ended::Idle), "{ended:?}");
    assert!(took >= Duration::from_millis(300), "{took:?}");
}

#[tokio::test]
async fn a_half_that_stays_open_is_bounded_by_the_idle_time() {
    let stage = Stage { idle: Duration::from_millis(50), ..stage() };
    let (ended, ()) = stage
        .play(async |mut client, mut member| {
            client.shutdown().await.unwrap();
            hear_the_end(&mut member).await;
            hear_the_end(&mut client).await;
        })
        .await;
    assert!(matches!(ended, Ended::Idle), "{ended:?}");
}

#[tokio::test]
async fn the_caller_can_close_it() {
    let stage = stage();
    let (ended, ()) = stage
        .play(async |mut client, mut member| {
            say(&mut client, "hello").await;
            hear(&mut member, "hello").await;
            stage.close.notify_one();
            hear_the_end(&mut client).await;
            hear_the_end(&mut member).await;
        })
        .await;
    assert!(matches!(ended, Ended::Closed), "{ended:?}");
}

#[tokio::test]
async fn closing_in_the_middle_of_something_is_a_reset() {
    let stage = stage();
    let pattern = pattern();
    let (ended, ()) = stage
        .play(async |mut client, mut member| {
            // The member does not listen, so in the end the relay holds bytes that it cannot pass on.
            while client.write_all(&pattern).await.is_ok() {
                if stage.moved.to_member.get() > 0 && stage.pipes.made() > 0 {
                    break;
                }
            }
            let fill = async { while client.write_all(&pattern).await.is_ok() {} };
            let close = async {
                let mut moved = 0;
                loop {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    if moved == stage.moved.to_member.get() {
                        break;
                    }
                    moved = stage.moved.to_member.get();
                }
                stage.close.notify_one();
            };
            tokio::join!(fill, close);
            let mut heard = Vec::new();
            let error = member.read_to_end(&mut heard).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        })
        .await;
    assert!(matches!(ended, Ended::Closed), "{ended:?}");
}

async fn bulk_both_ways_at_once(pipes: Pipes) -> Stage {
    const TIMES: usize = 64;
    let stage = Stage { pipes, ..stage() };
    let pattern = pattern();
    let (ended, ()) = stage
        .play(async |client, member| {
            let (mut client_hears, mut client_says) = client.into_split();
            let (mut member_hears, mut member_says) = member.into_split();
            let client_says = async {
                say_much(&mut client_says, &pattern, TIMES).await;
                client_says.shutdown().await.unwrap();
            };
            let member_says = async {
                say_much(&mut member_says, &pattern, TIMES).await;
                member_says.shutdown().await.unwrap();
            };
            tokio::join!(
                client_says,
                member_says,
                hear_much(&mut client_hears, &pattern, TIMES),
                hear_much(&mut member_hears, &pattern, TIMES),
            );
        })
        .await;
    assert!(matches!(ended, Ended::Finished), "{ended:?}");
    assert_eq!(stage.moved.to_member.get(), 64 * 1_000_003);
    assert_eq!(stage.moved.to_client.get(), 64 * 1_000_003);
    stage
}

#[tokio::test]
async fn bulk_is_spliced_and_arrives_whole() {
    assert!(bulk_both_ways_at_once(Pipes::new(2)).await.pipes.made() > 0);
}

#[tokio::test]
async fn bulk_is_copied_where_there_are_no_pipes_and_arrives_whole() {
    assert_eq!(bulk_both_ways_at_once(Pipes::new(0)).await.pipes.made(), 0);
}

#[tokio::test]
async fn small_and_bulk_can_alternate() {
    let stage = stage();
    let pattern = pattern();
    stage
        .play(async |mut client, mut member| {
            for _ in 0..10 {
                say(&mut client, "how much?").await;
                hear(&mut member, "how much?").await;
                tokio::join!(say_much(&mut member, &pattern, 2), hear_much(&mut client, &pattern, 2));
                for _ in 0..10 {
                    say(&mut client, "more").await;
                    hear(&mut member, "more").await;
                    say(&mut member, "no").await;
                    hear(&mut client, "no").await;
                }
            }
        })
        .await;
    assert!(stage.pipes.made() > 0);
}

#[tokio::test]
async fn a_slow_reader_holds_back_the_sender() {
    const TIMES: usize = 64;
    let stage = stage();
    let pattern = pattern();
    stage
        .play(async |client, mut member| {
            let (_hears, mut says) = client.into_split();
            let said = Cell::new(0);
            let sender = async {
                for _ in 0..TIMES {
                    says.write_all(&pattern).await.unwrap();
                    said.set(said.get() + 1);
                }
                says.shutdown().await.unwrap();
            };
            let reader = async {
                // Nobody listens until nothing moves any more: only sockets and one pipe are full.
                let mut before = (usize::MAX, 0);
                while before != (said.get(), stage.moved.to_member.get()) {
                    before = (said.get(), stage.moved.to_member.get());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                assert!(said.get() < TIMES / 2, "{} MB went nowhere", said.get());
                hear_much(&mut member, &pattern, TIMES).await;
                hear_the_end(&mut member).await;
            };
            tokio::join!(sender, reader);
        })
        .await;
}

#[tokio::test]
async fn urgent_data_does_not_stop_bulk() {
    let stage = stage();
    let pattern = pattern();
    stage
        .play(async |mut client, mut member| {
            let bulk = &pattern[..64 * 1024];
            say_much(&mut client, bulk, 1).await;
            hear_much(&mut member, bulk, 1).await;
            assert!(stage.pipes.made() > 0);
            let urgent = || Ok(rustix::net::send(&client, b"!", SendFlags::OOB)?);
            client.async_io(Interest::WRITABLE, urgent).await.unwrap();
            say(&mut client, "and so on").await;
            hear(&mut member, "and so on").await;
        })
        .await;
}

#[tokio::test]
async fn an_idle_relay_is_small() {
    let (client, _client) = connection().await;
    let (member, _member) = connection().await;
    let relay = Relay {
        client: &client,
        member: &member,
        first_to_member: None,
        first_to_client: None,
        idle: LONG,
        moved: &Moved::default(),
        buffers: &Buffers::new(16 * 1024, 4),
        pipes: &Pipes::new(4),
        timers: &Timers::new(Instant::now()),
    };
    let size = size_of_val(&relay.run(pending()));
    assert!(size <= 768, "{size} bytes");
}
