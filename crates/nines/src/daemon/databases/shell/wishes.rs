//! What the operator wants of a database: put into the store, if it can be wanted.

use std::time::{Duration, Instant};

use nines_admin::api::{DatabaseVerb, Problem};
use nines_control::failover::{Host, Input, Outcome, Register, Value, Verb};
use tokio::sync::oneshot;

use super::super::registers::Answer;
use super::{Ended, Life, Shell};

/// For the store to take what the operator wants, and how often it is tried where others want something too.
const WISH_WITHIN: Duration = Duration::from_secs(3);
const WISH_TRIES: u32 = 5;

/// What the operator asked for.
pub(super) struct Asked {
    verb: Verb,
    reply: oneshot::Sender<Result<String, Problem>>,
    tries: u32,
}

impl Asked {
    pub(super) fn new(verb: DatabaseVerb, reply: oneshot::Sender<Result<String, Problem>>) -> Self {
        Self { verb: translated(verb), reply, tries: 0 }
    }
}

impl Shell {
    /// Puts what the operator wants into the store, if it can be wanted.
    pub(super) fn wish(&mut self, life: &mut Life, asked: Asked) {
        let wish = life.machine.wish(&asked.verb);
        let (Some(store), Ok((revision, wish))) = (&life.store, &wish) else {
            let why = wish.err().unwrap_or_else(|| "the coordination store has not answered yet".to_owned());
            let _ = asked.reply.send(Err(Problem::new(format!("{}: {why}", self.name))));
            return;
        };
        let value = Value::Wish(wish.clone());
        let deadline = Instant::now() + WISH_WITHIN;
        let set = store.shelf.set(0, Register::Wish, *revision, &value, deadline);
        life.begun.spawn(async move { Ended::Wished(asked, value, set.await) });
    }

    pub(super) fn wished(&mut self, life: &mut Life, mut asked: Asked, value: &Value, answer: Answer) {
        let won = answer.won();
        let Some(store) = &mut life.store else { return };
        if won {
            self.troubles.written();
        }
        let (inputs, error) = store.shelf.answered(answer);
        for input in inputs {
            match input {
                Input::Set { outcome: Outcome::Done(revision), .. } => {
                    let (register, value) = (Register::Wish, value.clone());
                    life.give(Input::Changed { register, revision, value });
                }
                Input::Set { .. } => {}
                news => life.give(news),
            }
        }
        asked.tries += 1;
        match error {
            Some(error) => drop(asked.reply.send(Err(Problem::new(format!("{}: {error}", self.name))))),
            None if won => drop(asked.reply.send(Ok(follows(&asked.verb)))),
            // Somebody wished something else meanwhile.
            None if asked.tries < WISH_TRIES => self.wish(life, asked),
            None => {
                let why = format!("{}: others wish too; ask again", self.name);
                let _ = asked.reply.send(Err(Problem::new(why)));
            }
        }
    }
}

fn translated(verb: DatabaseVerb) -> Verb {
    match verb {
        DatabaseVerb::Switchover { to, force } => Verb::Switchover { to: to.map(Host::from), force },
        DatabaseVerb::Pause => Verb::Pause,
        DatabaseVerb::Resume => Verb::Resume,
        DatabaseVerb::Reinit { host } => Verb::Reinit { host: Host::from(host) },
    }
}

/// What the operator is told.
fn follows(verb: &Verb) -> String {
    match verb {
        Verb::Switchover { to: Some(to), .. } => format!("hands over to {to}"),
        Verb::Switchover { to: None, .. } => "hands over to the best standby".to_owned(),
        Verb::Pause => "is paused: it serves on, and nobody takes over until it is resumed".to_owned(),
        Verb::Resume => "is taken care of again".to_owned(),
        Verb::Reinit { host } => format!("{host} sets its data aside and copies the primary's"),
    }
}
