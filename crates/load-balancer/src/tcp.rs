//! A TCP listener's connection: a member for it, and then bytes both ways.

use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nines_control::statistics::Refused;
use nines_control::traffic::Failure;
use nines_system::{Balance, TcpListener};
use tokio::net::TcpStream;

use crate::access_log::{Record, now_us};
use crate::attempt::Outgoing;
use crate::first_words::{FirstWords, Outcome};
use crate::front::Front;
use crate::http1::{Asked, Limits, Method};
use crate::kit::Kit;
use crate::listening::Served;
use crate::pool::{Member, Place, Pool, hash_of};
use crate::proxy;
use crate::relay::{Ended, Moved, Relay};
use crate::timer::FAR;
use crate::upstream::Connection;
use crate::window::Window;
use crate::{database, forward, postgres};

/// The PROXY header comes first, and at once.
const PROXY_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn serve(served: Served, stream: TcpStream, peer: SocketAddr) {
    let (received, time_us) = (Instant::now(), now_us());
    let front = served.listening.front();
    let Some((plan, pool)) = front.tcp() else { return };
    let patience = plan.idle.min(PROXY_PATIENCE);
    let Some(accepted) = proxy::accept(&served.kit, &front, &stream, peer, patience).await else { return };
    let session = Session {
        kit: &served.kit,
        front: &front,
        plan,
        pool,
        client: accepted.client,
        stream: &stream,
        received,
        tries: Cell::new(0),
        moved: Moved::default(),
    };
    // Boxed, so that a connection that is established does not carry what it took to establish it.
    let (ended, member) = match Box::pin(session.connect()).await {
        Ok((_place, connection)) => session.relay(connection, accepted.window).await,
        Err((cause, member)) => {
            front.count_refused(cause);
            front.count_outcome(Some(pool), false);
            let told = pool.is_postgres() && postgres::refuse(&served.kit, &stream, accepted.window).await;
            if !told {
                let _ = stream.set_zero_linger(); // a reset says more than an orderly end without a word
            }
            (cause.word(), member)
        }
    };
    session.account(time_us, ended, member.as_deref());
}

/// One client's connection.
struct Session<'a> {
    kit: &'a Kit,
    front: &'a Front,
    plan: &'a TcpListener,
    pool: &'a Pool,
    client: SocketAddr,
    stream: &'a TcpStream,
    received: Instant,
    tries: Cell<u32>,
    moved: Moved,
}

impl Session<'_> {
    /// A place in the pool and a connection to a member, or why there is none and who was tried last.
    async fn connect(&self) -> Result<(Place, Connection), (Refused, Option<Rc<Member>>)> {
        let settings = self.pool.plan();
        let preface = proxy::preface(settings.send_proxy, self.client, self.stream);
        let request = Outgoing {
            pool: self.pool,
            bytes: &[],
            asked: Asked { method: Method::Other, upgrade: false },
            repeatable: false,
            key: matches!(settings.balance, Balance::Hash(_)).then(|| hash_of(self.client.ip())),
            preface: &preface,
            limits: Limits { head_bytes: 0, headers: 0 },
            received: self.received,
            lost_at: Cell::new(None),
        };
        let connected = async {
            if self.pool.waits_for_somebody() {
                // Boxed, so that others don't carry it.
                return Box::pin(database::connect(self.kit, &request, &self.tries)).await;
            }
            let admitted = forward::admit(self.kit, self.pool, request.key, self.received).await?;
            let connection = forward::connect(self.kit, &request, admitted.seat, &self.tries).await?;
            Ok((admitted.place, connection))
        };
        connected.await.map_err(|cause| (cause, request.lost_at.take()))
    }

    /// Bytes both ways until either side ends it. `ahead`: what the client has said already.
    async fn relay(
        &self,
        connection: Connection,
        ahead: Option<Window>,
    ) -> (&'static str, Option<Rc<Member>>) {
        let member = connection.seat.member.clone();
        member.counts.tries.add(1);
        let relay = Relay {
            client: self.stream,
            member: &connection.stream,
            first_to_member: ahead,
            first_to_client: None,
            idle: self.plan.idle,
            moved: &self.moved,
            buffers: &self.kit.buffers,
            pipes: &self.kit.pipes,
            timers: &self.kit.timers,
        };
        let close_at = || member.close_at.get().unwrap_or(self.received + FAR);
        let outcome = Outcome { front: self.front, pool: self.pool, is_bad: Cell::new(false) };
        let ended = {
            let mut relayed = pin!(relay.run(self.kit.timers.sleep(close_at)));
            // Boxed, so that a connection that has begun does not carry it.
            let words = FirstWords {
                outcome: &outcome,
                client: self.stream,
                received: self.received,
                moved: &self.moved,
                timers: &self.kit.timers,
            };
            if self.pool.is_postgres() {
                let turned_away = || {
                    member.failed(Failure::TurnedAway);
                    outcome.bad();
                };
                let mut watched = pin!(postgres::watched(&connection.stream, relayed, turned_away));
                match Box::pin(words.pass(watched.as_mut())).await {
                    Some(ended) => ended,
                    None => watched.await,
                }
            } else {
                match Box::pin(words.pass(relayed.as_mut())).await {
                    Some(ended) => ended,
                    None => relayed.await,
                }
            }
        };
        if matches!(ended, Ended::Closed) && self.moved.to_client.get() == 0 && self.pool.is_postgres() {
            postgres::refuse_at_once(self.stream);
        }
        if matches!(ended, Ended::MemberFailed) {
            outcome.bad();
        }
        if matches!(ended, Ended::MemberFailed) && self.moved.to_client.get() == 0 {
            member.failed(Failure::Reset);
        } else {
            member.succeeded();
        }
        (word(&ended), Some(member))
    }

    /// For the counters and the access log.
    fn account(&self, time_us: u64, ended: &str, member: Option<&Member>) {
        let (bytes_in, bytes_out) = (self.moved.to_member.get(), self.moved.to_client.get());
        self.front.counts.bytes_in.add(bytes_in);
        self.front.counts.bytes_out.add(bytes_out);
        let Some(log) = &self.front.access_log else { return };
        log.write(&Record {
            time_us,
            listener: &self.front.name,
            client: self.client.ip(),
            method: "",
            host: "",
            target: "",
            pool: Some(&self.pool.plan().name),
            member: member.map(|member| member.name.as_str()),
            tries: self.tries.get(),
            status: 0,
            first_byte_us: None,
            total_us: u64::try_from(self.received.elapsed().as_micros()).unwrap_or(u64::MAX),
            bytes_in,
            bytes_out,
            ended,
        });
    }
}

fn word(ended: &Ended) -> &'static str {
    match ended {
        Ended::Finished => "done",
        Ended::ClientFailed => "client-gone",
        Ended::MemberFailed => "cut-short",
        Ended::Idle => "idle",
        Ended::Closed => "drained",
    }
}
