//! The members of a cluster: a question goes to the one that answered last, and to the next when that one doesn't. A member without
//! a leader, or frozen, answers no linearizable read and no change, and so is passed over.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::claim::Known;
use crate::error::Error;
use crate::lock;
use crate::settings::Etcd as Settings;

use super::mark::Mark;
use super::member::{Connection, Failure, Member};
use super::wire::Answer;

/// How long a member may take when there are others to ask. Doubles with each round, for a cluster that is slow as a whole.
const PATIENCE: Duration = Duration::from_millis(400);
const PATIENCE_MOST: Duration = Duration::from_secs(10);
/// Between two rounds in which no member had an answer.
const PAUSE: Duration = Duration::from_millis(50);
/// More members than any etcd cluster should have.
const MOST: usize = 32;

#[derive(Debug)]
pub(super) struct Members {
    list: Vec<Member>,
    preferred: AtomicUsize,
    pub(super) mark: Mutex<Mark>,
}

/// An answer, and whether the question may have been heard before the time that it answers.
pub(super) struct Answered<A> {
    pub(super) answer: A,
    pub(super) heard_before: bool,
}

/// What a question does where it is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Change,
}

/// What was learned while nobody answered.
struct Attempts {
    effect: Effect,
    /// The question may have been heard, and had its effect.
    heard: bool,
    why: Option<String>,
    regressed: Option<Error>,
}

impl Members {
    pub(super) fn new(settings: &Settings, known: Option<&Known>) -> Result<Self, Error> {
        let list: Result<Vec<_>, _> =
            settings.endpoints.iter().map(|address| Member::new(address, settings)).collect();
        let list = list?;
        if list.is_empty() || list.len() > MOST {
            return Err(Error::Settings {
                why: format!("etcd has {} endpoints, not 1 to {MOST}", list.len()),
            });
        }
        Ok(Self { list, preferred: AtomicUsize::new(0), mark: Mutex::new(Mark::of(known)?) })
    }

    pub(super) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    pub(super) fn member(&self, index: usize) -> &Member {
        &self.list[index % self.list.len()]
    }

    /// Asks until there is an answer or the deadline has come. A question may be heard more than once.
    ///
    /// # Errors
    /// [`Error::Unknown`] if it may have had its effect, and [`Error::Unreachable`] if not; what a member refuses for good.
    pub(super) async fn ask<Q, A>(
        &self,
        path: &'static str,
        question: &Q,
        effect: Effect,
        deadline: Instant,
    ) -> Result<Answered<A>, Error>
    where
        Q: prost::Message + Clone + 'static,
        A: Answer,
    {
        let mut attempts = Attempts { effect, heard: false, why: None, regressed: None };
        let mut patience = PATIENCE;
        loop {
            if let Some(error) = lock(&self.mark).regressed() {
                return Err(attempts.refused(error));
            }
            let first = self.preferred();
            let mut regressed = 0;
            for index in (first..).take(self.list.len()) {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(attempts.given_up());
                }
                // Half of what is left, so that there is always time for another.
                let bound = if self.list.len() == 1 { left } else { patience.min(left / 2) };
                let floor = lock(&self.mark).revision();
                let heard_before = attempts.heard;
                let tried = self.attempt(index, path, question, bound, &mut attempts).await;
                let Some(answer) = tried.map_err(|error| attempts.refused(error))? else {
                    self.pass_over(index);
                    continue;
                };
                let answer: A = answer;
                let nothing = Default::default();
                match lock(&self.mark).check(answer.header().unwrap_or(&nothing), floor) {
                    Ok(()) => {
                        self.preferred.store(index % self.list.len(), Ordering::Relaxed);
                        return Ok(Answered { answer, heard_before });
                    }
                    // The others may still be the cluster that it was.
                    Err(error) => {
                        attempts.regressed = Some(error);
                        regressed += 1;
                    }
                }
            }
            if regressed == self.list.len()
                && let Some(Error::Regressed { why }) = attempts.regressed.take()
            {
                let error = lock(&self.mark).give_up(why);
                return Err(attempts.refused(error));
            }
            patience = (patience * 2).min(PATIENCE_MOST);
            sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// The next question, too, goes to another first: its deadline may leave time for one only.
    fn pass_over(&self, index: usize) {
        let (this, next) = (index % self.list.len(), (index + 1) % self.list.len());
        let _ = self.preferred.compare_exchange(this, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// One member, and once more if it doesn't know us any more.
    async fn attempt<Q, A>(
        &self,
        index: usize,
        path: &'static str,
        question: &Q,
        bound: Duration,
        attempts: &mut Attempts,
    ) -> Result<Option<A>, Error>
    where
        Q: prost::Message + Clone + 'static,
        A: Answer,
    {
        let member = self.member(index);
        let until = Instant::now() + bound;
        let left = || until.saturating_duration_since(Instant::now());
        for again in [false, true] {
            let connected = timeout(left(), member.connection()).await;
            let failure = match connected {
                Err(_) => Failure::Unheard("it cannot be reached in time".to_owned()),
                Ok(Err(failure)) => failure,
                Ok(Ok(mut connection)) => {
                    match timeout(left(), connection.ask(path, question.clone())).await {
                        Ok(Ok(answer)) => return Ok(Some(answer)),
                        Ok(Err(Failure::Refused(error))) => return Err(error),
                        Ok(Err(failure)) => {
                            self.give_up(member, &connection).await;
                            failure
                        }
                        Err(_) => {
                            self.give_up(member, &connection).await;
                            Failure::Lost("it does not answer in time".to_owned())
                        }
                    }
                }
            };
            let why = match failure {
                Failure::Refused(error) => return Err(error),
                Failure::Stranger(_) if !again => continue,
                Failure::Stranger(why) => return Err(Error::Refused { why }),
                Failure::Lost(why) => {
                    attempts.heard |= attempts.effect == Effect::Change;
                    why
                }
                Failure::Unheard(why) => why,
            };
            attempts.why = Some(format!("etcd at {}: {why}", member.address()));
            break;
        }
        Ok(None)
    }

    /// Bounded, because somebody else may be making a connection to a member that doesn't answer.
    async fn give_up(&self, member: &Member, connection: &Connection) {
        let _ = timeout(Duration::from_millis(10), member.give_up(connection)).await;
    }
}

impl Attempts {
    fn given_up(self) -> Error {
        let why = self.why.unwrap_or_else(|| "there was no time left to ask".to_owned());
        match self.regressed {
            _ if self.heard => unknown(why),
            Some(error) => error,
            None => Error::Unreachable { why },
        }
    }

    /// That one member refuses a question says nothing about another that may have heard it.
    fn refused(&self, error: Error) -> Error {
        if self.heard { unknown(error.to_string()) } else { error }
    }
}

fn unknown(why: String) -> Error {
    Error::Unknown { what: "a register".to_owned(), why }
}
